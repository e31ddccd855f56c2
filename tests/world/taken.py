"""What users hand over and edcore takes: arrays, labels, paths, files of options and tables of many kinds."""

import gzip

from world.row import Row

# Two features of 0 and 1, so that every dtype has them.
LEARN = """
x, y = (X > 0.5).astype('f4'), (X[:, 0] > 0.5).astype('f4')

def same(x, y=y):
    '''Whether a network learns from what is given as it does from plain arrays.'''
    learnt = [ED(4, hidden_width=4, seed=1, backend='numpy').fit(*data, epochs=2, batch_size=8).weights
              for data in ((x, y), (globals()['x'], globals()['y']))]
    return all(np.array_equal(learnt[0][key], learnt[1][key]) for key in learnt[0])
"""
FIT = """
x, y = (X > 0.5).astype('f8'), (X[:, 0] > 0.5).astype(int)

def fit(x, y=y, kind=EDClassifier):
    '''Return an estimator that has learnt from what is given.'''
    return kind(max_iter=3, random_state=0, backend='numpy').fit(x, y)

def same(x, y=y, kind=EDClassifier):
    '''Whether an estimator learns from what is given, and predicts, as it does from plain arrays.'''
    plain = fit(globals()['x'], globals()['y'], kind)
    shares = 'predict_proba' if kind is EDClassifier else 'predict'
    return np.allclose(getattr(fit(x, y, kind), shares)(x), getattr(plain, shares)(globals()['x']), atol=1e-5)
"""
XOR = "edcore train --dataset xor --width 2 --depth 0 --epochs 2 --seed 3 --backend numpy"
TOML = "[train]\ndataset = 'xor'\nepochs = 2\nbatch_size = 1\nbackend = 'numpy'\n"
SAVE = "ed = ED(2, hidden_width=2, seed=1, backend='numpy')\n"
TABLE = "age,city,paid\n" + "".join(f"{20 + 7 * n % 50},{'Oslo' if n % 2 else 'Kyōto'},{n % 2}\n" for n in range(40))
ON_TABLE = "edcore train --data t.csv --target paid --epochs 2 --seed 1 --backend numpy"

ARRAYS = {
    "a list": "x.tolist()",
    "a tuple of tuples": "tuple(map(tuple, x))",
    "a list of arrays": "[*x]",
    "Fortran's order": "np.asfortranarray(x)",
    "a view from the end": "x[::-1].copy()[::-1]",
    "every second column of a wider array": "np.repeat(x, 2, axis=1)[:, ::2]",
    "a read-only array": "np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape)",
    "a memmap": "(x.tofile('x'), np.memmap('x', x.dtype, 'r', shape=x.shape))[1]",
    "a subclass of ndarray": "x.view(np.recarray)",
    "no alignment": "np.frombuffer(b'.' + x.tobytes(), x.dtype, offset=1).reshape(x.shape)",
    **{f"{dtype}": f"x.astype({dtype!r})" for dtype in ("bool", "int8", "uint64", "float16", ">f4", "longdouble")},
}
OTHERS = {
    "a DataFrame": ("pandas", "__import__('pandas').DataFrame(x, columns=[*'abcd'])"),
    "a tensor of PyTorch": ("torch", "__import__('torch').asarray(x)"),
    "a tensor of PyTorch with a gradient": ("torch", "__import__('torch').tensor(x, requires_grad=True)"),
    "an array of JAX": ("jax", "__import__('jax.numpy').numpy.asarray(x)"),
}
LABELS = {
    "texts": "np.where(y, 'yes', 'no')",
    "a list of texts": "['はい' if n else 'いいえ' for n in y]",
    "texts as objects": "np.where(y, 'yes', 'no').astype(object)",
    "NumPy's texts in a list": "[*np.where(y, 'yes', 'no')]",
    "truth values": "y == 1",
    "negative numbers": "2 * y - 1",
    "whole floats": "y * 1.0",
    "unsigned bytes": "y.astype('u1')",
    "numbers of 40 bits": "y + 2**40",
    "categories of pandas": "__import__('pandas').Series(y).astype('category')",
    "a Series with an index of its own": "__import__('pandas').Series(y, index=range(100, 160))",
    "nullable truth values of pandas": "__import__('pandas').array(y == 1, dtype='boolean')",
}

ROWS = [
    # x and targets of ED
    *(Row(name=f"ED.fit with {name} as x", python=f"{LEARN}same({x})", value=True) for name, x in ARRAYS.items()),
    *(
        Row(name=f"ED.fit with {name} as x", python=f"{LEARN}same({x})", value=True, needs=(package,))
        for name, (package, x) in OTHERS.items()
    ),
    *(
        Row(name=f"ED.fit with {name} as target", python=f"{LEARN}same(x, {target})", value=True)
        for name, target in {
            "a list": "y.tolist()",
            "truth values": "y == 1",
            "whole numbers": "y.astype(int)",
            "every second number": "np.repeat(y, 2)[::2]",
            "a Series": "__import__('pandas').Series(y, index=range(100, 160))",
        }.items()
    ),
    # X and y of the estimators
    *(
        Row(name=f"{kind} with {name} as X", python=f"{FIT}same({ARRAYS[name]}, y, {kind})", value=True)
        for kind in ("EDClassifier", "EDRegressor")
        for name in ("a list", "Fortran's order", "a read-only array", "a memmap", "bool", "float16")
    ),
    *(
        Row(name=f"EDClassifier with {name} as X", python=f"{FIT}same({x})", value=True, needs=(package,))
        for name, (package, x) in {
            **OTHERS,
            "nullable numbers of pandas": ("pandas", "__import__('pandas').DataFrame(x).astype('Int64')"),
            "a sparse matrix": ("scipy", "__import__('scipy.sparse').sparse.csr_matrix(x)"),
            "a sparse array of columns": ("scipy", "__import__('scipy.sparse').sparse.csc_array(x)"),
        }.items()
    ),
    *(
        Row(
            name=f"EDClassifier with {name} as labels",
            python=f"{FIT}c, labels = fit(x, {labels}), {labels}\n"
            "same(x, labels), c.score(x, labels) == fit(x).score(x, y), set(c.predict(x)) <= set(np.asarray(labels))",
            value=(True, True, True),
            needs=("pandas",) if "pandas" in labels else (),
        )
        for name, labels in LABELS.items()
    ),
    # Paths
    *(
        Row(
            name=f"a network in {name}",
            python=f"{SAVE}Path('folder of 日本').mkdir()\npath = {path}\nedcore.io.save(ed, path)\n"
            "edcore.io.save(ed, path, overwrite=True)\n"
            "np.array_equal(edcore.io.load(path).predict(np.eye(2)), ed.predict(np.eye(2)))",
            value=True,
        )
        for name, path in {
            "a text": "'net'",
            "a Path": "Path('net.safetensors')",
            "a folder with blanks and Japanese": "'folder of 日本/網 1.safetensors'",
            "a name with a hyphen first": "'-net'",
            "an absolute path": "Path('net').absolute()",
        }.items()
    ),
    # Options and their files
    *(
        Row(
            name=f"a file of options {name}",
            shell="edcore train --config o.toml",
            files={"o.toml": text},
            says=("batch 8/8", "epoch 2"),
        )
        for name, text in (
            ("with CRLF", TOML.replace("\n", "\r\n")),
            ("with underscores", TOML),
            ("with hyphens", TOML.replace("_", "-")),
            ("with a comment in Japanese", "# 学習\n" + TOML),
            ("without a newline at its end", TOML.rstrip()),
            ("with a table of another command", "[bench]\ndepth = 2\n" + TOML),
        )
    ),
    *(
        Row(name=f"train {options}", shell=f"{XOR} {options}", says=(says,))
        for options, says in (
            ("--alpha=1e-1 --alpha-output .5", "learning rate 0.1"),
            ("--alpha 1", "learning rate 1 "),
            ("--json", '"accuracy": '),
            ("--checkpoint 'a net.safetensors'", "saved in a net.safetensors"),
            ("--checkpoint ./網.safetensors --every 1", "saved in 網.safetensors"),
        )
    ),
    # Tables
    *(
        Row(
            name=f"a table {name}",
            shell=line,
            files={file: text},
            says=("40 rows, 1 number, 1 text", "accuracy"),
            needs=("pandas",),
        )
        for name, line, file, text in (
            ("of commas", ON_TABLE, "t.csv", TABLE),
            ("with CRLF", ON_TABLE, "t.csv", TABLE.replace("\n", "\r\n")),
            ("of semicolons", ON_TABLE, "t.csv", TABLE.replace(",", ";")),
            ("of tabs", ON_TABLE, "t.csv", TABLE.replace(",", "\t")),
            ("with a mark of UTF-8", ON_TABLE, "t.csv", "\ufeff" + TABLE),
            ("in UTF-16", ON_TABLE, "t.csv", TABLE.encode("utf-16")),
            ("of blanks after commas", ON_TABLE, "t.csv", TABLE.replace(",", ", ")),
            ("without a newline at its end", ON_TABLE, "t.csv", TABLE.rstrip()),
            ("with gaps", ON_TABLE, "t.csv", TABLE.replace("\n27,", "\n,").replace("\n34,", "\nNA,")),
            ("with quotes", ON_TABLE, "t.csv", TABLE.replace("Oslo", '"Oslo, Norway"')),
            ("whose name has a capital ending", ON_TABLE.replace("t.csv", "T.CSV"), "T.CSV", TABLE),
            ("that is compressed", ON_TABLE.replace("t.csv", "t.csv.gz"), "t.csv.gz", gzip.compress(TABLE.encode())),
        )
    ),
]
