"""What ``auto`` likes best: by priority, by the table of what was measured, by the library of x."""

import dataclasses
import json
import logging
import os
import re
import sys
import types

import numpy as np
import pytest

import edcore
from edcore import ED, EDCoreError, streaming, training
from edcore.adapters.array_api import NUMPY
from edcore.contract.backend import Availability
from edcore.core.network import Network
from edcore.core.rule import Rule
from edcore.dispatch import calibration, choose, registry
from edcore.dispatch.calibration import Calibration, Ranking, save
from edcore.dispatch.explain import choices_by_library, explain
from edcore.dispatch.preferences import preferences
from edcore.errors import InputError
from edcore.estimators import EDClassifier
from edcore.parallel import fit_heads

DIGITS = edcore.datasets.digits(classes=(0, 1))


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
    order = [Ranking(int(width.removeprefix("w")), 64, tuple(names.split())) for width, names in rows.items()]
    save(kind, Calibration("a test", tuple(order)))


def order(width, device=None, library="numpy", batch=64):
    return [(one.info.name, one.device) for one in preferences(width, device, library, batch=batch).candidates]


def test_without_a_table_it_is_by_priority():
    backend("b", 20, "tpu"), backend("a", 20, "tpu"), backend("c", 30, "tpu")
    assert [name for name, _ in order(32)] == ["c", "a", "b"]


def test_the_nearest_width_decides():
    backend("fused", 50, "abacus"), backend("vendor", 100, "abacus")
    table("abacus", w8="fused vendor", w512="vendor fused")
    for width, first in ((1, "fused"), (8, "fused"), (63, "fused"), (65, "vendor"), (4096, "vendor")):
        assert order(width)[0] == (first, "abacus")


def test_the_nearest_batch_decides_too():
    backend("fused", 50, "abacus"), backend("vendor", 100, "abacus")
    corners = ((8, 1, "fused vendor"), (8, 64, "vendor fused"), (512, 1, "vendor fused"), (512, 64, "fused vendor"))
    save("abacus", Calibration("a test", tuple(Ranking(w, b, tuple(names.split())) for w, b, names in corners)))
    for width, batch, first in ((8, 7, "fused"), (8, 9, "vendor"), (512, 1, "vendor"), (999, 10**6, "fused")):
        assert order(width, batch=batch)[0] == (first, "abacus")
    assert order(8, batch=0) == order(8, batch=1)
    # 16 × 2 is nearer to 8 × 1 than to 512 × 1, and 60 × 9 to 8 × 64 than to 8 × 1: both count in proportion.
    assert (order(16, batch=2)[0][0], order(60, batch=9)[0][0]) == ("fused", "vendor")


@pytest.mark.parametrize(
    ("rule", "use", "batch"),
    [
        ("signed", lambda ed, x, t: ed(x), 20),
        ("signed", lambda ed, x, t: ed.predict(x[:3]), 3),
        ("signed", lambda ed, x, t: ed.step(x, t), 20),
        ("signed", lambda ed, x, t: ed.fit(x, t, batch_size=7), 7),
        ("signed", lambda ed, x, t: ed.fit(x, t, batch_size=70), 20),
        ("signed", lambda ed, x, t: ed.bind(), 64),
        ("signed", lambda ed, x, t: ed.bind(x), 20),
        ("signed", lambda ed, x, t: ed.bind(x[:1], 9), 9),
        ("signed", lambda ed, x, t: ed.bind(batch_size=9), 9),
        ("signed", lambda ed, x, t: list(streaming.train(ed, x, t, batch_size=9)), 9),
        ("signed", lambda ed, x, t: list(training.train(ed, DIGITS, batch_size=9)), 9),
        ("signed", lambda ed, x, t: fit_heads(ed, x, t, batch_size=9, n_jobs=1), 9),
        ("signed", lambda ed, x, t: EDClassifier(batch_size=9, max_iter=1).fit(x, t), 9),
        ("kaneko", lambda ed, x, t: ed.step(x, t), 1),
        ("kaneko", lambda ed, x, t: ed.fit(x, t), 1),
        ("kaneko", lambda ed, x, t: ed.bind(), 1),
    ],
)
def test_auto_chooses_for_the_batch_that_will_be_learnt(monkeypatch, rule, use, batch):
    registry.refresh()
    asked = []

    def spied(*arguments, batch, **others):
        asked.append(batch)
        return preferences(*arguments, batch=batch, **others)

    monkeypatch.setattr(choose, "preferences", spied)
    use(ED(64, 4, 1, rule=rule, seed=0), DIGITS.x_train[:20], DIGITS.y_train[:20])
    assert asked == [batch]


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
    save("cpu", Calibration("a test", (Ranking(4, 64, ("fast", own.name)), Ranking(400, 64, (own.name, "fast")))))
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
    save("slate", Calibration("a test", (Ranking(32, 64, ("taken", "slower"), (1.5, 2.5)),)))
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
    assert choices_by_library(Network(in_=2, width=8), Rule()) == [("torch", "cpu", "numba")]
    assert choices_by_library(Network(in_=2, width=512), Rule()) == [("torch", "cpu", "torch")]


def test_tables_that_edcore_brings_name_our_backends_and_say_where_they_are_from():
    registry.refresh()
    for kind in ("cpu", "cuda"):
        brought = calibration.calibration(kind)
        assert {name for row in brought.rows for name in row.fastest} <= registry.installed().keys()
        assert brought.source
    assert all(row.ms for row in calibration.calibration("cpu").rows)


def test_a_users_table_goes_before_edcores_and_leaves_other_devices_alone():
    brought = {kind: calibration.calibration(kind) for kind in ("cpu", "cuda")}
    names = brought["cpu"].rows[0].fastest
    mine = Calibration("mine", (Ranking(32, 64, names[::-1], (1.0, 2.0)),))
    file = save("cpu", mine)
    assert file == calibration.user_file("cpu")
    assert calibration.calibration("cpu") == mine
    assert calibration.calibration("cuda") == brought["cuda"]
    save("cuda", mine)
    assert calibration.calibration("cpu") == mine
    assert sorted(os.listdir(file.parent)) == ["calibration-cpu.json", "calibration-cuda.json"]


def test_what_was_not_there_when_a_user_measured_comes_last_in_edcores_order():
    brought = calibration.calibration("cpu").nearest(32, 64).fastest
    save("cpu", Calibration("mine", (Ranking(32, 64, (brought[2],), (1.0,)),)))
    merged = calibration.calibration("cpu").nearest(32, 64)
    assert merged.fastest == (brought[2], *(name for name in brought if name != brought[2]))
    assert merged.ms == (1.0,)


def test_a_users_table_without_batches_is_of_batch_64():
    file = calibration.user_file("cpu")
    file.parent.mkdir(parents=True)
    names = calibration.calibration("cpu").rows[0].fastest
    file.write_text(json.dumps({"source": "mine", "rows": [{"width": 32, "fastest": names, "ms": [1.0]}]}))
    assert calibration.calibration("cpu") == Calibration("mine", (Ranking(32, 64, names, (1.0,)),))


@pytest.mark.parametrize(
    ("features", "kind"),
    [
        ({"AVX512_SKX": True}, "cpu with AVX-512"),
        ({"X86_V4": True}, "cpu with AVX-512"),
        ({"AVX512_SKX": False}, "cpu"),
    ],
)
def test_edcore_brings_a_table_for_cpus_with_avx512_and_one_for_others(monkeypatch, features, kind):
    module = types.SimpleNamespace(__cpu_features__=features)
    monkeypatch.setitem(sys.modules, "numpy._core._multiarray_umath", module)
    assert calibration.brought("cpu") is calibration._shipped()[kind]


@pytest.mark.parametrize("module", [None, types.SimpleNamespace()])
def test_where_numpy_does_not_tell_its_features_the_table_is_that_without_avx512(monkeypatch, module):
    monkeypatch.setitem(sys.modules, "numpy._core._multiarray_umath", module)
    assert calibration.brought("cpu") is calibration._shipped()["cpu"]


GOOD = {"width": 32, "batch": 64, "fastest": ["numpy"], "ms": []}
BAD_ROWS = [
    {"width": 32},
    3,
    *(GOOD | {"batch": batch} for batch in (0, "64", None, 10**400)),
    *(GOOD | {"width": width} for width in (0, "32", True, 10**400)),
    *(GOOD | {"fastest": fastest} for fastest in ([3], ["numpy", "numpy"], "numpy", [], None)),
    *(GOOD | {"ms": ms} for ms in ([1, 2], ["a"], [None], [0], [float("nan")], [True], "1")),
]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "null",
        "[" * 100_000,
        "\xff\xfe",
        json.dumps({"source": "a test"}),
        json.dumps({"source": "a test", "rows": []}),
        json.dumps({"source": 3, "rows": [GOOD]}),
        *(json.dumps({"source": "a test", "rows": [GOOD, row]}) for row in BAD_ROWS),
    ],
    ids=lambda text: text[:60],
)
def test_a_users_table_that_cannot_be_read_is_left_out_with_one_warning(text):
    brought = calibration.calibration("cpu")
    file = calibration.user_file("cpu")
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="latin-1")
    sentence = re.escape(f"the calibration {file} cannot be read (")
    with pytest.warns(RuntimeWarning, match=f"{sentence}.*`edcore bench --calibrate` writes a new one"):
        assert calibration.calibration("cpu") == brought
    assert calibration.calibration("cpu") == brought  # a second warning would be an error
    mine = Calibration("mine", (Ranking(32, 64, brought.rows[0].fastest),))
    save("cpu", mine)
    assert calibration.calibration("cpu") == mine


def test_a_table_that_cannot_be_written_is_an_error_that_names_the_file():
    file = calibration.user_file("cpu")
    file.mkdir(parents=True)
    for write in (lambda: calibration.check_folder("cpu"), lambda: save("cpu", calibration.calibration("cuda"))):
        sentence = re.escape(f"--calibrate: the table cannot be written to {file} (")
        with pytest.raises(EDCoreError, match=f"{sentence}.*Make its folder one that you can write to"):
            write()
    assert os.listdir(file.parent) == ["calibration-cpu.json"]
    file.rmdir()
    file.parent.rmdir()
    file.parent.write_text("a file")
    with pytest.raises(EDCoreError, match="cannot be written to"):
        calibration.check_folder("cpu")


def test_a_device_that_was_asked_for_takes_arrays_of_any():
    strict = pytest.importorskip("array_api_strict")
    registry.refresh()
    ed = edcore.ED(3, 4, 1, seed=1, device="device2")
    for device in ("CPU_DEVICE", "device2", "device1"):
        outputs = ed(strict.asarray(np.ones((2, 3), np.float32), device=strict.Device(device)))
        assert outputs.device == strict.Device(device)
        assert ed.device == "device2"


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
    with pytest.raises(InputError, match="error: given an array on 'device2'; .* on 'device1'"):
        ed.update(strict.asarray(y, device=there))
    ed.update(strict.asarray(y, device=here) - outputs)
    message = "x: given an array on 'device2'; .* on 'device1', where the first x was, which the network follows"
    for call in (ed, ed.predict):
        with pytest.raises(InputError, match=message):
            call(strict.asarray(x, device=there))
    assert ed.predict(x).shape == (2,)  # an array of NumPy goes anywhere
    assert not (ed.weights["input.weight"] == start["input.weight"]).all()
