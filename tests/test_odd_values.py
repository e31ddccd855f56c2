"""One table of odd values, tried on every argument of the public callables that make values.

Each is either refused by an error of edcore, or taken with the same result as the plain value that it equals.
There is no other exception, and nothing is taken as something else.
"""

import contextlib
import dataclasses
import datetime
import decimal
import enum
import fractions
import inspect
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import joblib
import numpy as np
import pytest

import edcore
from edcore.errors import EDCoreError

REFUSED = object()
"""The plain value of what equals none: it must be refused."""


class Two:
    def __index__(self):
        return 2


class HalfAFloat:
    def __float__(self):
        return 0.5


class Broken:
    """Whatever is done with it fails."""

    def __fail(self, *_):
        raise RuntimeError("broken")

    __index__ = __float__ = __bool__ = __str__ = __repr__ = __fspath__ = __len__ = __iter__ = __fail
    __eq__ = __lt__ = __array__ = __fail
    __hash__ = object.__hash__


class PathOfText(os.PathLike):
    def __fspath__(self):
        return "folder"


class Text(str):
    __slots__ = ()


class Number(enum.IntEnum):
    TWO = 2


VALUES = [
    *(True, False, np.True_, np.False_, np.array(True), None, ..., NotImplemented),
    *(0, 1, 2, 3, -1, -0.0, 0.0, 0.5, 1.5, 2.0, -0.5, 1e300, 1e-320, float("nan"), float("inf"), -float("inf")),
    *(2**31, 2**63, 2**64, 2**200, 10**5000, -(2**70)),
    *(kind(2) for kind in (np.int8, np.uint8, np.int16, np.int64, np.uint64, np.float16, np.float32, np.longdouble)),
    *(kind(0.5) for kind in (np.float16, np.float32, np.float64, np.longdouble, decimal.Decimal, fractions.Fraction)),
    *(decimal.Decimal(2), decimal.Decimal("NaN"), decimal.Decimal("sNaN"), decimal.Decimal("1e999999")),
    *(fractions.Fraction(2), fractions.Fraction(10**400), Number.TWO, Two(), HalfAFloat(), Broken()),
    *(2 + 0j, 0.5j, np.complex64(2), np.float64("nan"), np.float32("inf")),
    *(np.array(2), np.array(0.5), np.array([2]), np.array([0.5]), np.array([2, 3]), np.array([]), np.array([[2]])),
    *(
        np.array(2, object),
        np.array("2"),
        np.array(None),
        np.ma.masked,
        np.ma.array(2, mask=True),
        np.zeros(2, "i4,f4"),
    ),
    *(
        "",
        " ",
        "0",
        "2",
        "0.5",
        "no",
        "False",
        "True",
        "None",
        "nan",
        "auto ",
        " numpy",
        "NUMPY",
        "é",
        "\x00",
        "\n",
        "a" * 5000,
    ),
    *("\ud800", Text("2"), np.str_("2"), b"", b"2", b"\x01\x02", bytearray(b"2"), np.bytes_(b"2"), memoryview(b"22")),
    *([], [2], [0.5], [2, 2], [None], (), (2,), (0, 1), {}, {2: 3}, {"a": 1}, set(), {2}, range(2), range(0), slice(2)),
    *(np.datetime64("2020"), np.timedelta64(2, "s"), datetime.date(2020, 1, 1), datetime.timedelta(2)),
    *(Path("folder"), PathOfText(), object(), int, float, len, np, np.float64, np.dtype("float32")),
]
MAKERS = [lambda: iter([2]), lambda: (number for number in (0, 1)), lambda: map(int, "12")]
"""Values that can be used once."""


def plain(kind, value):
    """Return the ordinary value that an odd one equals where this kind of value is wanted; REFUSED if there is none."""
    optional = "None" in kind
    if value is None:
        return None if optional else REFUSED
    boolean = isinstance(value, bool) or (getattr(value, "dtype", None) == np.dtype(bool) and np.ndim(value) == 0)
    numeric = isinstance(value, int | float | decimal.Decimal | fractions.Fraction | Two | HalfAFloat)
    numeric = numeric or (getattr(getattr(value, "dtype", None), "kind", "") in "iuf" and np.size(value) == 1)
    numeric = numeric and not isinstance(value, np.ma.MaskedArray)
    with contextlib.suppress(ValueError, OverflowError, TypeError, ArithmeticError):
        if "bool" in kind and boolean:
            return bool(value)
        if "int" in kind and numeric and not boolean:
            whole = value.__index__() if hasattr(value, "__index__") else float(value)
            return int(whole) if whole == int(whole) else REFUSED
        if "float" in kind and numeric and not boolean:
            return float(value.__index__() if isinstance(value, Two) else value)
        if "PathLike" in kind and isinstance(value, str | os.PathLike):
            return os.fspath(value)
        if ("str" in kind or "Literal" in kind) and isinstance(value, str):
            return str(value)
    return REFUSED


def result(value):
    """Return what two results have in common if they are the same."""
    if isinstance(value, edcore.ED):
        return result([value.network, value.rule, value.epochs, value.weights, value.seed, value.backend])
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tolist() if value.dtype == object else value.tobytes()
    if isinstance(value, np.generic):
        return result(value.item())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return type(value).__name__, [result(getattr(value, one.name)) for one in dataclasses.fields(value)]
    if isinstance(value, Mapping):
        return [(key, result(item)) for key, item in value.items()]
    if isinstance(value, list | tuple | Iterator):
        return [result(item) for item in value]
    return repr(value) if isinstance(value, bool | int | float | str | type(None)) else type(value).__name__


def outcome(function, arguments):
    """Return the result of a call, or the error of edcore; other exceptions are its faults."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return result(function(**arguments))
    except EDCoreError as error:
        return error


def faults(function, arguments, name, kind, odd):
    """Return a line for each odd value that an argument takes wrongly."""
    found = []
    for make in odd:
        value, shown = make(), f"{name}={describe(make())}"
        try:
            given = outcome(function, arguments() | {name: value})
        except Exception as error:
            found.append(f"{shown}: {type(error).__name__}: {str(error)[:150]}")
            continue
        if isinstance(given, EDCoreError) or kind == "other":
            continue
        wanted = plain(kind, make())
        if wanted is REFUSED:
            found.append(f"{shown}: taken")
        elif given != (expected := outcome(function, arguments() | {name: wanted})):
            found.append(f"{shown}: not as {name}={describe(wanted)}: {str(given)[:200]} / {str(expected)[:200]}")
    return found


def describe(value):
    """Return a short text for a value of any kind."""
    try:
        return f"{type(value).__name__} {' '.join(repr(value).split()):.80}"
    except Exception:
        return type(value).__name__


def small(**options):
    """Return a small network that has learnt nothing."""
    return edcore.ED(**{"in_": 2, "hidden_width": 2, "hidden_depth": 1, "seed": 1, "backend": "numpy"} | options)


X = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
Y = np.array([0.0, 1, 1, 0])
FIELDS = {"in_": 2, "width": 2}
TWICE = {"epochs": 2, "batch_size": 2}


def both():
    return {"x": X, "target": Y}


def learnt(method):
    """Return a function that calls a method of a small network, and returns its result beside the network."""

    def call(**arguments):
        ed = small()
        found = getattr(ed, method)(**arguments)
        return [None if found is ed else found, ed]

    return call


def estimator(kind):
    """Return a function that fits an estimator with some parameters, and returns what it predicts."""

    def call(**parameters):
        options = {"hidden_width": 2, "max_iter": 2, "random_state": 1, "backend": "numpy", "batch_size": 4}
        return np.asarray(kind(**options | parameters).fit(X, Y).predict(X), float)

    return call


def data():
    return edcore.datasets.Dataset("mine", X, Y.astype(int), X, Y.astype(int), (0, 1))


def trained(**arguments):
    ed = small()
    return [[entry.error for entry in edcore.training.train(ed, data(), **{"epochs": 1} | arguments)][:9], ed]


def streamed(**arguments):
    ed = small()
    return [list(edcore.streaming.train(ed, X, Y, **{"prefetch": 0} | arguments))[:9], ed]


def headwise(**arguments):
    with joblib.parallel_config("sequential"):
        return edcore.parallel.fit_heads(small(), X, Y, **arguments)


def saved(**arguments):
    with tempfile.TemporaryDirectory() as folder:
        edcore.io.save(path=Path(folder, "net"), **{"model": small(), **arguments})
        return edcore.io.inspect(Path(folder, "net")).seed


def planned(**arguments):
    found = edcore.sweep.Sweep({"dataset": "xor", "width": 2}, **arguments)
    return [found.seeds, len(found)]


FUNCTIONS = {
    "ED": (edcore.ED, small, dict),
    "ED.fit": (edcore.ED.fit, learnt("fit"), lambda: both() | TWICE),
    "EDClassifier": (edcore.EDClassifier, estimator(edcore.EDClassifier), dict),
    "EDRegressor": (edcore.EDRegressor, estimator(edcore.EDRegressor), dict),
    "training.train": (edcore.training.train, trained, dict),
    "streaming.train": (edcore.streaming.train, streamed, dict),
    "parallel.fit_heads": (edcore.parallel.fit_heads, headwise, dict),
    "io.save": (edcore.io.save, saved, dict),
    "sweep.Sweep": (edcore.sweep.Sweep, planned, dict),
    "Initial": (edcore.Initial, edcore.Initial, dict),
    "Network": (edcore.Network, edcore.Network, lambda: FIELDS),
    "Rule": (edcore.Rule, edcore.Rule, dict),
    "core.initialise": (
        edcore.core.initialise,
        edcore.core.initialise,
        lambda: {"network": edcore.Network(**FIELDS), "seed": 1},
    ),
    "core.preset": (edcore.core.preset, edcore.core.preset, lambda: {"rule": "signed"}),
    "datasets.parity": (edcore.datasets.parity, edcore.datasets.parity, lambda: {"bits": 2}),
    "datasets.xor": (edcore.datasets.xor, edcore.datasets.xor, dict),
    "kaneko.Rand": (edcore.kaneko.Rand, edcore.kaneko.Rand, lambda: {"seed": 1}),
    "kaneko.Parameters": (
        edcore.kaneko.Parameters,
        edcore.kaneko.Parameters,
        lambda: {"inputs": 2, "epochs": 2, "hidden": 2},
    ),
}
"""Each callable that is tried: it itself, how it is called, and arguments that it accepts."""

ARRAYS = {
    "self",
    "ed",
    "x",
    "target",
    "data",
    "path",
    "train",
    "learnt",
    "after",
    "callbacks",
    "transform",
    "target_transform",
    "random_state",
    "input_range",
}
"""Arguments of other kinds, which have tests of their own."""

SIMPLE = {"int", "float", "bool", "str", "int | None", "float | None", "str | None", "bool | None"}
ODD = [lambda value=value: value for value in VALUES] + MAKERS
FEW = [make for make in ODD if not any(make() is value for value in [*VALUES] if type(value) is int and value > 1000)]
"""Without numbers of epochs and the like that would take for ever."""

RUNS = ("ED.fit", "EDClassifier", "EDRegressor", "training.", "streaming.", "parallel.", "sweep.")
CASES = [
    (name, argument.name, str(argument.annotation))
    for name, (function, _, _) in FUNCTIONS.items()
    for argument in inspect.signature(function).parameters.values()
    if argument.kind not in (argument.VAR_KEYWORD, argument.VAR_POSITIONAL) and argument.name not in ARRAYS
]


EXCEPTED = {
    **dict.fromkeys(
        ("ED.heads", "ED.outputs", "ED.dtype", "ED.seed"),
        "the table does not describe it: None is a default, no seed is another one each time, a dtype has many forms",
    ),
    **dict.fromkeys(
        (f"kaneko.Parameters.{flag}" for flag in ("f3", "f6", "f7", "f10", "f11")),
        "switches of the program of 1999, 0 or 1: True and False are taken too",
    ),
    "Network.depth": "None stands for 1, or for what the widths say; the attribute is an int in each network",
    "ED.fit.schedule": "a function of the user may raise what it likes, as len does of a number",
}
"""The arguments that take some odd value wrongly or that the table does not describe, each with the reason."""


@pytest.mark.parametrize(("name", "argument", "annotation"), CASES)
def test_an_odd_value_is_refused_or_taken_as_the_plain_value_that_it_equals(name, argument, annotation):
    _, call, accepted = FUNCTIONS[name]
    kind, odd = annotation if annotation in SIMPLE else "other", FEW if name.startswith(RUNS) else ODD
    found = faults(call, accepted, argument, kind, odd)
    if f"{name}.{argument}" in EXCEPTED:
        assert found != [], "the exception is no longer needed"
    else:
        assert found == []


def test_a_callable_that_takes_odd_values_as_others_is_reported():
    found = faults(lambda count: int(count), lambda: {"count": 2}, "count", "int", [lambda: True, lambda: 1.5])
    assert found == ["count=bool True: taken", "count=float 1.5: taken"]
    found = faults(lambda flag: bool(flag), lambda: {"flag": True}, "flag", "bool", [lambda: "no"])
    assert found == ["flag=str 'no': taken"]
    found = faults(lambda count: 1 / count, lambda: {"count": 2}, "count", "int", [lambda: 0])
    assert found == ["count=int 0: ZeroDivisionError: division by zero"]
