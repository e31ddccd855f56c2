"""Paths of samples that are not files; the content of files is tested with `edcore predict`."""

import os

import pytest

from edcore.datasets.user_files import read_samples
from edcore.errors import DataFileError


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_pipes_devices_and_folders_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zero.npy").symlink_to("/dev/zero")
    (tmp_path / "folder.csv").mkdir()
    for name in ("pipe.csv", "zero.npy", "folder.csv"):
        with pytest.raises(DataFileError, match=rf"{name}: .*accepted: a file that ends in \.csv, "):
            read_samples(tmp_path / name)


def test_a_link_to_a_file_is_read(tmp_path):
    (tmp_path / "x.csv").write_text("1,2\n")
    (tmp_path / "link.csv").symlink_to("x.csv")
    assert read_samples(tmp_path / "link.csv").tolist() == [[1, 2]]
