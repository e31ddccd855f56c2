from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import edcore
from edcore import datasets
from edcore.errors import DataFileError, InputError, UnknownNameError

REPOSITORY = Path(__file__).resolve().parents[2]
REAL_DATA = Path(os.environ.get("EDCORE_TEST_DATA", REPOSITORY.parent / "shared" / "data"))

KINDS = [(datasets.mnist, "MNIST"), (datasets.fashion_mnist, "FashionMNIST")]
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

rng = np.random.default_rng(0)
IMAGES = rng.integers(0, 256, (7, 28, 28), np.uint8)
LABELS = np.array([2, 0, 1, 1, 0, 2, 1], np.uint8)


@pytest.fixture(autouse=True)
def _no_torchvision(monkeypatch):
    """No test of this file uses torchvision or the network."""
    monkeypatch.setitem(sys.modules, "torchvision", None)


@pytest.fixture(scope="session")
def real_data():
    if not (REAL_DATA / "MNIST" / "raw").is_dir():
        pytest.skip(f"no folder MNIST/raw in {REAL_DATA}; EDCORE_TEST_DATA names another place")
    return REAL_DATA


def idx(array, code=8, shape=None):
    shape = array.shape if shape is None else shape
    return bytes((0, 0, code, len(shape))) + np.asarray(shape, ">u4").tobytes() + array.tobytes()


def contents():
    """Five images to train on and two to test on, as the four files hold them."""
    return dict(zip(FILES, map(idx, (IMAGES[:5], LABELS[:5], IMAGES[5:], LABELS[5:])), strict=True))


def write(data_dir, files, kind="MNIST", zipped=()):
    raw = data_dir / kind / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if name in zipped:
            (raw / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (raw / name).write_bytes(content)
    return raw


# MNIST's own files


@pytest.mark.parametrize(("classes", "samples"), [((0, 1), (12_665, 2_115)), (None, (60_000, 10_000))])
def test_mnist_has_the_known_number_of_images(real_data, classes, samples):
    data = datasets.mnist(real_data, classes=classes)
    assert (data.x_train.shape, data.x_test.shape) == ((samples[0], 784), (samples[1], 784))
    assert (data.y_train.shape, data.y_test.shape) == ((samples[0],), (samples[1],))
    assert data.classes == (classes or tuple(range(10)))
    assert (data.name, data.features) == ("mnist", 784)


def test_mnist_has_the_known_pixels_and_labels(real_data):
    data = datasets.mnist(real_data)
    assert data.y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert data.y_test[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert (data.x_train.min(), data.x_train.max()) == (0, 1)
    assert data.x_train.mean(dtype=np.float64) == pytest.approx(0.1306604762738429)
    assert data.x_train.std(dtype=np.float64) == pytest.approx(0.3081078038564622)


def test_mnist_classes_are_those_of_the_whole_set(real_data):
    whole, pair = datasets.mnist(real_data), datasets.mnist(real_data, classes=(4, 9))
    np.testing.assert_array_equal(pair.x_test[pair.y_test == 0], whole.x_test[whole.y_test == 4])
    np.testing.assert_array_equal(pair.x_test[pair.y_test == 1], whole.x_test[whole.y_test == 9])


# Files of that kind


@pytest.mark.parametrize("zipped", [(), FILES, (TRAIN_IMAGES, TEST_LABELS)], ids=["plain", "gz", "mixed"])
@pytest.mark.parametrize(("function", "kind"), KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_folder_is_read_plain_or_gzip(tmp_path, function, kind, zipped, dtype):
    write(tmp_path, contents(), kind, zipped)
    data = function(tmp_path, dtype=dtype)
    for x, y, part in ((data.x_train, data.y_train, slice(0, 5)), (data.x_test, data.y_test, slice(5, 7))):
        assert (x.dtype, y.dtype) == (dtype, np.int64)
        np.testing.assert_array_equal(x, IMAGES[part].reshape(-1, 784).astype(dtype) / 255, strict=True)
        np.testing.assert_array_equal(y, LABELS[part])
    assert data.classes == (0, 1, 2)


def test_the_folder_may_be_a_string(tmp_path):
    write(tmp_path, contents())
    assert datasets.mnist(str(tmp_path)).x_train.shape == (5, 784)


def test_the_folder_is_data_where_none_is_given(tmp_path, monkeypatch):
    write(tmp_path / "data", contents())
    monkeypatch.chdir(tmp_path)
    assert datasets.mnist().x_train.shape == datasets.load("mnist").x_train.shape == (5, 784)


def test_a_plain_file_goes_before_its_gzip(tmp_path):
    raw = write(tmp_path, contents())
    (raw / f"{TRAIN_IMAGES}.gz").write_bytes(b"left over from a broken download")
    assert datasets.mnist(tmp_path).x_train.shape == (5, 784)


def test_the_network_takes_the_arrays_as_its_own(tmp_path):
    write(tmp_path, contents())
    for array in (datasets.mnist(tmp_path).x_train, datasets.digits().x_train, datasets.xor().x_train):
        assert array.flags.writeable
        assert array.flags.c_contiguous


# Damaged and foreign files

DAMAGE = {
    "empty": (TRAIN_IMAGES, b"", r"magic number b''; accepted: b'\x00\x00\x08\x03'"),
    "foreign": (TRAIN_IMAGES, b"<!DOCTYPE html>", "magic number b'<!DO'"),
    "dtype code": (TRAIN_IMAGES, idx(IMAGES[:5], code=13), r"magic number b'\x00\x00\r\x03'"),
    "dimensions": (TEST_LABELS, idx(IMAGES[5:]), r"b'\x00\x00\x08\x03'; accepted: b'\x00\x00\x08\x01'"),
    "header": (TRAIN_IMAGES, idx(IMAGES[:5])[:12], "given 12 bytes; accepted: a header of 16 bytes"),
    "truncated": (TRAIN_IMAGES, idx(IMAGES[:5])[:-1], "given 3935 bytes; accepted: 3936, as its header says"),
    "too long": (TEST_LABELS, idx(LABELS[5:]) + b"\0", "given more than 10 bytes; accepted: 10, as its header"),
    "huge": (
        TRAIN_IMAGES,
        idx(IMAGES[:5], shape=(2**32 - 1,) * 3),
        "images of shape (4294967295, 4294967295); accepted: images",
    ),
    "nothing": (TRAIN_IMAGES, idx(IMAGES[:0], shape=(0, 2**32 - 1, 2**32 - 1)), "accepted: at least one value"),
    "image size": (TEST_IMAGES, idx(np.zeros((2, 32, 28), np.uint8)), "images of shape (32, 28); accepted: images of"),
    "fewer labels": (TRAIN_IMAGES, idx(IMAGES[:6]), f"given 6 images, and 5 labels in {TRAIN_LABELS}"),
    "more labels": (TEST_IMAGES, idx(IMAGES[:1]), f"given 1 images, and 2 labels in {TEST_LABELS}"),
    "label": (TEST_LABELS, idx(np.array([3, 10], np.uint8)), "given label 10; accepted: labels 0 to 9"),
}


@pytest.mark.parametrize("zipped", [(), FILES], ids=["plain", "gz"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_named_with_what_is_wrong_and_what_to_do(tmp_path, damage, zipped):
    name, content, wrong = DAMAGE[damage]
    raw = write(tmp_path, contents() | {name: content}, zipped=zipped)
    with pytest.raises(DataFileError) as caught:
        datasets.mnist(tmp_path)
    assert str(caught.value).startswith(f"{raw / name}{'.gz' if zipped else ''}: given ")
    assert wrong in str(caught.value)
    assert re.search(r"\. Replace .*torchvision", str(caught.value))


def test_files_without_samples_are_refused(tmp_path):
    write(tmp_path, contents() | {TEST_IMAGES: idx(IMAGES[:0]), TEST_LABELS: idx(LABELS[:0])})
    with pytest.raises(DataFileError, match=r"given shape \(0,\); accepted: at least one value"):
        datasets.mnist(tmp_path)


def test_a_file_that_unpacks_to_more_than_its_header_says_takes_no_memory(tmp_path):
    raw = write(tmp_path, contents(), zipped=FILES)
    (raw / f"{TRAIN_IMAGES}.gz").write_bytes(gzip.compress(idx(IMAGES[:5]) + bytes(2**26), 1))
    tracemalloc.start()
    try:
        with pytest.raises(DataFileError, match="given more than 3936 bytes"):
            datasets.mnist(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def corrupted(content):
    """Change the middle of the compressed stream."""
    zipped = bytearray(gzip.compress(content))
    zipped[len(zipped) // 2] ^= 255
    return bytes(zipped)


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"no gzip", "Not a gzipped file"),
        (gzip.compress(idx(IMAGES[:5]), mtime=0)[:-100], "ended before the end-of-stream marker"),
        (corrupted(idx(IMAGES[:5])), "CRC check failed"),
        (gzip.compress(b"", mtime=0)[:10] + b"\xff" * 20, "invalid block type"),
    ],
    ids=["foreign", "truncated", "CRC", "stream"],
)
def test_a_corrupt_gzip_is_named(tmp_path, content, wrong):
    raw = write(tmp_path, contents(), zipped=FILES)
    (raw / f"{TRAIN_IMAGES}.gz").write_bytes(content)
    with pytest.raises(DataFileError) as caught:
        datasets.mnist(tmp_path)
    assert str(caught.value).startswith(f"{raw / TRAIN_IMAGES}.gz: given ")
    assert wrong in str(caught.value)
    assert re.search(r"\.gz\. Replace .*torchvision", str(caught.value))
    assert caught.value.__cause__ is not None


# Missing files


@pytest.mark.parametrize(("function", "kind"), KINDS)
def test_without_files_and_torchvision_the_message_says_where_what_and_how(tmp_path, function, kind):
    with pytest.raises(DataFileError) as caught:
        function(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / kind / 'raw'}: missing {', '.join(FILES)}; accepted: ")
    assert 'pip install "edcore[torchvision]"' in str(caught.value)
    assert isinstance(caught.value.__cause__, ImportError)


def test_missing_files_are_named(tmp_path):
    raw = write(tmp_path, {name: content for name, content in contents().items() if name != TEST_LABELS})
    with pytest.raises(DataFileError) as caught:
        datasets.mnist(tmp_path)
    assert str(caught.value).startswith(f"{raw}: missing {TEST_LABELS}; accepted: {', '.join(FILES)}, each plain or")


def test_a_folder_in_place_of_a_file_does_not_count(tmp_path):
    raw = write(tmp_path, {name: content for name, content in contents().items() if name != TEST_LABELS})
    (raw / TEST_LABELS).mkdir()
    with pytest.raises(DataFileError, match=f"missing {TEST_LABELS};"):
        datasets.mnist(tmp_path)
    write(tmp_path, {TEST_LABELS: contents()[TEST_LABELS]}, zipped=FILES)
    assert datasets.mnist(tmp_path).y_test.tolist() == LABELS[5:].tolist()


def test_a_path_that_cannot_be_searched_is_named(tmp_path):
    with pytest.raises(DataFileError, match=r"x/MNIST/raw: .*another data_dir\."):
        datasets.mnist(tmp_path / ("x" * 300))


@pytest.mark.parametrize("data_dir", [None, 3, b"data"])
def test_data_dir_must_be_a_path(data_dir):
    with pytest.raises(InputError) as caught:
        datasets.mnist(data_dir)
    assert str(caught.value) == f"data_dir: given {data_dir!r}; accepted: the path of a folder."


def torchvision_that(monkeypatch, **functions):
    package, package.datasets = ModuleType("torchvision"), ModuleType("torchvision.datasets")
    vars(package.datasets).update(functions)
    monkeypatch.setitem(sys.modules, "torchvision", package)


@pytest.mark.parametrize(("function", "kind"), KINDS)
def test_missing_files_are_downloaded_by_torchvision(tmp_path, monkeypatch, function, kind):
    calls = []

    def download(root, **options):
        calls.append((root, options))
        write(Path(root), contents(), kind, zipped=FILES)

    torchvision_that(monkeypatch, **{kind: download})
    np.testing.assert_array_equal(function(tmp_path).y_train, LABELS[:5])
    assert calls == [(str(tmp_path), {"download": True})]
    function(tmp_path)
    assert len(calls) == 1


def test_a_failed_download_is_reported_with_its_cause(tmp_path, monkeypatch):
    failure = RuntimeError("Error downloading it:\nTried a mirror, got:\nno answer\n")

    def download(root, **options):
        raise failure

    torchvision_that(monkeypatch, MNIST=download)
    with pytest.raises(DataFileError) as caught:
        datasets.mnist(tmp_path)
    assert caught.value.__cause__ is failure
    assert str(caught.value).startswith(f"{tmp_path / 'MNIST' / 'raw'}: missing {TRAIN_IMAGES}, ")
    assert str(caught.value).endswith("(Error downloading it: Tried a mirror, got: no answer).")


def test_a_torchvision_that_downloads_nothing_is_no_success(tmp_path, monkeypatch):
    torchvision_that(monkeypatch, MNIST=lambda root, **options: None)
    with pytest.raises(DataFileError, match=f"torchvision downloaded no {TRAIN_IMAGES}, .* Put them there"):
        datasets.mnist(tmp_path)


def test_a_torchvision_that_breaks_on_import_counts_as_none(tmp_path, monkeypatch):
    (tmp_path / "torchvision.py").write_text('raise RuntimeError("operator torchvision::nms does not exist")')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torchvision")
    with pytest.raises(DataFileError, match="torchvision::nms does not exist") as caught:
        datasets.mnist(tmp_path)
    assert 'pip install "edcore[torchvision]"' in str(caught.value)


@pytest.mark.parametrize("wrong", [{"classes": (0,)}, {"dtype": "float16"}])
def test_nothing_is_downloaded_for_arguments_that_are_refused(tmp_path, monkeypatch, wrong):
    torchvision_that(monkeypatch, MNIST=lambda root, **options: pytest.fail("went to download"))
    with pytest.raises(InputError):
        datasets.mnist(tmp_path, **wrong)


# Digits


def test_digits_are_all_of_scikit_learns_in_a_stratified_split():
    from sklearn.datasets import load_digits

    pixels, target = load_digits(return_X_y=True)
    data = datasets.digits(dtype="float64")
    assert (data.name, data.features, data.classes) == ("digits", 64, tuple(range(10)))
    assert (data.x_train.shape, data.x_test.shape) == ((1437, 64), (360, 64))
    together = np.column_stack([np.vstack([data.x_train, data.x_test]), np.hstack([data.y_train, data.y_test])])
    given = np.column_stack([pixels / 16, target])
    np.testing.assert_array_equal(np.unique(together, axis=0), np.unique(given, axis=0))
    assert np.abs(np.bincount(data.y_test) - np.bincount(target) / 5).max() < 1
    assert (data.x_train.min(), data.x_train.max()) == (0, 1)


def test_digits_are_split_the_same_way_whatever_is_picked():
    whole, again, pair = datasets.digits(), datasets.digits(), datasets.digits(classes=(7, 3))
    np.testing.assert_array_equal(whole.x_test, again.x_test)
    for label, original in enumerate((7, 3)):
        np.testing.assert_array_equal(pair.x_train[pair.y_train == label], whole.x_train[whole.y_train == original])
        np.testing.assert_array_equal(pair.x_test[pair.y_test == label], whole.x_test[whole.y_test == original])
    assert len(pair.y_train) == np.isin(whole.y_train, (7, 3)).sum()
    assert pair.classes == (7, 3)


# Patterns


def test_xor_counts_its_patterns_up_with_the_first_bit_the_least():
    data = datasets.xor()
    assert (data.name, data.features, data.classes) == ("xor", 2, (0, 1))
    assert data.x_train.tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]
    assert data.y_train.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("bits", [1, np.int64(5), 20])
def test_parity_is_one_for_an_odd_number_of_ones(bits):
    data = datasets.parity(bits)
    assert (data.name, data.classes) == (f"parity{bits}", (0, 1))
    assert data.x_train.shape == (2**bits, bits)
    some = [p for p in (0, 1, 5, 19, 2**bits - 1) if p < 2**bits]
    assert data.x_train[some].tolist() == [[float(digit) for digit in reversed(f"{p:0{bits}b}")] for p in some]
    assert data.y_train[some].tolist() == [p.bit_count() % 2 for p in some]
    np.testing.assert_array_equal(data.x_test, data.x_train)
    np.testing.assert_array_equal(data.y_test, data.y_train)


@pytest.mark.parametrize(
    ("bits", "accepted"),
    [(bits, "a whole number of at least 1") for bits in (0, 2.0, True, "2")] + [(21, "a whole number from 1 to 20")],
)
def test_parity_refuses_other_numbers_of_bits(bits, accepted):
    with pytest.raises(InputError) as caught:
        datasets.parity(bits)
    assert str(caught.value) == f"bits: given {bits!r}; accepted: {accepted}."


# What all have in common


@pytest.mark.parametrize("name", ["digits", "xor", "parity3"])
@pytest.mark.parametrize("dtype", ["float32", "float64", np.float64, np.dtype("float32")])
def test_arrays_have_the_dtype_asked_for_and_int64_labels(name, dtype):
    data = datasets.load(name, dtype=dtype)
    assert data.x_train.dtype == data.x_test.dtype == np.dtype(dtype)
    assert data.y_train.dtype == data.y_test.dtype == np.int64


@pytest.mark.parametrize("dtype", ["float16", "int64", None, "what"])
@pytest.mark.parametrize("name", ["digits", "mnist", "fashion_mnist", "xor", "parity2"])
def test_other_dtypes_are_refused(name, dtype):
    with pytest.raises(UnknownNameError) as caught:
        datasets.load(name, dtype=dtype)
    assert str(caught.value).startswith(f"dtype: given {dtype!r}; accepted: 'float32', 'float64'.")


@pytest.mark.parametrize(
    "classes", [(), (3,), 3, (1, 1), (0, 1, 0), (0, 1.0), (0, "1"), "01", (False, True), (-1, 0)], ids=repr
)
@pytest.mark.parametrize("name", ["digits", "mnist", "xor"])
def test_classes_must_be_different_labels(name, classes):
    with pytest.raises(InputError) as caught:
        datasets.load(name, classes=classes)
    assert str(caught.value).startswith(f"classes: given {classes!r}; accepted: at least two different labels, ")
    assert re.search(r"\(0, 1\).* None .*--classes all", str(caught.value))


def test_classes_that_the_data_lack_are_refused_with_those_it_has(tmp_path):
    write(tmp_path, contents())
    with pytest.raises(InputError) as caught:
        datasets.mnist(tmp_path, classes=(0, 4))
    assert str(caught.value).startswith("classes: given (0, 4); accepted: at least two of 0, 1, 2, ")
    assert re.search("mnist.* None .*--classes all", str(caught.value))


@pytest.mark.parametrize("classes", [[2, 0], np.array([2, 0]), (np.uint8(2), 0)], ids=["list", "array", "numpy ints"])
def test_classes_are_numbered_in_the_order_given(tmp_path, classes):
    write(tmp_path, contents())
    data = datasets.mnist(tmp_path, classes=classes)
    assert data.classes == (2, 0)
    assert all(type(label) is int for label in data.classes)
    assert data.y_train.tolist() == [0, 1, 1]  # labels 2, 0, (1, 1,) 0
    np.testing.assert_array_equal(data.x_train * 255, IMAGES[[0, 1, 4]].reshape(3, 784))
    assert data.y_test.tolist() == [0]  # label 2 (and 1)


def test_a_dataset_cannot_be_changed_and_is_shown_without_its_arrays():
    data = datasets.xor()
    with pytest.raises(AttributeError):
        data.name = "or"
    assert repr(data) == "Dataset(name='xor', classes=(0, 1))"


def test_datasets_are_compared_by_identity():
    data = datasets.xor()
    assert data != datasets.xor()
    assert len({data, data, datasets.xor()}) == 2


# By name


@pytest.mark.parametrize("name", ["digits", "mnist", "fashion_mnist", "fashion-mnist", "xor", "parity1", "parity20"])
def test_load_finds_each_name(tmp_path, name):
    for kind in ("MNIST", "FashionMNIST"):
        write(tmp_path, contents(), kind)
    assert datasets.load(name, data_dir=tmp_path).name == name.replace("-", "_")


def test_load_hands_its_arguments_on(tmp_path):
    write(tmp_path, contents(), "FashionMNIST")
    data = datasets.load("fashion-mnist", data_dir=tmp_path, classes=(2, 0), dtype="float64")
    assert (data.classes, data.x_train.dtype, len(data.x_train)) == ((2, 0), np.float64, 3)
    assert datasets.load("digits", classes=(7, 3)).classes == (7, 3)


@pytest.mark.parametrize(("name", "end"), [("minst", "Did you mean 'mnist'?"), ("cifar10", "'xor'."), (None, "'xor'.")])
def test_load_refuses_other_names(name, end):
    with pytest.raises(UnknownNameError) as caught:
        datasets.load(name)
    known = "'digits', 'fashion_mnist', 'mnist', 'parityN', 'xor'"
    assert str(caught.value).startswith(f"dataset: given {name!r}; accepted: {known}.")
    assert str(caught.value).endswith(end)


@pytest.mark.parametrize("name", ["parity", "parityN", "parity0", "parity04", "parity21", "parity-4", "parity٤"])
def test_load_refuses_parity_of_no_known_number_of_bits(name):
    with pytest.raises(InputError) as caught:
        datasets.load(name)
    assert str(caught.value) == f"dataset: given {name!r}; accepted: parity1 to parity20. Write the number of bits."


@pytest.mark.parametrize("name", ["xor", "parity3"])
def test_parity_has_its_two_classes_and_no_others(name):
    assert datasets.load(name, classes=(0, 1)).classes == datasets.load(name).classes == (0, 1)
    for classes in ((1, 0), (0, 2)):
        with pytest.raises(InputError) as caught:
            datasets.load(name, classes=classes)
        assert str(caught.value).startswith(f"classes: given {classes!r}; accepted: None or (0, 1) for this data set.")


def test_the_module_needs_neither_scikit_learn_nor_torchvision_to_be_imported():
    program = "import sys, edcore.datasets; print(sorted({'sklearn', 'torchvision'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


SAMPLES = {"name": "mine", "x_train": np.eye(3), "y_train": [0, 1, 2], "x_test": np.eye(3)[:2], "y_test": [2, 0]}
SAMPLES |= {"classes": (5, 6, 7)}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"y_train": np.array([0, -1, 2])}, "y_train: given -1 for sample 1; accepted: whole numbers from 0 to 2"),
        ({"y_train": np.array([0, 1, 3])}, "y_train: given 3 for sample 2; accepted: whole numbers from 0 to 2"),
        ({"y_train": np.array([0, 1, 2.0])}, "y_train: given dtype float64; accepted: whole numbers"),
        ({"y_train": np.array([True, False, True])}, "y_train: given dtype bool"),
        (
            {"y_train": np.array([0, 1])},
            r"y_train: given shape \(2,\); accepted: shape \(3,\), a label for each sample",
        ),
        ({"y_train": np.eye(3, dtype=int)}, r"y_train: given shape \(3, 3\)"),
        ({"y_train": np.array(["a", "b", "c"])}, "y_train: given dtype <U1; accepted: real numbers"),
        ({"y_train": np.ma.array([0, 1, 2], mask=[0, 1, 0])}, "y_train: given a masked array"),
        ({"y_train": np.array([0, 1, 2**63], np.uint64)}, "y_train: given 9.22337e\\+18 for sample 2"),
        ({"y_test": [0, 3]}, "y_test: given 3 for sample 1"),
        ({"y_test": [0]}, r"y_test: given shape \(1,\)"),
        ({"x_test": np.empty((0, 3)), "y_test": []}, r"x_test: given shape \(0, 3\); accepted: at least one sample"),
        ({"x_train": np.empty((0, 3)), "y_train": []}, r"x_train: given shape \(0, 3\)"),
        ({"x_train": np.empty((3, 0))}, r"x_train: given shape \(3, 0\)"),
        ({"x_test": np.eye(2)}, r"x_test: given shape \(2, 2\); accepted: shape \(batch, 3\)"),
        ({"x_test": np.full((2, 3), np.nan)}, "x_test: given 6 NaN"),
        ({"x_train": np.eye(3) + 0j}, "x_train: given dtype complex128"),
        ({"x_train": np.ma.array(np.eye(3), mask=np.eye(3))}, "x_train: given a masked array"),
        ({"x_train": None}, "x_train: given None"),
        ({"classes": (5, 5, 7)}, r"classes: given \(5, 5, 7\); accepted: at least two different"),
        ({"classes": (5,), "y_train": [0, 0, 0], "y_test": [0, 0]}, r"classes: given \(5,\)"),
        ({"classes": 3}, "classes: given 3"),
        ({"classes": "abc"}, "classes: given 'abc'"),
        ({"classes": b"abc"}, "classes: given b'abc'"),
        ({"classes": (5, 6.0, 7)}, "classes: given"),
        ({"name": 3}, "name: given 3"),
    ],
)
def test_a_data_set_of_ones_own_is_checked(change, sentence):
    with pytest.raises(InputError, match=f"^{sentence}"):
        datasets.Dataset(**SAMPLES | change)


def test_a_data_set_of_ones_own_is_taken_in_any_form():
    data = datasets.Dataset(
        **SAMPLES | {"x_train": np.eye(3, dtype=np.uint8).tolist(), "classes": iter(np.array([5, 6, 7]))}
    )
    assert data.classes == (5, 6, 7)
    assert {type(label) for label in data.classes} == {int}
    assert (data.x_train == np.eye(3)).all()
    assert data.y_train.dtype == data.y_test.dtype == np.int64
    assert data.y_test.tolist() == [2, 0]
    x, y = np.eye(3, dtype=np.float32)[::-1], np.arange(3)[::-1]
    same = datasets.Dataset(**SAMPLES | {"x_train": x, "y_train": y})
    assert same.x_train is x
    assert same.y_train is y  # nothing is copied without need


def test_labels_that_change_after_the_check_are_not_learnt():
    data = datasets.Dataset(**SAMPLES)
    data.y_train[1] = -1
    ed = edcore.ED(3, heads=3, seed=0)
    before = ed.weights
    with pytest.raises(InputError, match="^y_train: given -1 for sample 1"):
        edcore.training.train(ed, data)
    with pytest.raises(InputError, match=r"^data: given tuple; accepted: an edcore.datasets.Dataset"):
        edcore.training.train(ed, (np.eye(3), np.arange(3)))
    assert all((before[key] == value).all() for key, value in ed.weights.items())


@pytest.mark.parametrize(("classes", "part"), [((0, 1), "test"), ((8, 9), "training")])
def test_a_part_without_a_sample_of_the_classes_is_refused_before_learning(tmp_path, command_line, classes, part):
    labels = np.array([0, 1, 2, 3, 4], np.uint8), np.array([8, 9], np.uint8)
    files = zip(FILES, map(idx, (IMAGES[:5], labels[0], IMAGES[5:], labels[1])), strict=True)
    write(tmp_path, dict(files))
    with pytest.raises(
        InputError, match=rf"^classes: given .*; accepted: labels that the {part} samples of mnist have"
    ):
        datasets.mnist(tmp_path, classes=classes)
    assert datasets.mnist(tmp_path, classes=(0, 8)).y_test.tolist() == [1]
    names = ",".join(map(str, classes))
    code, out, err = command_line("train", "--dataset", "mnist", "--data-dir", str(tmp_path), "--classes", names)
    assert (code, out) == (2, "")
    assert f"labels that the {part} samples" in " ".join(err.split())
