"""What ``auto`` likes best: by priority, by the table of what was measured, by the library of x."""

import dataclasses
import json
import logging
import os
import re

import numpy as np
import pytest

import edcore
from edcore import ED, InputError, calibration, registry
from edcore.array_api import NUMPY
from edcore.auto import preferences
from edcore.backend import Availability
from edcore.calibration import Calibration, Row, save
from edcore.explain import explain, followed
from edcore.network import Network, Rule


@pytest.fixture(autouse=True)
def nothing_else(fresh_registry):
    """No other backend than those that a test registers."""
    for name in list(registry.installed()):
        del registry.installed()[name]


def backend(name, priority, *kinds, namespaces=("numpy",), ok=True):
    state = Availability(ok, "" if ok else "it has no driver")
    info = dataclasses.replace(
        NUMPY,
        name=name,
        priority=priority,
        device_types=kinds,
        namespaces=namespaces,
        probe=lambda device: state,
        load=lambda device: NUMPY.load(None),
    )
    registry.register(info)
    return info


def table(kind, **rows):
    order = [Row(int(width.removeprefix("w")), tuple(names.split())) for width, names in rows.items()]
    save(kind, Calibration("a test", tuple(order)))


def order(width, device=None, library="numpy"):
    return [(one.info.name, one.device) for one in preferences(width, device, library).candidates]


def test_without_a_table_it_is_by_priority():
    backend("b", 20, "tpu"), backend("a", 20, "tpu"), backend("c", 30, "tpu")
    assert [name for name, _ in order(32)] == ["c", "a", "b"]


def test_the_nearest_width_decides():
    backend("fused", 50, "abacus"), backend("vendor", 100, "abacus")
    table("abacus", w8="fused vendor", w512="vendor fused")
    for width, first in ((1, "fused"), (8, "fused"), (63, "fused"), (65, "vendor"), (4096, "vendor")):
        assert order(width)[0] == (first, "abacus")


def test_a_table_orders_what_it_knows_and_leaves_the_others_where_they_are():
    for name, priority in (("a", 90), ("known", 80), ("b", 70), ("faster", 60), ("c", 50)):
        backend(name, priority, "abacus")
    table("abacus", w32="faster absent known")
    assert [name for name, _ in order(32)] == ["a", "faster", "b", "known", "c"]


def test_each_type_of_device_has_a_table_of_its_own():
    backend("vendor", 100, "gpu"), backend("fused", 50, "gpu", "slate", "cudasim"), backend("plain", 10, "slate")
    table("gpu", w32="fused vendor")
    table("slate", w32="plain fused")
    assert order(32) == [("fused", "gpu"), ("vendor", "gpu"), ("plain", "slate"), ("fused", "slate")]
    assert order(32, "slate") == [("plain", "slate"), ("fused", "slate")]
    assert order(32, "gpu:1") == [("fused", "gpu:1"), ("vendor", "gpu:1")]


def test_xs_own_library_goes_first_unless_the_table_knows_better():
    backend("own", 0, "slate", namespaces=("own",))
    backend("fused", 50, "slate", namespaces=("own", "other"))
    backend("plain", 60, "slate")
    assert order(32, "slate", "own") == [("own", "slate"), ("fused", "slate")]
    table("slate", w8="fused own", w512="own fused")
    assert order(8, "slate", "own") == [("fused", "slate"), ("own", "slate")]
    assert order(512, "slate", "own") == [("own", "slate"), ("fused", "slate")]
    excluded = dict(preferences(8, "slate", "own").excluded)
    assert excluded == {"plain": "it takes no arrays of own"}


def test_a_network_of_another_librarys_arrays_goes_where_it_is_faster(caplog):
    strict = pytest.importorskip("array_api_strict")
    registry.refresh()
    own = registry.installed()["array_api_strict"]
    fast = dataclasses.replace(NUMPY, name="fast", namespaces=("array_api_strict",), priority=5)
    registry.register(fast)
    x = strict.asarray(np.zeros((2, 3), np.float32))
    ed = ED(3, 4, 1)
    ed(x)
    assert ed.backend == own.name
    save("cpu", Calibration("a test", (Row(4, ("fast", own.name)), Row(400, (own.name, "fast")))))
    with caplog.at_level(logging.INFO, "edcore"):
        ed = ED(3, 4, 1)
        outputs = ed(x)
    assert (ed.backend, ed.device) == ("fast", "cpu")
    assert isinstance(outputs, type(x))
    assert caplog.messages == ["auto: fast on cpu, as x is an array of array_api_strict"]
    registry.register(dataclasses.replace(fast, probe=lambda device: Availability(False, "it has no driver")))
    with caplog.at_level(logging.INFO, "edcore"):
        ed = ED(3, 4, 1)
        ed(x)
    assert ed.backend == own.name
    assert "auto: fast passed over: it has no driver" in caplog.messages


def test_explanation_of_the_whole_list():
    backend("dead", 90, "abacus", ok=False), backend("taken", 80, "slate"), backend("slower", 70, "slate")
    backend("asked", 0, "slate")
    save("slate", Calibration("a test", (Row(32, ("taken", "slower"), (1.5, 2.5)),)))
    verdicts = explain(Network(in_=2), Rule())
    assert [(one.name, one.device, one.ms, one.reason) for one in verdicts] == [
        ("dead", "abacus", None, "it has no driver"),
        ("taken", "slate", 1.5, ""),
        ("slower", "slate", 2.5, ""),
        ("asked", "", None, "it is used only when asked for, as backend='asked'"),
    ]


def test_explanation_for_the_arrays_of_each_library():
    backend("torch", 0, "cpu", namespaces=("torch",))
    backend("numba", 50, "cpu", namespaces=("torch",))
    table("cpu", w8="numba torch", w512="torch numba")
    assert followed(Network(in_=2, width=8), Rule()) == [("torch", "cpu", "numba")]
    assert followed(Network(in_=2, width=512), Rule()) == [("torch", "cpu", "torch")]


def test_tables_that_edcore_brings_name_our_backends_and_say_where_they_are_from():
    registry.refresh()
    for kind in ("cpu", "cuda"):
        brought = calibration.calibration(kind)
        assert {name for row in brought.rows for name in row.fastest} <= registry.installed().keys()
        assert brought.source
    assert all(row.ms for row in calibration.calibration("cpu").rows)


def test_a_users_table_goes_before_edcores_and_leaves_other_devices_alone():
    brought = {kind: calibration.calibration(kind) for kind in ("cpu", "cuda")}
    mine = Calibration("mine", (Row(32, ("numpy", "numba"), (1.0, 2.0)),))
    file = save("cpu", mine)
    assert file == calibration.user_file()
    assert calibration.calibration("cpu") == mine
    assert calibration.calibration("cuda") == brought["cuda"]
    save("cuda", mine)
    assert calibration.calibration("cpu") == mine
    assert os.listdir(file.parent) == [file.name]


ROWS = [{"width": 32, "fastest": ["numpy"], "ms": []}]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "null",
        b"\xff\xfe".decode("latin-1"),
        json.dumps({"cpu": []}),
        json.dumps({"cpu": {"source": "a test"}}),
        json.dumps({"cpu": {"source": "a test", "rows": []}}),
        json.dumps({"cpu": {"source": 3, "rows": ROWS}}),
        json.dumps({"cpu": {"source": "a test", "rows": [ROWS[0] | {"width": 0}]}}),
        json.dumps({"cpu": {"source": "a test", "rows": [ROWS[0] | {"width": "32"}]}}),
        json.dumps({"cpu": {"source": "a test", "rows": [ROWS[0] | {"fastest": [3]}]}}),
        json.dumps({"cpu": {"source": "a test", "rows": [ROWS[0] | {"fastest": ["numpy", "numpy"]}]}}),
        json.dumps({"cpu": {"source": "a test", "rows": [ROWS[0] | {"ms": [1, 2]}]}}),
        json.dumps({"cpu": {"source": "a test", "rows": [{"width": 32}]}}),
    ],
)
def test_a_users_table_that_cannot_be_read_is_left_out_with_a_warning(text):
    brought = calibration.calibration("cpu")
    file = calibration.user_file()
    file.parent.mkdir()
    file.write_text(text, encoding="utf-8")
    sentence = re.escape(f"the calibration {file} cannot be read (")
    with pytest.warns(RuntimeWarning, match=f"{sentence}.*`edcore bench --calibrate` writes it anew"):
        assert calibration.calibration("cpu") == brought
    mine = Calibration("mine", (Row(32, ("numpy",)),))
    save("cpu", mine)
    assert calibration.calibration("cpu") == mine


def test_array_on_two_devices_is_refused_with_what_to_do():
    strict = pytest.importorskip("array_api_strict")
    registry.refresh()
    here, there = strict.Device("device1"), strict.Device("device2")
    x, y = np.ones((2, 3), np.float32), np.zeros(2, np.float32)
    ed = edcore.ED(3, 4, 1, seed=1)
    first = strict.asarray(x, device=here)
    message = "target: given an array on 'device2'; accepted: one on 'device1', where x is. Move target there first"
    for call in (ed.step, ed.fit):
        with pytest.raises(InputError, match=message):
            call(first, strict.asarray(y, device=there))
    start = ed.weights
    outputs = ed(first)
    with pytest.raises(InputError, match="error: given an array on 'device2'; .* on 'device1', where the outputs are"):
        ed.update(strict.asarray(y, device=there))
    ed.update(strict.asarray(y, device=here) - outputs)
    message = "x: given an array on 'device2'; .* on 'device1', where the first x was, which the network follows"
    for call in (ed, ed.predict):
        with pytest.raises(InputError, match=message):
            call(strict.asarray(x, device=there))
    assert ed.predict(x).shape == (2,)  # an array of NumPy goes anywhere
    assert not (ed.weights["input.weight"] == start["input.weight"]).all()
