"""The program that measures language models of several sizes, on a tiny one."""

import pytest

from benchmarks import language_scale
from benchmarks.language_scale import CHARACTERS, Size, batches, network_of, operations, tables

TINY = Size(width=64, depth=1, steps=2)


def test_batches_are_categories_and_the_character_that_follows():
    (x, target), second, *more = batches(1)
    assert not more
    assert x.shape == second[0].shape == (128, 16)
    assert set(x.ravel()) <= set(range(CHARACTERS))
    assert target.shape == (128, CHARACTERS)
    assert (target.sum(axis=1) == 1).all()


def test_operations_are_four_for_each_weight_and_sample():
    """Where nearly all weights are those of hidden layers."""
    size = language_scale.SIZES[-1]
    assert operations(size) == pytest.approx(4 * 128 * network_of(size).parameters, rel=0.02)
    assert 1e9 < network_of(size).parameters < 1.05e9


def test_tables():
    """Each measurement runs in processes of its own."""
    pytest.importorskip("torch")
    pytest.importorskip("numba")
    head, alone, others = tables([TINY]).strip().split("\n\n")
    assert "commit" in head
    for text, columns in ((alone, 9), (others, 8)):
        _, _, row = text.splitlines()
        cells = [cell.strip() for cell in row.strip("| ").split("|")]
        assert len(cells) == columns
        assert cells[0] == f"{network_of(TINY).parameters:,}"
        assert float(cells[-1].rstrip("%")) > 0
