"""Numba's compiler for CUDA under a NumPy that has no `row_stack`, which numba-cuda looks for."""

import importlib

import numpy as np
import pytest

pytest.importorskip("numba")

from edcore_numba.gpu import compiler


@pytest.fixture
def without_row_stack(monkeypatch):
    if hasattr(np, compiler.REMOVED):
        monkeypatch.delattr(np, compiler.REMOVED)


def test_numpy_has_row_stack_while_numba_cuda_looks_for_it_and_no_longer(monkeypatch, without_row_stack):
    found = []

    def look(name):
        found.append((name, getattr(np, compiler.REMOVED)([[1], [2]]).shape))

    monkeypatch.setattr(importlib, "import_module", look)
    compiler.fix_numpy()
    assert found == [("numba.cuda.np.arrayobj", (2, 1))]
    assert not hasattr(np, compiler.REMOVED)


def test_a_numpy_that_has_row_stack_keeps_it(monkeypatch):
    monkeypatch.setattr(np, compiler.REMOVED, "its own", raising=False)
    monkeypatch.setattr(importlib, "import_module", pytest.fail)
    compiler.fix_numpy()
    assert getattr(np, compiler.REMOVED) == "its own"


def test_a_numba_that_does_not_look_for_row_stack_is_left_alone(monkeypatch, without_row_stack):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    compiler.fix_numpy()
    assert not hasattr(np, compiler.REMOVED)
