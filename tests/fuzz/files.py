"""Targets for files of networks and estimators: any bytes, a changed header, or a document with valid checksums.

Each function gets bytes and an empty folder, and returns whether the file was read. It raises every error that is not
documented.
"""

import contextlib
import functools
import hashlib
import json
import os
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import safetensors.numpy
from sklearn.compose import ColumnTransformer
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer, StandardScaler

import edcore
from edcore import io
from edcore.errors import DataFileError, EDCoreError, InputError
from edcore.files import container
from edcore.files.checksum import checksum
from edcore.io.estimators import last_of
from edcore.training import checkpoint
from fuzz import shell
from fuzz.choices import Choices, changed, written

MOST_PARAMETERS = 2**14
MOST_CHANGES = 4


def container_bytes(data, folder):
    """Take the bytes as a file."""
    return _read(data, folder)


def container_header(data, folder):
    """Change names, shapes, offsets or lengths of the arrays in the header of a valid file."""
    choices = Choices(data)
    content = choices.pick(examples())
    end = 8 + int.from_bytes(content[:8], "little")
    header, arrays = json.loads(content[8:end]), content[end:]
    for _ in range(MOST_CHANGES):
        if not (choices and header):
            break
        if choices.below(8):
            changed(choices, header)
        else:
            place = choices.below(len(arrays) + 1)
            arrays = arrays[:place] + choices.bytes(choices.below(4)) + arrays[place + choices.below(4) :]
    text = written(json.dumps(header)).encode()
    return _read(len(text).to_bytes(8, "little") + text + arrays, folder)


def container_document(data, folder):
    """Change the document and the arrays of a valid file, and compute its checksums again."""
    return _changed_document(data, folder, examples(), lambda document: document)


def estimator_tree(data, folder):
    """Change the tree and the arrays of the file of an estimator, and compute its checksums again."""
    return _changed_document(data, folder, models(), lambda document: document["estimator"])


def _changed_document(data, folder, contents, part_of):
    choices = Choices(data)
    document, arrays = _taken_apart(choices.pick(contents))
    document, arrays = json.loads(json.dumps(document)), dict(arrays)
    part = part_of(document)
    for _ in range(MOST_CHANGES):
        if not (choices and part):
            break
        if choices.below(8):
            changed(choices, part)
        else:
            _change_arrays(choices, arrays)
    document.pop(container.SUMS, None)
    text = written(json.dumps(document))
    sums = {container.ITSELF: hashlib.sha256(text.encode()).hexdigest()}
    sums |= {key: checksum([array]) for key, array in arrays.items()}
    text = f'{text[:-1]}{", " if document else ""}"{container.SUMS}": {json.dumps(sums)}}}'
    return _read(safetensors.numpy.save(arrays, {container.KEY: text}), folder)


@functools.cache
def examples():
    """Return the bytes of valid files: networks of several kinds, and checkpoints of a short and of a long run."""
    data = edcore.datasets.xor()
    networks = (
        edcore.ED(2, 1, 1, rule="split", seed=1),
        edcore.ED(2, 1, 0, rule="edla", heads=2, seed=2),
        edcore.ED(1, 2, 1, rule="modulo", outputs=2, dtype="float64", seed=3),
    )
    with tempfile.TemporaryDirectory() as folder:
        for number, ed in enumerate(networks):
            classes = [None, ("a", "b"), (3, 7)][number]
            io.save(ed, Path(folder, str(number)), classes=classes)
        ed = edcore.ED(2, 1, 0, seed=4, backend="numpy")
        options = {"dataset": "xor", "data_dir": "data", "classes": "0,1", "rule": "signed", "width": 1, "alpha": None}
        state = checkpoint.RunState(
            options=options, epochs=2, batch_size=4, eval_every=1, samples=4, data=checkpoint.fingerprint(data)
        )
        for name, epochs in (("run", 2), ("long", 1025)):
            run = replace(state, epochs=epochs)
            kept = checkpoint.Checkpoint(Path(folder, name), 1, ed, data, run, print, new=True)
            steps = edcore.training.train(ed, data, epochs=epochs, batch_size=4, eval_every=1)
            kept.write(edcore.training.History.of(steps))
        return tuple(Path(folder, name).read_bytes() for name in ("0", "run", "1", "2", "long"))


@functools.cache
def models():
    """Return the bytes of valid files of estimators: one alone, and pipelines with steps of many kinds."""
    x = np.array([[1.0, 2, 0], [3, np.nan, 1], [5, 1, 2], [9, 7, 0]])
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(add_indicator=True), QuantileTransformer(n_quantiles=2)), [0, 1]),
            ("texts", OneHotEncoder(min_frequency=2, handle_unknown="ignore"), [2]),
        ],
        remainder="passthrough",
    )
    options = {"hidden_width": 1, "max_iter": 1, "random_state": 0, "backend": "numpy"}
    fitted = (
        edcore.EDClassifier(**options).fit(x[:, ::2], ["a", "b", "b", "c"]),
        make_pipeline(KNNImputer(n_neighbors=1), StandardScaler(), edcore.EDRegressor(**options)).fit(x, x[:, ::2]),
        make_pipeline(columns, edcore.EDClassifier(rule="edla", **options)).fit(x, [True, False, True, False]),
    )
    with tempfile.TemporaryDirectory() as folder:
        for number, model in enumerate(fitted):
            io.save(model, Path(folder, str(number)), target="y" if number else None)
        return tuple(Path(folder, str(number)).read_bytes() for number in range(len(fitted)))


@functools.cache
def _taken_apart(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net")
        path.write_bytes(content)
        with container.open_container(path) as file:
            return file.document, safetensors.numpy.load(content)


def _change_arrays(choices, arrays):
    key = choices.pick(sorted(arrays) or ["a"])
    array = arrays.get(key, np.zeros(1))
    match choices.below(7):
        case 0:
            arrays.pop(key, None)
        case 1:
            with np.errstate(all="ignore"):
                arrays[key] = array.astype(choices.pick(["f2", "f4", "f8", "i1", "i8", "u4", "u8", "?"]))
        case 2:
            arrays[key] = array.reshape(choices.pick([-1, (1, -1), (-1, 1), (1, 1, -1)]))
        case 3:
            arrays[key] = np.zeros(choices.pick([(), 0, (0, 3), 1, 5, (1, 1, 1, 1, 1)]), array.dtype)
        case 4:
            arrays[choices.bytes(choices.below(8)).decode("latin-1")] = array
        case _:
            array = array.copy().reshape(-1)
            if array.size:
                values = [0, 1, 100, -1] if array.dtype.kind == "i" else [0, 1, 100]
                if array.dtype.kind == "f":
                    values = [np.nan, np.inf, -np.inf, 0, -1, 6e4, -6e4, 1e-45, np.finfo(array.dtype).max]
                array[choices.below(array.size)] = choices.pick(values)
            arrays[key] = array.reshape(arrays[key].shape) if key in arrays else array


def _read(content, folder):
    """Read the file in all ways; return whether its network was loaded."""
    path, saved, model = folder / "net", None, None
    path.write_bytes(content)
    with contextlib.suppress(EDCoreError):
        checkpoint.read(path, "auto", None)
    with contextlib.suppress(DataFileError), warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*its steps are of scikit-learn")
        saved = io.inspect(path)
        model = io.load(path, backend="numpy")
    if saved or len(content) % 16 == 0:
        code = shell.run("inspect", str(path), *(["--json"] if len(content) % 8 else []))  # a table takes long to print
        assert saved or code == 2
    assert path.read_bytes() == content
    assert os.listdir(folder) == ["net"]
    if model is not None:
        (_use if isinstance(model, edcore.ED) else _use_model)(model, saved, folder / "again")
    return model is not None


def _use_model(model, saved, path):
    """Let a loaded estimator predict, and save it again, both of which may be refused."""
    assert last_of(model).ed_.network.parameters < MOST_PARAMETERS
    with contextlib.suppress(InputError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        io.save(model, path, target=saved.estimator.target)
        again = io.load(path, backend="numpy")
        assert io.inspect(path).estimator == saved.estimator
        assert same(last_of(again).ed_, last_of(model).ed_)
    path.unlink(missing_ok=True)
    if path.with_name("net").stat().st_size % 4 == 0:
        (samples := path.with_name("x.csv")).write_text("1,2,0\n3,,1\n")
        shell.run("predict", str(path.with_name("net")), str(samples), "--backend", "numpy", quiet_success=False)
        samples.unlink()


def same(one, other):
    """Return whether two networks have the same weights."""
    return all(other.weights[key].tobytes() == value.tobytes() for key, value in one.weights.items())


def _use(ed, saved, path):
    """Let a loaded network predict, save it, and load it again."""
    assert ed.network.parameters < MOST_PARAMETERS, "no file of these sizes has more"
    outputs = ed.predict(np.zeros((1, ed.network.in_)))
    assert outputs.size == ed.network.columns
    io.save(ed, path)
    again = io.load(path, backend="numpy")
    path.unlink()
    value, _ = saved.x_range or (0.0, 0.0)  # of others there may be a warning
    (samples := path.with_name("x.csv")).write_text(",".join([repr(value)] * ed.network.in_))
    predicted = path.with_name("predicted.csv")
    command = ("predict", str(path.with_name("net")), str(samples), "--out", str(predicted))
    code = shell.run(*command, "--backend", "numpy")  # Numba's cache of kernels is pickled, and that is forbidden
    assert predicted.exists() == (code == 0)
    samples.unlink()
    predicted.unlink(missing_ok=True)
    assert (again.network, again.rule, again.seed) == (ed.network, ed.rule, ed.seed)
    assert same(ed, again)
