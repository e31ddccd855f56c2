"""Other libraries' arrays and errors: each is taken, or refused in a sentence of edcore's (K12)."""

import struct

from world.row import REFUSED, Row

EARLY = "EDClassifier(max_iter=2, hidden_width=4, early_stopping=True"
FEW = "max_iter=2, hidden_width=4, random_state=0, backend='numpy'"
NEAR = ("numpy.unique", "Traceback", "scikit-learn refuses")


def refused(name, python, *says, never=NEAR, **others):
    """Return a row of a program that edcore refuses in these words."""
    return Row(name=name, python=python, ends=REFUSED, says=says, never=never, **others)


def fit(x, y="Y", kind="EDClassifier"):
    """Return a program that fits an estimator."""
    return f"{kind}({FEW}).fit({x}, {y})"


PANDAS = "import pandas as pd; frame = pd.DataFrame(X, columns=list('abcd'))\n"
POLARS = "import polars as pl; frame = pl.DataFrame(X)\n"
TORCH = "import torch; x = torch.tensor(X)\n"
JAX = "import jax; x = jax.numpy.asarray(X, 'float32'); ed = ED(4, hidden_width=4, seed=0, backend='jax')\n"
X64 = "with jax.enable_x64(True): ed = ED(4, hidden_width=4, seed=0, dtype='float64', backend='jax').fit(X, Y)\n"

JAX_ROWS = [
    *(
        refused(
            f"jax: float64 switched off again, {call.partition('(')[0]}",
            f"{JAX}{X64}with jax.enable_x64(False): {call}",
            "which is of float64: JAX has float64 switched off; jax.config.update('jax_enable_x64', True)",
            needs=("jax",),
        )
        for call in ("ed.predict(X)", "ed.step(X, Y)", "ed.fit(X, Y)", "ed(X)")
    ),
    *(
        Row(
            name=f"jax: transfer guard {level} for {x}",
            python=f"{JAX}with jax.transfer_guard({level!r}):\n"
            f"    ed = ED(4, hidden_width=4, seed=0, backend='jax').fit({x}, Y)\n"
            f"    ed.step({x}, Y); ed({x}); ed.update(Y * 0.0)\nlen(ed.predict({x}))",
            value=60,
            needs=("jax",),
        )
        for level in ("disallow", "disallow_explicit")
        for x in ("x", "X")
    ),
    Row(
        name="jax: shapes that may not broadcast",
        python=f"{JAX}with jax.numpy_rank_promotion('raise'): found = ED(4, heads=2, backend='jax')(x)\nfound.shape",
        value=(60, 2),
        needs=("jax",),
    ),
    *(
        refused(
            f"jax: inside {call.partition('(')[0]}, {inner}",
            f"{JAX}{call}",
            f"{name}: given a value of type",
            "Inside functions of jax.jit, jax.vmap or jax.grad arrays have no values: call edcore outside them.",
            needs=("jax",),
        )
        for call, inner, name in (
            ("jax.jit(ed.predict)(x)", "predict", "x"),
            ("jax.vmap(ed.predict)(x[:, None])", "predict", "x"),
            ("jax.grad(lambda v: ed.predict(v).sum())(x)", "predict", "x"),
            ("jax.jit(lambda v: ed.step(x, v))(x[:, 0])", "step", "target"),
            ("jax.eval_shape(ed.predict, x)", "predict", "x"),
        )
    ),
    *(
        Row(
            name=f"jax: {kind} of {of} learns in float32",
            python="import jax\nwith jax.enable_x64(False): "
            f"e = {kind}(max_iter=1, hidden_width=4, backend='jax').fit({x}, Y)\ne.ed_.network.dtype",
            value="float32",
            needs=("jax",),
        )
        for kind in ("EDClassifier", "EDRegressor")
        for of, x in (("float64", "X"), ("whole numbers", "(9 * X).astype(int)"))
    ),
    refused(
        "jax: an estimator of float64 that float32 rounds away",
        "import jax\n"
        "with jax.enable_x64(False): EDClassifier(max_iter=1, hidden_width=4, backend='jax').fit(X + 1.7e9, Y)",
        "X: given float64 values whose differences float32 rounds away",
        needs=("jax",),
    ),
]

TORCH_ROWS = [
    *(
        refused(
            f"torch: {kind} as x of {call.partition('(')[0]}",
            f"{TORCH}x = {x}\n{call}",
            says,
            needs=("torch",),
            never=(*NEAR, "Dispatch", "backend_fallback"),
        )
        for kind, x, says in (
            ("sparse", "x.to_sparse()", "which is sparse; accepted: a dense array. Write "),
            ("CSR", "x.to_sparse_csr()", "which is sparse; accepted: a dense array. Write "),
            ("nested", "torch.nested.nested_tensor([x[0], x[1, :2]])", "which has several shapes; accepted: an array"),
            ("meta", "x.to('meta')", "on the device 'meta', which has no values"),
            ("quantised", "torch.quantize_per_tensor(x.float(), 0.1, 0, torch.quint8)", "accepted: "),
        )
        for call in ("ED(4, hidden_width=4).fit(x, Y)", f"EDClassifier({FEW}).fit(x, Y)")
    ),
    *(
        Row(
            name=f"torch: {kind} as x of {call.partition('(')[0]}",
            python=f"{TORCH}x = {x}\nlen({call}.predict(x))",
            value=60,
            needs=("torch",),
        )
        for kind, x in (
            ("requires_grad", "x.requires_grad_()"),
            ("bfloat16", "x.bfloat16()"),
            ("both", "x.bfloat16().requires_grad_()"),
            ("a view of minus", "torch._neg_view(x)"),
            ("an imaginary part", "torch.complex(x, x).conj().imag"),
        )
        for call in (
            "ED(4, hidden_width=4).fit(x, Y)",
            f"EDClassifier({FEW}).fit(x, Y)",
            f"EDRegressor({FEW}).fit(x, Y)",
        )
    ),
    Row(
        name="torch: bfloat16 as sample weights",
        python=f"{TORCH}ED(4, hidden_width=4).fit(X, Y, sample_weight=torch.ones(60).bfloat16()).epochs.tolist()",
        value=[1],
        needs=("torch",),
    ),
    *(
        refused(
            f"torch: inside torch.compile, {call} of {backend}",
            f"{TORCH}import torch._dynamo; ed = ED(4, hidden_width=4, backend={backend!r})\n"
            f"torch.compile(ed.{call}, backend='eager')({arguments})",
            "x: given a value of type",
            "torch.compile",
            needs=("torch",),
            alone=True,
            slow=True,
        )
        for backend in ("torch", "numpy", "numba")
        for call, arguments in (("predict", "x"), ("step", "x, x[:, 0]"), ("fit", "X, Y"))
    ),
    refused(
        "torch: complex numbers",
        f"{TORCH}ED(4, hidden_width=4).fit(x + 0j, Y)",
        "x: given dtype torch.complex128; accepted: real numbers. Take x.real, or abs(x).",
        never=(*NEAR, "texts"),
        needs=("torch",),
    ),
    refused(
        "torch: inside vmap",
        f"{TORCH}torch.func.vmap(ED(4, hidden_width=4).predict)(x[:, None])",
        "x: given a value of type Tensor of torch whose values cannot be read",
        "Inside functions of torch.compile, torch.func.vmap or torch.func.grad arrays have no values",
        needs=("torch",),
    ),
]

TABLES = [
    *(
        refused(f"pandas: {name}", f"{PANDAS}{fit(x)}", f"X: given {says}", needs=("pandas",))
        for name, x, says in (
            ("NA", "frame.astype('Float64').mask(frame > .9)", "values that are missing (NaN, None, NA) or infinite"),
            ("NaN", "frame.mask(frame > .9)", "values that are missing"),
            ("a category", "frame.assign(a=pd.Categorical(['x', 'y'] * 30))", "the column 'a' of dtype category"),
            ("texts", "frame.assign(b='x')", "the column 'b' of dtype str"),
            ("dates", "frame.assign(a=pd.date_range('2020', periods=60))", "the column 'a' of dtype datetime64"),
            ("objects", "frame.assign(a=pd.Series(['x'] * 60, dtype=object))", "the column 'a' of dtype object"),
            ("one name twice", "frame.set_axis(list('abca'), axis=1)", "the column 'a' twice; accepted: columns of"),
            ("names of two kinds", "frame.set_axis(['a', 1, 2, 3], axis=1)", "names of columns that are texts and"),
            ("a series", "frame['a']", "shape (60,); accepted: shape (samples, features). Reshape your data"),
            ("no rows", "frame[:0]", "shape (0, 4); accepted: at least one sample"),
        )
    ),
    *(
        refused(f"pandas: {name} as y", f"{PANDAS}{fit('X', y, kind)}", f"y: given {says}", needs=("pandas",))
        for name, y, kind, says in (
            ("NA", "pd.Series([0, None] * 30, dtype='Int64')", "EDClassifier", "values that are missing"),
            ("NA of strings", "pd.Series(['a', None] * 30, dtype='string')", "EDClassifier", "values that are missing"),
            ("NA of a regressor", "pd.Series([0, None] * 30, dtype='Int64')", "EDRegressor", "values that are missing"),
            ("texts of a regressor", "pd.Series(['a'] * 60)", "EDRegressor", "texts, such as 'a'"),
            ("dates of a regressor", "pd.Series(pd.date_range('2020', periods=60))", "EDRegressor", "dtype datetime64"),
        )
    ),
    *(
        Row(
            name=f"pandas: {name} is taken",
            python=f"{PANDAS}len({fit(x, y)}.predict({x}))",
            value=60,
            needs=("pandas",),
        )
        for name, x, y in (
            ("Float64", "frame.astype('Float64')", "Y"),
            ("boolean and float", "frame.assign(a=frame['a'] > .5)", "Y"),
            ("sparse", "frame.astype(pd.SparseDtype('float', 0.0))", "Y"),
            ("MultiIndex", "frame.set_axis(pd.MultiIndex.from_product([list('ab'), [1, 2]]), axis=1)", "Y"),
            ("Int64 labels", "frame", "pd.Series(Y, dtype='Int64')"),
            ("boolean labels", "frame", "pd.Series(Y == 1, dtype='boolean')"),
            ("categories as labels", "frame", "pd.Series(Y).map({0: 'no', 1: 'yes'}).astype('category')"),
            ("an index as labels", "frame", "pd.Index(Y)"),
        )
    ),
    refused(
        "pandas: NA for ED",
        f"{PANDAS}ED(4).fit(frame.astype('Float64').mask(frame > .9), Y)",
        "x: given dtype object, with <NA> at [1, 1]; accepted: real numbers. Leave it out",
        needs=("pandas",),
    ),
    *(
        refused(f"polars: a LazyFrame, {call}", f"{POLARS}{call}", says, needs=("polars",))
        for call, says in (
            (fit("frame.lazy()"), "X: given a value of type LazyFrame of polars; accepted: an array of numbers."),
            (fit("X", "frame.lazy()"), "Compute it first: y.collect()."),
            ("ED(4).fit(frame.lazy(), Y)", "Compute it first: x.collect()."),
        )
    ),
    refused(
        "polars: null",
        f"{POLARS}{fit('frame.with_columns(column_0=pl.lit(None, pl.Float64))')}",
        "X: given values that are missing",
        needs=("polars",),
    ),
    *(
        Row(
            name=f"{needs}: {x} is taken",
            python=f"{POLARS}{before}\nlen({fit(x)}.predict({x}))",
            value=60,
            needs=("polars", needs),
        )
        for needs, x, before in (
            ("polars", "frame", ""),
            ("polars", "frame.with_columns(column_0=pl.col('column_0') > .5)", ""),
            ("pyarrow", "table", "table = frame.to_arrow()"),
        )
    ),
]

SPARSE = [
    refused(
        "scipy: sparse for ED",
        "from scipy.sparse import csr_array; ED(4).fit(csr_array(X), Y)",
        "x: given a value of type csr_array of scipy, which is sparse; accepted: a dense array. Write x.toarray().",
    ),
    refused(
        "scipy: sparse target",
        "from scipy.sparse import csr_array; ED(4, heads=2).fit(X, csr_array(np.eye(2)[Y]))",
        "target: given a value of type csr_array of scipy, which is sparse",
    ),
    *(
        refused(
            f"the package sparse: {kind}",
            f"import sparse; x = sparse.COO.from_numpy(X); {kind}.fit(x, Y)",
            "which is sparse; accepted: a dense array. Write ",
            needs=("sparse",),
        )
        for kind in ("ED(4)", f"EDClassifier({FEW})")
    ),
    Row(
        name="dask: an array for an estimator",
        python=f"import dask.array as da; x = da.from_array(X, chunks=20)\nlen({fit('x')}.predict(x))",
        value=60,
        needs=("dask",),
    ),
    Row(
        name="scipy: sparse for an estimator",
        python=f"from scipy.sparse import csr_array\n{fit('csr_array(X)')}.n_iter_",
        value=2,
    ),
]

OTHER = [
    *(
        refused(f"x of ED: {name}", f"{before}\nED(4).fit({x}, Y)", *says)
        for name, before, x, *says in (
            ("ragged lists", "", "[[1.0, 2.0]] * 59 + [[1.0]]", "x: given rows of different lengths"),
            ("None in it", "", "np.full((60, 4), None)", "x: given dtype object, with None at [0, 0]"),
            ("texts", "", "X.astype(str)", "Encode texts as numbers"),
            ("complex", "", "X + 0j", "x: given dtype complex128; accepted: real numbers. Take x.real"),
            ("a generator", "", "(row for row in X)", "x: given a value of type generator"),
            (
                "an __array__ that raises",
                "class A:\n    def __array__(self, *_, **__): raise OSError('closed')",
                "A()",
                "x: given a value of type A of __main__ whose values cannot be read (OSError: closed)",
            ),
            (
                "attributes that raise",
                "class A:\n    def __getattr__(self, name): raise OSError('closed')",
                "A()",
                "whose values cannot be read (OSError: closed)",
            ),
        )
    ),
    *(
        refused(f"an estimator's data: {name}", fit(x, y, kind), *says)
        for name, x, y, kind, *says in (
            ("ragged lists", "[[1.0, 2.0]] * 59 + [[1.0]]", "Y", "EDClassifier", "X: given rows of different lengths"),
            ("complex", "X + 0j", "Y", "EDClassifier", "X: given complex numbers; accepted: real numbers."),
            ("three axes", "X[:, :, None]", "Y", "EDClassifier", "Flatten each sample: X.reshape(len(X), -1)."),
            ("texts", "X.astype(str)", "Y", "EDClassifier", "X: given texts, such as '0.6"),
            ("no y", "X", "None", "EDClassifier", "y: given None; accepted: a label or target for each sample."),
            ("fewer labels", "X", "Y[:5]", "EDClassifier", "y: given shape (5,); accepted: 60 labels or targets"),
            (
                "None as a label",
                "X",
                "[None, 'a'] * 30",
                "EDClassifier",
                "accepted: one label a sample, all numbers or",
            ),
            ("labels of two kinds", "X", "['a', 1] * 30", "EDClassifier", "y: given the label 1 beside texts"),
            ("NaN as a label", "X", "np.where(Y, np.nan, 1)", "EDClassifier", "y: given values that are missing"),
            ("no classes", "X", "3.3 * X[:, 0]", "EDClassifier", "y: given continuous numbers", "EDRegressor learns"),
            ("None as a target", "X", "[None] * 60", "EDRegressor", "y: given values that are missing"),
            ("texts as targets", "X", "['a'] * 60", "EDRegressor", "EDClassifier learns labels."),
        )
    ),
    Row(name="an estimator of a np.matrix", python=f"{fit('np.matrix(X)')}.n_iter_", value=2),
    refused(
        "a score of labels of another kind",
        f"{fit('X')}.score(X, ['a', 'b'] * 30)",
        "y: given labels such as 'a'; accepted: labels of the kind of the classes, [0, 1].",
    ),
    refused(
        "a score of two targets for one",
        f"{fit('X', kind='EDRegressor')}.score(X, np.eye(2)[Y])",
        "y: given shape (60, 2); accepted: shape (60,), as in fit.",
    ),
    refused(
        "no classes",
        f"EDClassifier({FEW}).partial_fit(X, Y, classes=[])",
        "classes: given no class; accepted: at least",
    ),
    refused(
        "one class from a generator",
        f"EDClassifier({FEW}).partial_fit(X, Y, classes=(c for c in [0]))",
        "classes: given only one class, 0; accepted: at least two classes.",
        never=("generator",),
    ),
    refused("a seed of 129 bits", "ED(2, seed=2**128)", "seed: given a number of 129 bits", "from 0 to 2**128 - 1"),
    refused(
        "a random state that is a text",
        "EDClassifier(random_state='a').fit(X, Y)",
        "random_state: given 'a'",
    ),
    *(
        refused(
            f"early stopping: {name}",
            f"{program}",
            "validation_fraction: given",
            "Give another share",
            never=("n_samples", "test_size"),
        )
        for name, program in (
            ("every class of one", f"{EARLY}).fit(X, np.arange(60))"),
            ("more classes than a tenth", f"{EARLY}).fit(X, np.arange(60) // 2)"),
            ("a share of nothing", f"{EARLY}, validation_fraction=1e-6).fit(X, Y)"),
            ("a share of all", f"{EARLY}, validation_fraction=.9999).fit(X, Y)"),
            ("one sample", "EDRegressor(early_stopping=True).fit(X[:1], Y[:1])"),
        )
    ),
    Row(name="early stopping: one class of one", python=f"len({EARLY}).fit(X, np.r_[5, Y[1:]]).classes_)", value=3),
    Row(
        name="early stopping: a Generator as random_state",
        python=f"{EARLY}, random_state=np.random.default_rng(0)).fit(X, Y).n_iter_",
        value=2,
    ),
]


def mnist(train, test):
    """Return a function that writes MNIST's files with these labels."""

    def write(path):
        for part, labels in (("train", train), ("t10k", test)):
            images = path / "MNIST" / "raw" / f"{part}-images-idx3-ubyte"
            images.parent.mkdir(parents=True, exist_ok=True)
            images.write_bytes(
                bytes((0, 0, 8, 3)) + struct.pack(">III", len(labels), 28, 28) + bytes(784 * len(labels))
            )
            (images.parent / f"{part}-labels-idx1-ubyte").write_bytes(
                bytes((0, 0, 8, 1)) + struct.pack(">I", len(labels)) + bytes(labels)
            )

    return write


EMPTY_PARTS = [
    Row(
        name=f"MNIST's files: no {part} samples of the classes",
        shell="edcore train --dataset mnist --data-dir m --classes 0,1 --width 2 --depth 1 --backend numpy",
        files={"m": mnist(*labels)},
        ends=2,
        says=(f"labels that the {part} samples of mnist have",),
        never=("ZeroDivision", "epoch 1"),
    )
    for part, labels in (("test", ([0, 1] * 4, [5, 6])), ("training", ([5, 6] * 4, [0, 1])))
]

ODD = [
    Row(
        name=f"300 odd arrays as x, as y and as other arguments, {backend}",
        python=f"from test_odd_arrays import all_faults\nall_faults({backend!r})",
        value=[],
        needs=needs,
        slow=True,
    )
    for backend, needs in (("numpy", ()), ("torch", ("torch",)), ("jax", ("jax",)), ("auto", ()))
]

ROWS: list[Row] = JAX_ROWS + TORCH_ROWS + TABLES + SPARSE + OTHER + EMPTY_PARTS + ODD
