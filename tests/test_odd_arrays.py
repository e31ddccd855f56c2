"""One table of odd arrays, as x and as y of everything that learns or predicts.

Each is either refused by an error of edcore or taken. There is no other exception. `python tests/world odd` tries all
of them on all backends.
"""

import datetime
import decimal
import fractions
import importlib.util
import warnings

import numpy as np

import edcore
from edcore.errors import EDCoreError

X = np.random.default_rng(0).random((12, 2))
Y = np.arange(12) % 2
HERE = [
    name
    for name in ("array_api_strict", "dask", "jax", "pandas", "polars", "pyarrow", "sparse", "torch", "xarray")
    if importlib.util.find_spec(name)
]


class Raising:
    """Each of these methods raises, as a closed file's or a lost GPU's does."""

    shape, ndim, dtype = (12, 2), 2, np.dtype("float64")

    def __fail(self, *_, **__):
        raise RuntimeError("lost")

    __array__ = __len__ = __getitem__ = __iter__ = __repr__ = __eq__ = __float__ = __dlpack__ = __fail
    __hash__ = object.__hash__


class Closed:
    """Even what it is cannot be asked."""

    def __getattr__(self, name):
        raise OSError("closed")


class NotAnArray:
    def __array__(self, dtype=None, copy=None):
        return [1, 2]


class Lies:
    """It has another shape than it says."""

    shape, ndim, dtype = (12, 2), 2, np.dtype("float64")

    def __array__(self, dtype=None, copy=None):
        return np.zeros((3, 5, 7))

    def __len__(self):
        return 12


class Namespaced:
    """It says that it follows the Array API standard, and does not."""

    shape, ndim, dtype, size, device = (12, 2), 2, np.dtype("float64"), 24, "cpu"

    def __array_namespace__(self, api_version=None):
        raise RuntimeError("none")


class Protocol:
    """What `__array__` gives is right."""

    def __array__(self, dtype=None, copy=None):
        return X.astype(dtype or "float64")


class Sub(np.ndarray):
    pass


class Refusing(np.ndarray):
    """A subclass, as of a package of units, that refuses NumPy's functions."""

    def __array_ufunc__(self, *_, **__):
        raise TypeError("units do not match")

    def __array_function__(self, *_, **__):
        raise TypeError("units do not match")


class Frame:
    """A table of another library, which offers the protocol of data frames alone."""

    shape = (12, 2)
    columns = ("a", "b")

    def __dataframe__(self, *_, **__):
        raise NotImplementedError


def recursive():
    found = []
    found.append(found)
    return found


def column(values):
    """Return values as objects, one a sample, repeated for 12 samples."""
    found = np.empty(12, object)
    for n in range(12):
        found[n] = values[n % len(values)]
    return found


PLAIN = {
    "x": lambda: X,
    "y": lambda: Y,
    "None": lambda: None,
    "a number": lambda: 3,
    "a text": lambda: "abc",
    "bytes": lambda: b"abc",
    "a function": lambda: len,
    "a class": lambda: np.ndarray,
    "a module": lambda: np,
    "a dictionary": lambda: {"a": [1, 2]},
    "a set": lambda: {1, 2},
    "a generator": lambda: (row for row in X),
    "a range": lambda: range(12),
    "a zip": lambda: zip(X, Y, strict=True),
    "a date": lambda: datetime.date(2020, 1, 1),
    "ellipsis": lambda: ...,
    "an empty list": list,
    "empty lists": lambda: [[]] * 12,
    "lists": lambda: X.tolist(),
    "tuples": lambda: tuple(map(tuple, X)),
    "a list of arrays": lambda: list(X),
    "ragged lists": lambda: [[1.0, 2.0]] * 11 + [[1.0]],
    "ragged arrays": lambda: [np.zeros(n % 3) for n in range(12)],
    "deep lists": lambda: [[[[1.0]]]] * 12,
    "a list in itself": recursive,
    "None in lists": lambda: [[1.0, None]] * 12,
    "texts in lists": lambda: [["a", "1"]] * 12,
    "numbers as texts": lambda: [["1", "2.5"]] * 12,
    "bytes in lists": lambda: [[b"a", b"1"]] * 12,
    "decimals": lambda: [[decimal.Decimal(1), decimal.Decimal("0.5")]] * 12,
    "fractions": lambda: [[fractions.Fraction(1, 3)] * 2] * 12,
    "huge numbers": lambda: [[10**400, 1]] * 12,
    "large numbers": lambda: [[2**70, 1]] * 12,
    "dictionaries": lambda: [{"a": 1.0, "b": 2.0}] * 12,
    "sets": lambda: [{1, 2}] * 12,
    "raising": Raising,
    "closed": Closed,
    "no array of __array__": NotAnArray,
    "it lies": Lies,
    "no namespace": Namespaced,
    "protocol": Protocol,
    "data frame protocol": Frame,
    "raising in a list": lambda: [Raising()] * 12,
    "0 dimensions": lambda: np.array(1.0),
    "1 dimension": lambda: X[:, 0],
    "1 column": lambda: X[:, :1],
    "3 dimensions": lambda: X[:, :, None],
    "10 dimensions": lambda: X.reshape(12, 2, *[1] * 8),
    "0 samples": lambda: X[:0],
    "0 features": lambda: X[:, :0],
    "0 and 0": lambda: np.zeros((0, 0)),
    "1 sample": lambda: X[:1],
    "2 samples": lambda: X[:2],
    "3 features": lambda: np.hstack([X, X[:, :1]]),
    "one value": lambda: np.broadcast_to(np.float64(0.5), (12, 2)),
    "one row": lambda: np.broadcast_to(X[0], (12, 2)),
    "read-only": lambda: np.frombuffer(X.tobytes()).reshape(12, 2),
    "Fortran's order": lambda: np.asfortranarray(X),
    "backwards": lambda: X[::-1, ::-1],
    "every other": lambda: np.repeat(np.repeat(X, 2, 0), 3, 1)[::2, ::3],
    "a field": lambda: np.rec.fromarrays([X, X], names="a,b")["a"],
    "unaligned": lambda: np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view("f8").reshape(12, 2),
    "big-endian": lambda: X.astype(">f8"),
    "float16": lambda: X.astype("f2"),
    "longdouble": lambda: X.astype(np.longdouble),
    "complex": lambda: X + 0j,
    "booleans": lambda: X > 0.5,
    "int8": lambda: (9 * X).astype("i1"),
    "uint64": lambda: (9 * X).astype("u8"),
    "uint64, large": lambda: (9 * X).astype("u8") + np.uint64(2**64 - 100),
    "dates": lambda: X.astype("M8[D]"),
    "no dates": lambda: np.full((12, 2), "NaT", "M8[s]"),
    "durations": lambda: X.astype("m8[s]"),
    "texts": lambda: np.full((12, 2), "a"),
    "numeric texts": lambda: np.full((12, 2), "1.5"),
    "bytes of NumPy": lambda: np.full((12, 2), b"a"),
    "StringDType": lambda: np.full((12, 2), "a", np.dtypes.StringDType()),
    "void": lambda: np.zeros((12, 2), "V4"),
    "structured": lambda: np.zeros(12, "f4,f4"),
    "structured matrix": lambda: np.zeros((12, 2), "f4,i4"),
    "record array": lambda: np.rec.array([(1.0, 2.0)] * 12),
    "objects, numbers": lambda: X.astype(object),
    "objects, None": lambda: np.full((12, 2), None),
    "objects, mixed": lambda: np.array([[1, "a"]] * 12, object),
    "objects, lists": lambda: column([[1, 2], [1]]),
    "objects, arrays": lambda: column([X[0], X[1]]),
    "objects, raising": lambda: column([Raising()]),
    "masked": lambda: np.ma.masked_array(X, X > 0.5),
    "masked, nothing": lambda: np.ma.masked_array(X),
    "masked constant": lambda: np.ma.masked,
    "np.matrix": lambda: np.matrix(X),
    "subclass": lambda: X.view(Sub),
    "refusing subclass": lambda: X.view(Refusing),
    "chararray": lambda: np.char.array(["a"] * 12),
    "np.nditer": lambda: np.nditer(X),
    "np.flatiter": lambda: X.flat,
    "memoryview": lambda: memoryview(X),
    "NaN": lambda: np.where(X > 0.5, np.nan, X),
    "infinity": lambda: np.where(X > 0.5, np.inf, X),
    "1e300": lambda: X * 1e300,
    "1e308": lambda: (X - 0.5) * 2e308,
    "1e-320": lambda: X * 1e-320,
    "negative": lambda: -X,
    "labels from 1": lambda: Y + 1,
    "labels -1": lambda: 2 * Y - 1,
    "float labels": lambda: Y + 0.5,
    "continuous": lambda: X[:, 0] * 3.3,
    "text labels": lambda: np.array(["no", "yes"])[Y],
    "bytes labels": lambda: np.array([b"no", b"yes"])[Y],
    "boolean labels": lambda: Y == 1,
    "date labels": lambda: Y.astype("M8[D]"),
    "duration labels": lambda: Y.astype("m8[s]"),
    "NaN labels": lambda: np.where(Y, np.nan, 1.0),
    "None labels": lambda: column([None, 1]),
    "None and texts": lambda: column([None, "a"]),
    "mixed labels": lambda: column([1, "a"]),
    "tuple labels": lambda: column([(1, 2), (3, 4)]),
    "object labels": lambda: column([object(), object()]),
    "date objects": lambda: column([datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)]),
    "complex labels": lambda: Y * 1j,
    "huge labels": lambda: column([10**400, 1]),
    "decimal labels": lambda: column([decimal.Decimal(1), decimal.Decimal(2)]),
    "enum labels": lambda: column([datetime.UTC, None]),
    "fractions labels": lambda: column([fractions.Fraction(1, 3), 1]),
    "raising labels": lambda: column([Raising(), 1]),
    "one class": lambda: np.zeros(12, int),
    "12 classes": lambda: np.arange(12),
    "column": lambda: Y[:, None],
    "row": lambda: Y[None],
    "one-hot": lambda: np.eye(2)[Y],
    "one-hot texts": lambda: np.eye(2)[Y].astype(str),
    "label matrix of 3": lambda: np.tile(Y[:, None], 3),
    "label matrix of 2s": lambda: np.tile(Y[:, None], 3) * 2,
    "label matrix NaN": lambda: np.full((12, 3), np.nan),
    "label cube": lambda: np.zeros((12, 2, 2), int),
    "too few": lambda: Y[:5],
    "too many": lambda: np.tile(Y, 2),
    "constant": lambda: np.full(12, 0.5),
}


def of_scipy():
    from scipy import sparse

    return {
        **{
            f"scipy {name}": lambda name=name: getattr(sparse, f"{name}_array")(np.where(X > 0.5, X, 0))
            for name in ("csr", "csc", "coo", "dok", "lil", "dia", "bsr")
        },
        "scipy csr_matrix": lambda: sparse.csr_matrix(X),
        "scipy 1-d": lambda: sparse.coo_array(Y),
        "scipy complex": lambda: sparse.csr_array(X + 0j),
        "scipy bool": lambda: sparse.csr_array(X > 0.5),
        "scipy longdouble": lambda: sparse.csr_array(X.astype(np.longdouble)),
        "scipy objects": lambda: column([sparse.csr_array(X[:1])]),
        "scipy empty": lambda: sparse.csr_array((12, 0)),
        "scipy NaN": lambda: sparse.csr_array(np.where(X > 0.5, np.nan, 0)),
        "scipy labels": lambda: sparse.csr_array(np.tile(Y[:, None], 3)),
        "scipy 64 bit index": lambda: _wide_index(),
        "a linear operator": lambda: sparse.linalg.aslinearoperator(X),
    }


def _wide_index():
    from scipy import sparse

    found = sparse.csr_array(X)
    found.indices, found.indptr = found.indices.astype("i8"), found.indptr.astype("i8")
    return found


def of_pandas():
    import pandas as pd

    frame = pd.DataFrame(X, columns=["a", "b"])
    found = {
        "frame": lambda: frame,
        "frame of whole names": lambda: pd.DataFrame(X),
        "frame of mixed names": lambda: pd.DataFrame(X, columns=["a", 1]),
        "frame of one name twice": lambda: pd.DataFrame(X, columns=["a", "a"]),
        "frame of MultiIndex": lambda: pd.DataFrame(X, columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)])),
        "frame of other names": lambda: pd.DataFrame(X, columns=["b", "a"]),
        "frame of odd index": lambda: pd.DataFrame(X, columns=["a", "b"], index=[7] * 12),
        "frame without columns": lambda: pd.DataFrame(index=range(12)),
        "frame without rows": lambda: pd.DataFrame({"a": [], "b": []}),
        "frame of NaN": lambda: frame.mask(frame > 0.5),
        "frame of NA": lambda: frame.astype("Float64").mask(frame > 0.5),
        "frame of Float64": lambda: frame.astype("Float64"),
        "frame of Int64": lambda: (9 * frame).round().astype("Int64"),
        "frame of boolean": lambda: (frame > 0.5).astype("boolean"),
        "frame of bool and float": lambda: frame.assign(a=frame.a > 0.5),
        "frame of texts": lambda: frame.astype("string"),
        "frame of strings": lambda: pd.DataFrame({"a": ["x"] * 12, "b": X[:, 1]}),
        "frame of numeric strings": lambda: pd.DataFrame({"a": ["1"] * 12, "b": X[:, 1]}),
        "frame of objects": lambda: frame.astype(object),
        "frame of None": lambda: pd.DataFrame({"a": [None] * 12, "b": X[:, 1]}, dtype=object),
        "frame of categories": lambda: pd.DataFrame({"a": pd.Categorical(["x", "y"] * 6), "b": X[:, 1]}),
        "frame of number categories": lambda: pd.DataFrame({"a": pd.Categorical([1, 2] * 6), "b": X[:, 1]}),
        "frame of dates": lambda: pd.DataFrame({"a": pd.date_range("2020", periods=12), "b": X[:, 1]}),
        "frame of dates alone": lambda: pd.DataFrame({"a": pd.date_range("2020", periods=12)}),
        "frame of zones": lambda: pd.DataFrame({"a": pd.date_range("2020", periods=12, tz="UTC"), "b": X[:, 1]}),
        "frame of durations": lambda: pd.DataFrame({"a": pd.to_timedelta(range(12), "s"), "b": X[:, 1]}),
        "frame of periods": lambda: pd.DataFrame({"a": pd.period_range("2020", periods=12), "b": X[:, 1]}),
        "frame of intervals": lambda: pd.DataFrame({"a": pd.interval_range(0, 12), "b": X[:, 1]}),
        "frame of complex": lambda: pd.DataFrame(X + 0j),
        "frame of lists": lambda: pd.DataFrame({"a": [[1, 2]] * 12, "b": X[:, 1]}),
        "frame of sparse": lambda: frame.astype(pd.SparseDtype("float", 0.0)),
        "frame of sparse and dense": lambda: frame.astype({"a": pd.SparseDtype("float", 0.0)}),
        "frame of sparse NaN": lambda: frame.mask(frame > 0.5).astype(pd.SparseDtype("float")),
        "frame of float16": lambda: frame.astype("float16"),
        "frame of pyarrow": lambda: frame.astype("float64[pyarrow]"),
        "frame of pyarrow NA": lambda: frame.astype("float64[pyarrow]").mask(frame > 0.5),
        "series": lambda: pd.Series(Y),
        "series of Int64": lambda: pd.Series(Y, dtype="Int64"),
        "series of Int64 NA": lambda: pd.Series([0, 1, None] * 4, dtype="Int64"),
        "series of boolean": lambda: pd.Series(Y == 1, dtype="boolean"),
        "series of boolean NA": lambda: pd.Series([True, False, None] * 4, dtype="boolean"),
        "series of Float64 NA": lambda: pd.Series([0.5, 1.5, None] * 4, dtype="Float64"),
        "series of string": lambda: pd.Series(["no", "yes"] * 6, dtype="string"),
        "series of string NA": lambda: pd.Series(["no", "yes", None] * 4, dtype="string"),
        "series of str": lambda: pd.Series(["no", "yes"] * 6),
        "series of str NA": lambda: pd.Series(["no", "yes", None] * 4),
        "series of objects": lambda: pd.Series(["no", "yes"] * 6, dtype=object),
        "series of objects NaN": lambda: pd.Series(["no", "yes", np.nan] * 4, dtype=object),
        "series of category": lambda: pd.Series(["no", "yes"] * 6, dtype="category"),
        "series of category NA": lambda: pd.Series(["no", "yes", None] * 4, dtype="category"),
        "series of number category": lambda: pd.Series([0, 1] * 6, dtype="category"),
        "series of sparse": lambda: pd.Series(pd.arrays.SparseArray(Y)),
        "series of dates": lambda: pd.Series(pd.to_datetime(["2020", "2021"] * 6)),
        "series of zones": lambda: pd.Series(pd.to_datetime(["2020", "2021"] * 6, utc=True)),
        "series of periods": lambda: pd.Series(pd.PeriodIndex(["2020", "2021"] * 6, freq="Y")),
        "series of durations": lambda: pd.Series(pd.to_timedelta([1, 2] * 6, "s")),
        "series of pyarrow": lambda: pd.Series(Y, dtype="int64[pyarrow]"),
        "series of pyarrow NA": lambda: pd.Series([0, 1, None] * 4, dtype="int64[pyarrow]"),
        "index": lambda: pd.Index(Y),
        "index of texts": lambda: pd.Index(["no", "yes"] * 6),
        "multi-index": lambda: pd.MultiIndex.from_arrays([Y, Y]),
        "categorical": lambda: pd.Categorical(["no", "yes"] * 6),
        "categorical of numbers": lambda: pd.Categorical([0, 1] * 6),
        "pandas array": lambda: pd.array([0, 1] * 6, dtype="Int64"),
        "NA labels": lambda: column([pd.NA, 1]),
        "NaT labels": lambda: column([pd.NaT, pd.Timestamp("2020")]),
        "grouped": lambda: frame.groupby("a"),
        "rolling": lambda: frame.rolling(2),
    }
    return {name: make for name, make in found.items() if "pyarrow" in HERE or "pyarrow" not in name}


def of_polars():
    import polars as pl

    frame = pl.DataFrame({"a": X[:, 0], "b": X[:, 1]})
    return {
        "polars": lambda: frame,
        "polars lazy": lambda: frame.lazy(),
        "polars null": lambda: frame.with_columns(a=pl.when(pl.col("a") > 0.5).then(pl.col("a"))),
        "polars texts": lambda: frame.cast(pl.String),
        "polars bool": lambda: frame.select(pl.all() > 0.5),
        "polars mixed": lambda: frame.with_columns(a=pl.col("a") > 0.5),
        "polars dates": lambda: frame.with_columns(a=pl.lit(datetime.date(2020, 1, 1))),
        "polars dates alone": lambda: pl.DataFrame({"a": [datetime.date(2020, 1, 1)] * 12}),
        "polars categories": lambda: frame.with_columns(a=pl.lit("x").cast(pl.Categorical)),
        "polars lists": lambda: pl.DataFrame({"a": [[1.0, 2.0]] * 12}),
        "polars decimals": lambda: frame.cast(pl.Decimal(10, 2)),
        "polars empty": lambda: frame.clear(),
        "polars no columns": lambda: pl.DataFrame(),
        "polars objects": lambda: pl.DataFrame({"a": [object()] * 12}),
        "polars series": lambda: pl.Series(Y),
        "polars series null": lambda: pl.Series([0, 1, None] * 4),
        "polars series texts": lambda: pl.Series(["no", "yes"] * 6),
        "polars series null texts": lambda: pl.Series(["no", "yes", None] * 4),
        "polars series categories": lambda: pl.Series(["no", "yes"] * 6, dtype=pl.Categorical),
        "polars series dates": lambda: pl.Series([datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)] * 6),
        "polars series bool": lambda: pl.Series(Y == 1),
        "polars column": lambda: pl.DataFrame({"y": Y}),
        "polars expression": lambda: pl.col("a"),
    }


def of_pyarrow():
    import pyarrow as pa

    return {
        "arrow table": lambda: pa.table({"a": X[:, 0], "b": X[:, 1]}),
        "arrow null": lambda: pa.table({"a": [0.5, None] * 6, "b": X[:, 1]}),
        "arrow texts": lambda: pa.table({"a": ["x"] * 12, "b": X[:, 1]}),
        "arrow batch": lambda: pa.record_batch({"a": X[:, 0], "b": X[:, 1]}),
        "arrow array": lambda: pa.array(Y),
        "arrow array null": lambda: pa.array([0, 1, None] * 4),
        "arrow array texts": lambda: pa.array(["no", "yes"] * 6),
        "arrow chunked": lambda: pa.chunked_array([Y]),
        "arrow tensor": lambda: pa.Tensor.from_numpy(X),
    }


def of_dask():
    import dask.array as da

    return {
        "dask": lambda: da.from_array(X, chunks=5),
        "dask labels": lambda: da.from_array(Y, chunks=5),
        "dask unknown": lambda: da.from_array(X, chunks=5)[da.from_array(X[:, 0] > 0.5, chunks=5)],
        "dask raising": lambda: da.from_array(X, chunks=5).map_blocks(_raise, dtype=float),
    }


def _raise(block):
    raise RuntimeError("a worker was lost")


def of_sparse():
    import sparse

    return {
        "sparse COO": lambda: sparse.COO.from_numpy(np.where(X > 0.5, X, 0)),
        "sparse GCXS": lambda: sparse.GCXS.from_numpy(np.where(X > 0.5, X, 0)),
        "sparse DOK": lambda: sparse.DOK.from_numpy(np.where(X > 0.5, X, 0)),
        "sparse labels": lambda: sparse.COO.from_numpy(Y),
    }


def of_xarray():
    import xarray as xr

    return {
        "xarray": lambda: xr.DataArray(X, dims=("sample", "feature")),
        "xarray labels": lambda: xr.DataArray(Y),
        "xarray texts": lambda: xr.DataArray(np.array(["no", "yes"])[Y]),
        "xarray dataset": lambda: xr.Dataset({"a": ("n", X[:, 0]), "b": ("n", X[:, 1])}),
    }


def of_torch():
    import torch

    t, labels = torch.tensor(X), torch.tensor(Y)
    kinds = {"bfloat16": torch.bfloat16, "float16": torch.float16, "complex": torch.complex64, "bool": torch.bool}
    return {
        **{f"torch {name}": lambda dtype=dtype: t.to(dtype) for name, dtype in kinds.items()},
        "torch": lambda: t,
        "torch labels": lambda: labels,
        "torch labels bfloat16": lambda: labels.bfloat16(),
        "torch labels grad": lambda: labels.double().requires_grad_(),
        "torch float8": lambda: t.to(torch.float8_e4m3fn),
        "torch grad": lambda: t.clone().requires_grad_(),
        "torch grad bfloat16": lambda: t.bfloat16().requires_grad_(),
        "torch parameter": lambda: torch.nn.Parameter(t.clone()),
        "torch result": lambda: t.clone().requires_grad_() * 2,
        "torch conj": lambda: torch.complex(t, t).conj(),
        "torch conj imag": lambda: torch.complex(t, t).conj().imag,
        "torch neg": lambda: torch._neg_view(t),
        "torch 0 dimensions": lambda: torch.tensor(0.5),
        "torch sparse": lambda: t.to_sparse(),
        "torch csr": lambda: t.to_sparse_csr(),
        "torch sparse labels": lambda: labels.to_sparse(),
        "torch nested": lambda: torch.nested.nested_tensor([t[0], t[1]]),
        "torch jagged": lambda: torch.nested.nested_tensor([t[0], t[1]], layout=torch.jagged),
        "torch quantised": lambda: torch.quantize_per_tensor(t.float(), 0.1, 0, torch.quint8),
        "torch meta": lambda: t.to("meta"),
        "torch meta labels": lambda: labels.to("meta"),
        "torch fake": _fake,
        "torch expanded": lambda: torch.tensor(0.5).expand(12, 2),
        "torch inference": lambda: _inference(t),
        "torch subclass": lambda: t.as_subclass(_subclass()),
        "torch list": lambda: list(t),
        "torch list of numbers": lambda: [torch.tensor(n) for n in Y.tolist()],
        "torch grads in a list": lambda: [row.requires_grad_() for row in t.clone()],
        "torch empty": lambda: t[:0],
        "torch size": lambda: torch.Size([12, 2]),
        "torch data loader": lambda: torch.utils.data.DataLoader(t),
        "torch dataset": lambda: torch.utils.data.TensorDataset(t, labels),
    }


def _fake():
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        return torch.zeros(12, 2)


def _inference(t):
    import torch

    with torch.inference_mode():
        return t * 1


def _subclass():
    import torch

    return type("Sub", (torch.Tensor,), {})


def of_jax():
    import jax
    import jax.numpy as jnp

    def deleted():
        found = jnp.asarray(X, "float32")
        found.delete()
        return found

    return {
        "jax": lambda: jnp.asarray(X),
        "jax labels": lambda: jnp.asarray(Y),
        "jax bfloat16": lambda: jnp.asarray(X, jnp.bfloat16),
        "jax float8": lambda: jnp.asarray(X, jnp.float8_e4m3fn),
        "jax complex": lambda: jnp.asarray(X + 0j),
        "jax bool": lambda: jnp.asarray(X > 0.5),
        "jax keys": lambda: jax.random.split(jax.random.key(0), (12, 2)),
        "jax 0 dimensions": lambda: jnp.asarray(0.5),
        "jax deleted": deleted,
        "jax shape": lambda: jax.ShapeDtypeStruct((12, 2), "float32"),
        "jax list": lambda: list(jnp.asarray(X)),
        "jax sparse": lambda: __import__("jax.experimental.sparse").experimental.sparse.BCOO.fromdense(jnp.asarray(X)),
        "jax ref": lambda: jax.new_ref(jnp.asarray(X)) if hasattr(jax, "new_ref") else X,
    }


def of_array_api_strict():
    import array_api_strict as strict

    return {
        "strict": lambda: strict.asarray(X),
        "strict labels": lambda: strict.asarray(Y),
        "strict elsewhere": lambda: strict.asarray(X, device=strict.Device("device1")),
        "strict complex": lambda: strict.asarray(X + 0j),
    }


def odd_arrays():
    """Return a function that makes it for each odd array, by its name."""
    found = dict(PLAIN) | of_scipy()
    for name in HERE:
        found |= globals()[f"of_{name}"]()
    return found


ED = {"hidden_width": 2, "hidden_depth": 1, "seed": 0}
KINDS = {"hidden_width": 2, "max_iter": 2, "random_state": 0}


def fitted(kind, backend):
    return kind(**KINDS, backend=backend).fit(X.astype("f4"), Y)


def network(backend, **options):
    return edcore.ED(**ED | options, backend=backend)


def calls(backend):
    """Return what is called with an odd array, as x or as y or in place of another argument."""
    classifier, regressor = (fitted(kind, backend) for kind in (edcore.EDClassifier, edcore.EDRegressor))

    def new(kind, **options):
        return kind(**KINDS | options, backend=backend)

    classifiers, regressors = edcore.EDClassifier, edcore.EDRegressor
    of_x = {
        "ED()": lambda x: network(backend)(x),
        "predict": lambda x: network(backend, in_=2).predict(x),
        "step": lambda x: network(backend).step(x, Y),
        "fit": lambda x: network(backend).fit(x, Y, batch_size=4),
        "bind": lambda x: network(backend).bind(x),
        "check": lambda x: network(backend).check(x, Y),
        "streaming.train": lambda x: list(edcore.streaming.train(network(backend), x, Y, batch_size=4, prefetch=0)),
        "streaming.predict": lambda x: edcore.streaming.predict(network(backend, in_=2), x, np.zeros(12, "f4")),
        "classifier.fit": lambda x: new(classifiers).fit(x, Y),
        "classifier.partial_fit": lambda x: new(classifiers).partial_fit(x, Y, classes=[0, 1]),
        "classifier.predict": lambda x: classifier.predict(x),
        "classifier.predict_proba": lambda x: classifier.predict_proba(x),
        "classifier.score": lambda x: classifier.score(x, Y),
        "regressor.fit": lambda x: new(regressors).fit(x, Y),
        "regressor.partial_fit": lambda x: new(regressors).partial_fit(x, Y),
        "regressor.predict": lambda x: regressor.predict(x),
        "regressor.score": lambda x: regressor.score(x, Y),
    }
    of_y = {
        "step": lambda y: network(backend).step(X, y),
        "step of 2": lambda y: network(backend, heads=2).step(X, y),
        "fit": lambda y: network(backend).fit(X, y, batch_size=4),
        "sample_weight": lambda y: network(backend).fit(X, Y, sample_weight=y),
        "update": lambda y: _update(network(backend), y),
        "streaming.train": lambda y: list(edcore.streaming.train(network(backend), X, y, batch_size=4, prefetch=0)),
        "classifier.fit": lambda y: new(classifiers).fit(X, y),
        "classifier, early": lambda y: new(classifiers, early_stopping=True, validation_fraction=0.3).fit(X, y),
        "classifier.partial_fit": lambda y: new(classifiers).partial_fit(X, y, classes=[0, 1]),
        "classifier.partial_fit of more": lambda y: new(classifiers).fit(X, Y).partial_fit(X, y),
        "classes": lambda y: new(classifiers).partial_fit(X, Y, classes=y),
        "classifier.sample_weight": lambda y: new(classifiers).fit(X, Y, sample_weight=y),
        "classifier.score": lambda y: classifier.score(X, y),
        "classifier.score, weighed": lambda y: classifier.score(X, Y, y),
        "regressor.fit": lambda y: new(regressors).fit(X, y),
        "regressor, early": lambda y: new(regressors, early_stopping=True, validation_fraction=0.3).fit(X, y),
        "regressor.partial_fit": lambda y: new(regressors).partial_fit(X, y),
        "regressor.sample_weight": lambda y: new(regressors).fit(X, Y, sample_weight=y),
        "regressor.score": lambda y: regressor.score(X, y),
        "regressor.score, weighed": lambda y: regressor.score(X, Y, y),
        "input_range": lambda y: new(classifiers, input_range=y).fit(X, Y),
        "random_state": lambda y: new(classifiers, random_state=y).fit(X, Y),
        "class_weight": lambda y: new(classifiers, class_weight=y).fit(X, Y),
        "callbacks": lambda y: callable(y) or new(classifiers, callbacks=y).fit(X, Y),
        "epochs": lambda y: setattr(network(backend), "epochs", y),
        "weights": lambda y: network(backend, in_=2).load_weights(y),
    }
    return [(f"x of {name}", call) for name, call in of_x.items()] + [
        (f"y of {name}", call) for name, call in of_y.items()
    ]


def _update(ed, error):
    ed(X)
    ed.update(error)


def faults(odd, of_backend):
    """Return a line for each call that an odd array ends in an exception of others."""
    found = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for name, call in of_backend:
            try:
                call(odd())
            except EDCoreError as error:
                text = str(error)
                if len(text) > 900 or "Traceback" in text:
                    found.append(f"{name}: {len(text)} characters: {text[:300]}")
            except Exception as error:
                found.append(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
    return found


def all_faults(backend, share=1):
    """Return the faults of all odd arrays on a backend; of each array in one of `share` calls only."""
    of_backend, found = calls(backend), []
    for number, (name, odd) in enumerate(odd_arrays().items()):
        found += [f"{name} as {line}" for line in faults(odd, of_backend[number % share :: share])]
    return found


def test_an_odd_array_is_taken_or_refused_by_an_error_of_edcore():
    assert all_faults("numpy", share=7) == []


def test_another_exception_and_a_long_one_are_found():
    def fail(array):
        raise RuntimeError("lost")

    def talk(array):
        raise EDCoreError("x" * 1000)

    found = faults(lambda: X, [("x of this", fail), ("x of that", talk)])
    assert found[0] == "x of this: RuntimeError: lost"
    assert found[1].startswith("x of that: 1000 characters")
