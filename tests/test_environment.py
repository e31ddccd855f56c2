"""Facts of the machine."""

import platform

from edcore.environment import commit, processor


def test_a_folder_outside_git_has_no_commit(tmp_path):
    assert commit(tmp_path) == ""


def test_the_processor_comes_from_linux_or_else_from_python(tmp_path):
    assert processor(tmp_path / "none") == platform.processor()
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor : 0\nmodel name : A CPU\nmodel name : A CPU\n")
    assert processor(cpuinfo) == "A CPU"
