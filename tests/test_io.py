"""Files of networks: a written network is read again, and all other content is refused with a sentence."""

import contextlib
import hashlib
import json
import os
import re
import struct
import sys
import threading
import tracemalloc

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import edcore
from edcore import ED, io
from edcore.arguments import DTYPES
from edcore.errors import DataFileError, InputError
from edcore.files import container
from edcore.testing import strategies

DATA = edcore.datasets.parity(3)
READY = [status.name for status in edcore.list_backends() if status.ready]


def documented(path):
    with container.open_container(path) as opened:
        return opened.document


def trained(**options):
    options = {"seed": 3, "hidden_width": 4, "hidden_depth": 2, "rule": "split", "backend": "numpy"} | options
    return ED(**options).fit(DATA.x_train, DATA.y_train, epochs=3)


@pytest.fixture
def file(tmp_path):
    """A file of a trained network."""
    path = tmp_path / "net.safetensors"
    io.save(trained(), path)
    return path


def same(one, other):
    return all(np.array_equal(value, other.weights[key]) for key, value in one.weights.items())


def rewritten(path, change):
    """Write the file with another document: `change` is given the one that is there, and may return text instead."""
    document, arrays = documented(path), safetensors.numpy.load_file(path)
    text = change(document)
    content = container.pack(document, arrays)
    if isinstance(text, str):
        content = safetensors.numpy.save(arrays, {"edcore": text})
    path.write_bytes(content)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(strategies.variants(DTYPES), st.integers(0, 2**70))
def test_every_variant_comes_back(tmp_path, case, seed):
    network, rule = case.network, case.rule
    ed = ED.from_network(network, rule, seed=seed, epochs=7, backend="loop")
    io.save(ed, tmp_path / "net", overwrite=True)
    again = io.load(tmp_path / "net", backend="loop")
    assert (again.network, again.rule, again.seed) == (network, rule, seed)
    assert same(ed, again)
    assert again.epochs.tolist() == [7] * network.heads


@pytest.mark.parametrize("other", READY)
def test_a_file_of_one_backend_goes_on_on_any_other(file, other):
    ed, again = trained(), io.load(file, backend=other)
    assert again.backend == other
    assert same(ed, again)
    for one in (ed, again):
        one.fit(DATA.x_train, DATA.y_train, epochs=2)
    np.testing.assert_allclose(again.predict(DATA.x_test), ed.predict(DATA.x_test), rtol=1e-3, atol=1e-4)
    assert again.epochs.tolist() == [5]


def test_fit_goes_on_to_the_same_bits(file):
    ed, again = trained(), io.load(file, backend="numpy")
    for one in (ed, again):
        one.fit(DATA.x_train, DATA.y_train, epochs=4, batch_size=3)
    assert same(ed, again)


def test_the_same_network_makes_the_same_bytes(file, tmp_path):
    io.save(trained(), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == file.read_bytes()


def test_minus_zero_and_subnormal_weights_keep_their_bits(tmp_path):
    ed = ED(in_=2, hidden_width=1, hidden_depth=0, backend="loop", seed=0)
    weights = ed.weights
    weights["input.weight"][...] = [-0.0, 1e-45]
    ed.load_weights(weights)
    io.save(ed, tmp_path / "net")
    assert io.load(tmp_path / "net").weights["input.weight"].tobytes() == weights["input.weight"].tobytes()


def test_weights_in_another_memory_layout_keep_their_values():
    weights = ED(in_=2, hidden_width=3, hidden_depth=1, seed=0, backend="loop").weights
    content = container.pack({}, {key: np.asfortranarray(value) for key, value in weights.items()})
    again = safetensors.numpy.load(content)
    for key, value in weights.items():
        np.testing.assert_array_equal(again[key], value)


def test_inspect_tells_what_the_header_has(tmp_path):
    ed = trained()
    io.save(ed, tmp_path / "net", classes=["even", "odd"])
    saved = io.inspect(str(tmp_path / "net"))
    assert (saved.network, saved.rule, saved.seed) == (ed.network, ed.rule, 3)
    assert saved.classes == ("even", "odd")
    assert saved.versions["edcore"] == edcore.__version__
    assert (saved.backend, saved.device, saved.run, saved.x_range) == ("numpy", "cpu", None, None)
    assert saved.bytes == (tmp_path / "net").stat().st_size


def test_save_replaces_nothing_unless_told_to(file):
    before = file.read_bytes()
    with pytest.raises(InputError, match="^path: given .*overwrite=True"):
        io.save(trained(seed=4), file)
    assert file.read_bytes() == before
    io.save(trained(seed=4), file, overwrite=True)
    assert io.load(file).seed == 4


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: io.save("ed", "net"), "model: given 'ed'; accepted: an ED"),
        (lambda: io.save(trained(), 3), "path: given 3; accepted: the path of a file"),
        (lambda: io.save(trained(), "net", classes=[1]), r"classes: given \(1,\); accepted: 2 "),
        (
            lambda: io.save(trained(), "net", classes=[1, 2.5]),
            r"classes: given \(1, 2.5\); accepted: 2 ",
        ),
        (lambda: io.save(ED(), "net"), "in_: given None, and no x yet"),
        (lambda: io.load(None), "path: given None; accepted"),
        (lambda: io.load("a\0b"), "path: given 'a.x00b'; accepted"),
        (lambda: io.save(trained(), "n" * 300), "it cannot be written"),
        (lambda: io.load("nowhere"), r"^nowhere: .*\(No such file or directory\)"),
        (lambda: io.load("."), r"^\.: .*accepted: a file of edcore\.io\.save"),
        (lambda: io.save(trained(), "no/such/folder"), "no/such/folder: it cannot be written"),
        (lambda: io.save(trained(), ".", overwrite=True), r"\.: it cannot be written"),
    ],
)
def test_bad_arguments_are_refused(wrong, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((InputError, DataFileError), match=sentence):
        wrong()
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_leaves_what_was_there(file, monkeypatch):
    before = file.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataFileError, match=r"it cannot be written \(No space left on device\)\."):
        io.save(trained(seed=4), file, overwrite=True)
    assert file.read_bytes() == before
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


def test_a_file_that_comes_up_at_the_last_moment_is_not_replaced(file, tmp_path, monkeypatch):
    content, real = file.read_bytes(), os.fsync

    def overtaken(descriptor):
        (tmp_path / "new").write_bytes(b"of another program")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", overtaken)
    with pytest.raises(InputError, match="the name of a new file"):
        io.save(trained(), tmp_path / "new")
    assert (tmp_path / "new").read_bytes() == b"of another program"
    monkeypatch.setattr(os, "fsync", real)
    monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(InputError, match="the name of a new file"):
        io.save(trained(), tmp_path / "new")
    io.save(trained(), tmp_path / "newer")
    assert (tmp_path / "newer").read_bytes() == content


def no_links(one, other):
    raise OSError(95, "Operation not supported")


def test_a_reader_has_one_file_while_others_are_written(file):
    # What is read is of one moment: the header of one network never comes with the arrays of another.
    networks = [trained(seed=seed) for seed in (4, 5)]
    stop = threading.Event()

    def write():
        while not stop.is_set():
            for ed in networks:
                io.save(ed, file, overwrite=True)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(100):
            ed = io.load(file, backend="loop")
            if ed.seed != 3:
                assert same(ed, networks[ed.seed - 4])
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


def test_a_file_that_is_replaced_keeps_its_permissions(file):
    file.chmod(0o600)
    io.save(trained(seed=4), file, overwrite=True)
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_pipe_and_links_that_lead_to_each_other_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataFileError, match="pipe: .*accepted: a file of edcore"):
        io.load(tmp_path / "pipe")
    with pytest.raises(DataFileError, match="cannot be written"):
        io.save(trained(), tmp_path / "pipe", overwrite=True)
    os.symlink("a", tmp_path / "b")
    os.symlink("b", tmp_path / "a")
    with pytest.raises(DataFileError, match="cannot be written"):
        io.save(trained(), tmp_path / "a")
    with pytest.raises(DataFileError, match="cannot be read"):
        io.load(tmp_path / "a")


@pytest.mark.parametrize("classes", [np.array([3, 7]), np.array(["no", "yes"]), (3, 7), ["no", "yes"]])
def test_labels_may_be_of_numpy(tmp_path, classes):
    io.save(trained(), tmp_path / "net", classes=classes)
    assert list(io.inspect(tmp_path / "net").classes) == list(classes)


@pytest.mark.parametrize(
    "classes",
    ["ab", b"ab", {"a", "b"}, frozenset((1, 2)), (1, 1), (1, "a"), (True, False), 5, (1, 2**70), ("a", "\ud800")],
)
def test_labels_that_are_none(tmp_path, classes):
    with pytest.raises(InputError, match="^classes: given .*; accepted: 2 "):
        io.save(trained(), tmp_path / "net", classes=classes)


def spelt(labels):
    return len(json.dumps(json.dumps(labels)))


@pytest.mark.parametrize("backend", ["numpy", "loop"])
@pytest.mark.parametrize(
    "classes",
    [
        tuple(f"日本語日本語日本{number}" for number in range(22_000)),
        tuple(number * (-1) ** number for number in range(10**18, 10**18 + 51_000)),
        tuple("a" * number for number in range(1, 1_500)),
        ('"\\\n\x00' * 100_000, "b"),
        ("😀" * 100_000, ""),
    ],
    ids=["Japanese", "numbers", "long", "escapes", "emoji"],
)
def test_labels_that_are_too_many_for_a_header_come_back(tmp_path, classes, backend):
    assert spelt(classes) > 2**20
    heads = 1 if len(classes) == 2 else len(classes)
    ed = ED(2, hidden_width=1, hidden_depth=0, heads=heads, seed=1, backend=backend)
    io.save(ed, tmp_path / "net", classes=classes)
    assert io.inspect(tmp_path / "net").classes == classes
    assert same(io.load(tmp_path / "net", backend=backend), ed)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_labels_just_below_and_above_what_a_header_takes_come_back(tmp_path, more):
    classes = ("a" * (2**19 - spelt(["", "b"]) + more), "b")
    assert spelt(classes) == 2**19 + more
    io.save(trained(), tmp_path / "net", classes=classes)
    assert io.inspect(tmp_path / "net").classes == classes
    assert (documented(tmp_path / "net")["classes"] == "classes") == (more > 0)


@pytest.mark.parametrize("text", [b"", b"\xff", b"[1, 2", b"[" * 100_000, b'["a", NaN]', b'["a", 1]', b"null", b"{}"])
def test_labels_in_an_array_that_were_changed_are_refused(tmp_path, file, text):
    document, arrays = documented(file), safetensors.numpy.load_file(file)
    arrays["classes"] = np.frombuffer(text, np.uint8)
    file.write_bytes(container.pack(document | {"classes": "classes"}, arrays))
    if text == b"null":
        assert io.inspect(file).classes is None
        return
    for read in (io.inspect, io.load):
        with pytest.raises(DataFileError, match="a damaged or changed file: "):
            read(file)


# What is written can be read: a file that `load` would refuse is refused by `save`, which leaves the old file.

UNREADABLE = {
    "a seed of too many bits": ({"_seed": 2**200}, "its header: seed: given a number of 201 bits"),
    "a seed below 0": ({"_seed": -1}, "its header: seed: given -1"),
    "a seed that JSON lacks": ({"_seed": np.int64(5)}, "int64 is not JSON serializable"),
    "a seed that is none": ({"_seed": 1.5}, "its header: seed: given 1.5"),
    "a floor above the weights": ({"_rule": edcore.Rule(floor=0.5)}, "values that are below the rule's floor of 0.5"),
    "a rule of a text": ({"_rule": "split"}, "asdict"),
    "epochs below 0": ({"_epochs": np.array([-1])}, "the epochs of its heads"),
    "epochs of other heads": ({"_epochs": np.array([1, 2])}, "the epochs of its heads"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_could_not_be_read_is_not_written(file, case):
    changes, sentence = UNREADABLE[case]
    ed, before = trained(rule="signed"), file.read_bytes()
    for name, value in changes.items():  # past the checks of the attributes, each of which is one door of several
        object.__setattr__(ed, name, value)
    for path, options in ((file, {"overwrite": True}), (file.with_name("new"), {})):
        with pytest.raises(InputError, match=f"^ed: given what edcore.io.load would refuse: .*{re.escape(sentence)}"):
            io.save(ed, path, **options)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_header_above_the_readers_limit_is_not_written(file, monkeypatch):
    real = io.networks.header_of
    monkeypatch.setattr(io.networks, "header_of", lambda *given: real(*given) | {"more": "x" * 2**20})
    before = file.read_bytes()
    with pytest.raises(InputError, match=r"a header of 1,0\d\d,\d\d\d bytes; accepted: up to 1,048,576"):
        io.save(trained(), file, overwrite=True)
    assert file.read_bytes() == before


def test_a_header_may_announce_a_network_of_any_size_and_costs_nothing(file):
    rewritten(file, lambda document: document["network"].update(width=10**12, depth=10**12))
    tracemalloc.start()
    try:
        assert io.inspect(file).network.parameters > 10**36
        with pytest.raises(DataFileError, match="shape"):
            io.load(file)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


class Diverged(ED):
    """A network with infinite weights, which `ED` itself never has."""

    @property
    def weights(self):
        weights = super().weights
        weights["hidden.bias"][...] = np.inf
        return weights


def test_a_network_that_has_diverged_replaces_nothing(file):
    before = file.read_bytes()
    with pytest.raises(InputError, match=r"ed: given NaN or infinite values in hidden\.bias; accepted"):
        io.save(Diverged(in_=3, hidden_width=4, hidden_depth=2, seed=4), file, overwrite=True)
    assert file.read_bytes() == before


def test_a_link_stays_a_link(file, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(file)
    io.save(trained(seed=4), link, overwrite=True)
    assert link.is_symlink()
    assert io.load(file).seed == 4


def test_what_a_killed_process_left_is_removed(file):
    dead, alive, foreign = (file.with_name(name) for name in (
        f".{file.name}.4194305.ab.partial", f".{file.name}.{os.getppid()}.ab.partial", f".{file.name}.mine.partial"
    ))  # fmt: skip
    for left in (dead, alive, foreign):
        left.write_bytes(b"half")
    io.save(trained(), file, overwrite=True)
    assert [left.exists() for left in (dead, alive, foreign)] == [False, True, True]


CONTENTS = {
    "empty": (lambda old: b"", "0 bytes, too few for a header"),
    "short": (lambda old: old[:7], "7 bytes, too few for a header"),
    "truncated in the header": (lambda old: old[:100], "no header that fits into it"),
    "truncated": (lambda old: old[:-1], "Error while deserializing header: "),
    "too long": (lambda old: old + b"x", "Error while deserializing header: "),
    "a pickle": (lambda old: b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07builtin", "no header that fits"),
    "text": (lambda old: b"x,y\n" + b"1,2\n" * 50, "no header that fits into it"),
    "oversize header": (
        lambda old: struct.pack("<Q", 2**20 + 1) + b"{" + b" " * 2**20 + b"}",
        "1,048,577 bytes; accepted: up to 1,048,576",
    ),
    "header that is no JSON": (lambda old: struct.pack("<Q", 8) + b"[[[[[[[[", "safetensors file ("),
    "another program's": (
        lambda old: safetensors.numpy.save({"a": np.zeros(3)}),
        "its header has no 'edcore'",
    ),
}


@pytest.mark.parametrize("content", CONTENTS)
def test_what_is_no_file_of_edcores_is_refused(content, file):
    change, sentence = CONTENTS[content]
    file.write_bytes(change(file.read_bytes()))
    for read in (io.inspect, io.load):
        with pytest.raises(DataFileError, match=re.escape(sentence)):
            read(file)


def put(**changes):
    return lambda document: document.update(changes)


DOCUMENTS = {
    "a newer format": (put(format=3, versions={"edcore": "9.1"}), "written in format 3 by edcore 9.1"),
    "no format": (put(format=None), "its header has no format number"),
    "a format that is no number": (put(format="1"), "its header has no format number"),
    "no JSON": (lambda document: "{", "JSON ("),
    "NaN": (lambda document: '{"format": NaN}', "JSON (NaN is"),
    "no object": (lambda document: "[1]", "its header has no format number"),
    "nested too deeply": (lambda document: "[" * 100_000, "JSON ("),
    "no network": (lambda document: document.pop("network"), "its header: no 'network'"),
    "a field too few": (
        lambda document: document["network"].pop("width"),
        "Network has missing or unknown fields: ['width']",
    ),
    "a field too many": (
        lambda document: document["rule"].update(more=1),
        "Rule has missing or unknown fields: ['more']",
    ),
    "a wrong width": (lambda document: document["network"].update(width=-1), "width: given -1; accepted"),
    "an endless width": (
        lambda document: document["network"].update(width=10**4000),
        "width: given a number of 13,288 bits; accepted: a whole number from 1 to 2**128 - 1",
    ),
    "an endless u0": (lambda document: document["network"].update(u0=10**400), "u0: given 1000"),
    "a wrong type": (put(rule=[]), "Rule has missing or unknown fields: []"),
    "a wrong initial": (
        lambda document: document["network"].update(initial=None),
        "Initial has missing or unknown fields: None",
    ),
    "what excludes each other": (
        lambda document: document["network"].update(outputs=2),
        "outputs: given 2 with a split",
    ),
    "a wrong seed": (put(seed=-1), "seed: given -1"),
    "a seed that is none": (put(seed=None), "seed: given None"),
    "wrong classes": (put(classes=[1, 2, 3]), "classes: given (1, 2, 3)"),
    "a wrong range": (put(x_range=[1]), "its header:"),
    "a range that is upside down": (put(x_range=[1, 0]), "x_range: given [1, 0]"),
    "a wrong backend": (put(backend=5), "text: 5"),
    "a backend that is no text": (put(backend="\ud800"), "surrogates not allowed"),
    "wrong versions": (put(versions={"edcore": 1}), "text: 1"),
    "a wrong run": (put(run="yes"), "its header"),
    "a wrong checksum": (lambda document: json.dumps(document | {"seed": 4}), "header does not match"),
    "an endless number": (lambda document: json.dumps(document).replace('"seed": 3', '"seed": 1e999'), "its checksum"),
    "no checksums": (
        lambda document: json.dumps(document | {"sha256": None}),
        "header does not match",
    ),
}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_header_that_was_changed_is_refused(document, file):
    change, sentence = DOCUMENTS[document]
    rewritten(file, change)
    for read in (io.inspect, io.load):
        with pytest.raises(DataFileError, match=re.escape(sentence)):
            read(file)


@pytest.mark.parametrize("values", [(-1e308, 1e308), (1e308, 1e308), (2, 2)], ids=str)
def test_any_finite_range_that_is_not_upside_down_comes_back(file, values):
    rewritten(file, put(x_range=values))
    assert io.inspect(file).x_range == values


def test_a_header_may_nest_just_as_deep_as_python_reads(file):
    # Where its reader comes to the end, the one that sums up or tells of it may not have the depth any more.
    whole = documented(file)
    del whole["sha256"]
    arrays = safetensors.numpy.load_file(file)
    for depth in range(1, sys.getrecursionlimit(), 2):
        text = json.dumps(whole).replace('"seed": 3', '"seed": ' + "[" * depth + "]" * depth)
        for of in (text, ""):
            sums = {"header": hashlib.sha256(of.encode()).hexdigest()}
            content = safetensors.numpy.save(arrays, {"edcore": f'{text[:-1]}, "sha256": {json.dumps(sums)}}}'})
            file.write_bytes(content)
            with pytest.raises(DataFileError, match="damaged .*: its header"):
                io.inspect(file)


ARRAYS = {
    "a shape": (lambda arrays: arrays.update({"input.bias": np.zeros((1, 2, 9), np.float32)}), "shape (1, 2, 9)"),
    "a dtype": (lambda arrays: arrays.update({"input.bias": np.zeros((1, 2, 8))}), "dtype float64"),
    "NaN": (lambda arrays: arrays["hidden.weight"].fill(np.nan), "NaN or infinite values"),
    "one missing": (lambda arrays: arrays.pop("output.bias"), "it lacks output.bias"),
    "epochs below 0": (lambda arrays: arrays["epochs"].fill(-1), "the epochs of its heads"),
    "epochs of another shape": (lambda arrays: arrays.update(epochs=np.zeros(2, np.int64)), "the epochs of its heads"),
}


@pytest.mark.parametrize("change", ARRAYS)
def test_arrays_that_were_changed_are_refused(change, file):
    change, sentence = ARRAYS[change]
    document, arrays = documented(file), safetensors.numpy.load_file(file)
    change(arrays)
    file.write_bytes(container.pack(document, arrays))
    with pytest.raises(DataFileError, match=re.escape(sentence)):
        io.load(file)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_is_changed_is_refused_or_harmless(file, data):
    whole = file.read_bytes()
    end = 8 + int.from_bytes(whole[:8], "little")
    place = data.draw(st.integers(0, end - 1) | st.integers(end, len(whole) - 1))
    dropped = data.draw(st.integers(0, 3))
    changed = file.with_name("changed")
    changed.write_bytes(whole[:place] + data.draw(st.binary(max_size=3)) + whole[place + dropped :])
    with contextlib.suppress(DataFileError):
        assert same(io.load(changed, backend="loop"), trained())


@pytest.mark.parametrize("overwrite", ["False", "no", 0, 1, None, "", []])
def test_only_true_and_false_say_whether_a_file_is_replaced(tmp_path, overwrite):
    (tmp_path / "net").write_text("mine")
    with pytest.raises(InputError, match="^overwrite: given .*; accepted: True or False"):
        io.save(trained(), tmp_path / "net", overwrite=overwrite)
    assert (tmp_path / "net").read_text() == "mine"
