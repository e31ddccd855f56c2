"""Inputs of a reader who had not built what they test: of clusters, servers, offices and strangers."""

import io
import struct
import textwrap

import numpy as np

from world.row import REFUSED, Row


def program(text):
    """Return the text of a program without the margin and the lines around it."""
    return textwrap.dedent(text).strip()


def table(names, row, separator=",", end="\n"):
    """Return the text of a table of 60 rows."""
    return end.join([separator.join(names), *(separator.join(map(str, row(n))) for n in range(60))]) + end


def lying(shape, dtype="<f8"):
    """Return a .npy whose header has this shape, and no values."""
    header = repr({"descr": dtype, "fortran_order": False, "shape": shape}).ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()


def of_objects():
    """Return a .npy with a pickle in it."""
    file = io.BytesIO()
    np.save(file, np.array([{}], object), allow_pickle=True)
    return file.getvalue()


XY = table(["x", "y", "label"], lambda n: (n % 7, n * 3 % 11, "hi" if n % 2 else "lo"))
WIDE = str.maketrans("0123456789", "０１２３４５６７８９")
OWNED = "\x1b]0;owned\x07\u202e"
TRAIN = "edcore train --epochs 1 --seed 1"

OFFICE = [
    Row(
        name="Japanese Excel, numbers in full-width digits",
        files={
            "t.csv": table(["年齢", "合否"], lambda n: (str(150 + n % 30).translate(WIDE), "可" if n % 2 else "否"))
        },
        shell=f"{TRAIN} --data t.csv --target 合否",
        ends=2,
        says=("t.csv, line 2, column '年齢': '１５０' has other digits than 0 to 9. Write it as 150",),
        never=("too large",),
    ),
    Row(
        name="a table with Arabic digits in one cell of few",
        files={"t.csv": "x,label\n" + "\n".join(f"{n},{n % 2}" for n in range(9)) + "\n١٢,1\n"},
        shell=f"{TRAIN} --data t.csv --target label",
        ends=2,
        says=("t.csv, line 11, column 'x': '١٢' has other digits than 0 to 9. Write it as 12",),
    ),
    Row(
        name="a full-width digit in a column of numbers",
        files={"t.csv": table(["x", "label"], lambda n: ("３" if n == 5 else f"{n * 7 % 59}", n % 2))},
        shell=f"{TRAIN} --data t.csv --target label",
        ends=2,
        says=("t.csv, line 7, column 'x': '３' has other digits",),
    ),
    Row(
        name="German Excel, sep=; above the names",
        files={"t.csv": "\ufeffsep=;\r\n" + table("abl", lambda n: (f"{n % 7},5", n * 3 % 11, n % 2), ";", "\r\n")},
        shell=f"{TRAIN} --data t.csv --target l",
        says=("t.csv: 60 rows, 2 numbers",),
    ),
    Row(
        name="the line of an error below sep=;",
        files={"t.csv": 'sep=;\na;l\n"1;2\n'},
        shell=f"{TRAIN} --data t.csv --target l",
        ends=2,
        says=("t.csv, line 3: its quotes do not match",),
    ),
    Row(
        name="predicting a table with sep=; above the names",
        python=program("""
            from edcore.datasets.user_files import read_samples
            Path("t.csv").write_text("sep=;\\na;b\\n1;2\\n3;4\\n")
            read_samples("t.csv").tolist()
        """),
        value=[[1.0, 2.0], [3.0, 4.0]],
    ),
    Row(
        name="a note of more than 131,072 characters",
        files={"t.csv": f"a,b,l\n1,{'x' * 140_000},0\n2,y,1\n"},
        shell=f"{TRAIN} --data t.csv --target l",
        ends=2,
        says=("t.csv, line 2: a cell of more than 131,072 characters. Close its quotes, if they are open; or remove",),
        never=("called",),
    ),
    Row(
        name="no names above samples with two equal cells",
        files={"t.csv": "0,0,lo\n1,2,hi\n2,4,lo\n"},
        shell=f"{TRAIN} --data t.csv --target label",
        ends=2,
        says=("2 columns are named '0'. If the first line is a sample, write a line with the names",),
    ),
    Row(
        name="fifty columns of many texts",
        files={
            "t.csv": table([*(f"c{n}" for n in range(50)), "l"], lambda n: [*(f"t{n}" for _ in range(50)), n % 2])
            + "".join(",".join([f"u{n}"] * 50 + [str(n % 2)]) + "\n" for n in list(range(60)) * 3)
        },
        python=program("""
            from edcore.datasets.tables import read_table
            from edcore.estimators.table import Table
            notes = Table(read_table("t.csv"), "l").notes
            len(notes), notes[0].startswith("columns 'c0', 'c1'"), "and 30 more have more than 100" in notes[0]
        """),
        value=(1, True, True),
    ),
    Row(
        name="old Mac's line ends, Excel's empty rows at the end, and a comma at the end of each line",
        files={
            "cr.csv": XY.replace("\n", "\r"),
            "rows.csv": f"{XY},,\n,,\n",
            "comma.csv": XY.replace("\n", ",\n"),
        },
        python=program("""
            from edcore.datasets.tables import read_table
            tables = [read_table(name) for name in ("cr.csv", "rows.csv", "comma.csv")]
            [(table["label"].count().item(), table["x"].sum().item()) for table in tables]
        """),
        value=[(60, 174)] * 3,
    ),
    Row(
        name="a workbook with the ending .csv",
        files={"t.csv": b"PK\x03\x04" + bytes(60)},
        shell=f"{TRAIN} --data t.csv --target l",
        ends=2,
        says=("a zip file or a spreadsheet", "save it as CSV"),
    ),
]

OPTIONS = [
    Row(
        name="TOML of Notepad, with a mark at its start",
        files={"t.toml": "\ufeff[train]\r\ndepth = 1\r\n"},
        shell=f"{TRAIN} --config t.toml",
        says=("(depth 1)",),
    ),
    Row(
        name="TOML of PowerShell, in UTF-16",
        files={"t.toml": "[train]\ndepth = 1\n".encode("utf-16")},
        shell=f"{TRAIN} --config t.toml",
        ends=2,
        says=("save it as UTF-8",),
        never=("codec",),
    ),
    Row(
        name="a sweep of Notepad",
        files={"t.toml": "\ufeffseeds = 2\n"},
        python="import edcore.sweep\nlen(edcore.sweep.Sweep.read('t.toml'))",
        value=2,
    ),
    Row(
        name="--initial-fan-in far too large",
        shell=f"{TRAIN} --initial-fan-in 400",
        ends=2,
        says=("--initial-fan-in: given 400.0",),
        never=("edcore: fan_in",),
    ),
    Row(name="one class twice", shell=f"{TRAIN} --classes 0,0", ends=2, says=("in a shell 0,1",)),
    Row(
        name="a table's column, 'on' for a truth value, a date for a seed",
        files={"a.toml": '[train]\nrms = "on"\n', "b.toml": "[train]\nseed = 2026-01-01\n"},
        shell="edcore train --config a.toml; edcore train --config b.toml",
        ends=2,
        says=("rms: given 'on'; accepted: true or false", "seed: given datetime.date(2026, 1, 1); accepted: a whole"),
        slow=True,
    ),
]

MEMORY = [
    Row(
        name="labels that are the numbers of the rows",
        python=program("""
            import edcore.model.classes as classes
            classes.host_room = lambda: 2**28
            try:
                EDClassifier(max_iter=1).fit(np.zeros((6_000, 2)), np.arange(6_000))
            finally:
                from edcore.contract.memory import host_room
                classes.host_room = host_room
        """),
        ends=REFUSED,
        says=("OutOfMemoryError: y: the outputs for 6,000 samples of 6,000 classes need 0.5 GiB", "EDRegressor"),
    ),
    Row(
        name="samples that are one number, seen as many, in fit and in predict",
        python=program("""
            import resource
            model = EDClassifier(max_iter=1).fit(np.zeros((6, 1000), np.float32), np.arange(6) % 2)
            resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30,) * 2)
            many, found = np.broadcast_to(np.float32(0), (2 * 10**6, 1000)), []
            for call in (lambda: EDClassifier().fit(many, np.arange(2 * 10**6) % 2), lambda: model.predict(many)):
                try:
                    call()
                except edcore.errors.OutOfMemoryError as error:
                    found.append("not enough memory for X" in str(error))
            found
        """),
        value=[True, True],
        needs=("linux",),
        alone=True,
        slow=True,
    ),
    Row(
        name="a prediction of JAX under a limit",
        python=program("""
            import resource
            ed = ED(in_=2, hidden_width=2**10, hidden_depth=1, seed=0, backend="jax")
            ed.predict(np.zeros((4, 2), np.float32))
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + 2**28,) * 2)
            ed.predict(np.zeros((2**18, 2), np.float32))
        """),
        ends=REFUSED,
        says=("OutOfMemoryError",),
        needs=("linux", "jax"),
        alone=True,
        slow=True,
    ),
    Row(
        name="a .npy of 7 TiB, of a negative size, of 64 axes, of enormous texts, with a pickle",
        files={
            "a.npy": lying((10**9, 10**3)),
            "b.npy": lying((-1, 4)),
            "c.npy": lying((1,) * 64),
            "d.npy": lying((3, 2**28), "<U100000"),
            "e.npy": of_objects(),
        },
        python=program("""
            from edcore.datasets.tables import read_table
            found = []
            for name in "abcde":
                try:
                    read_table(f"{name}.npy")
                except edcore.errors.DataFileError as error:
                    found.append(f"{name}.npy: it cannot be read as .npy" in str(error))
            found
        """),
        value=[True] * 5,
    ),
]

SPARSE = """
import scipy.sparse
found = []
for kind, places in (("csr", "indices"), ("csr", "indptr"), ("csc", "indices"), ("coo", "coords")):
    for wrong in (2**31 - 1, -1):
        matrix = getattr(scipy.sparse, f"{kind}_array")(X)
        array = getattr(matrix, places)
        (array[1] if kind == "coo" else array)[3] = wrong
        try:
            EDClassifier(max_iter=1).fit(matrix, Y)
        except edcore.errors.InputError as error:
            found.append("X: given" in str(error) and "whose values cannot be read" in str(error))
found
"""

LIBRARIES = [
    Row(
        name="sparse matrices with places outside their shapes, in fit",
        python=SPARSE.strip(),
        value=[True] * 8,
        alone=True,
    ),
    Row(
        name="a sparse matrix that is right stays as it is",
        python=program("""
            import scipy.sparse
            matrix = scipy.sparse.csr_array(X)
            before = [matrix.indices, matrix.indptr, matrix.data]
            EDClassifier(max_iter=1).fit(matrix, Y).predict(matrix.tocoo())
            all(now is old for now, old in zip([matrix.indices, matrix.indptr, matrix.data], before))
        """),
    ),
    Row(
        name="X is the name of a file",
        python="EDClassifier().fit('people.csv', Y)",
        ends=REFUSED,
        says=("X: given the text 'people.csv'", "Read the file first"),
        never=("Reshape",),
    ),
    Row(
        name="X is None",
        python="EDClassifier().fit(None, Y)",
        ends=REFUSED,
        says=("X: given None; accepted: an array of numbers",),
        never=("SimpleImputer",),
    ),
    Row(
        name="labels of pandas.cut",
        python="import pandas\nEDClassifier().fit(X, pandas.cut(X[:, 0], 3))",
        ends=REFUSED,
        says=("y: given labels such as Interval(", "numpy.asarray(y).astype(str)"),
        never=("scikit-learn",),
        needs=("pandas",),
    ),
    Row(
        name="the advice for labels that are bytes, intervals or very large",
        python=program("""
            import pandas
            wrong = [[b"a", b"b"] * 30, pandas.cut(X[:, 0], 3), [10**30, 1] * 30]
            [EDClassifier(max_iter=1).fit(X, np.asarray(y).astype(str)).classes_.dtype.kind for y in wrong]
        """),
        value=["U", "U", "U"],
        needs=("pandas",),
    ),
    Row(
        name="a random_state of JAX, of PyTorch, of pandas; text, fractions and arrays",
        python=program("""
            import pandas, torch, jax
            found = []
            for state in (jax.random.key(0), torch.Generator(), pandas.NA, "42", 42.0, -1, 2**32, np.array([1, 2])):
                try:
                    EDClassifier(random_state=state).fit(X, Y)
                except edcore.errors.InputError as error:
                    found.append(error.argument)
            found
        """),
        value=["random_state"] * 8,
        needs=("pandas", "torch", "jax"),
    ),
    Row(
        name="weights of samples by pandas with another index, and of PyTorch with gradients",
        python=program("""
            import pandas, torch
            weights = (pandas.Series(np.ones(60), index=range(100, 160)), torch.ones(60, requires_grad=True))
            models = [EDClassifier(max_iter=1, random_state=0).fit(X, Y, sample_weight=one) for one in weights]
            models[0].loss_curve_ == models[1].loss_curve_
        """),
        needs=("pandas", "torch"),
    ),
]

DEPLOYMENT = [
    Row(
        name="JAX in a forked process, by name",
        python=program("""
            import os
            from edcore.arrays import INHERITED
            INHERITED.add("jax")
            try:
                ED(in_=2, hidden_width=2, hidden_depth=1, backend="jax").predict(X[:, :2])
            finally:
                INHERITED.discard("jax")
        """),
        ends=REFUSED,
        says=("JAX was in use when this process was forked",),
        never=("pip install",),
        needs=("jax",),
    ),
    Row(
        name="a server that forks while a thread of it predicts",
        python=program("""
            import os, threading
            model = EDClassifier(max_iter=3, random_state=0).fit(X, Y)
            wanted = model.predict(X)
            busy = threading.Thread(target=lambda: [model.predict(X) for _ in range(100)])
            busy.start()
            children = []
            for _ in range(3):
                child = os.fork()
                if not child:
                    found = []
                    threads = [threading.Thread(target=lambda: found.append(model.predict(X))) for _ in range(4)]
                    [thread.start() for thread in threads]
                    [thread.join() for thread in threads]
                    os._exit(0 if len(found) == 4 and all((one == wanted).all() for one in found) else 9)
                children.append(child)
            busy.join()
            [os.waitpid(child, 0)[1] for child in children]
        """),
        value=[0, 0, 0],
        needs=("linux",),
        alone=True,
        slow=True,
    ),
    Row(
        name="few open files, one process, a small stack, no HOME, no folder for temporary files",
        shell="(ulimit -n 12; " + TRAIN + " --depth 1) && (ulimit -u 1; " + TRAIN + " --depth 1) && "
        "(ulimit -s 256; " + TRAIN + " --depth 1) && env -u HOME TMPDIR=/nonexistent " + TRAIN + " --depth 1",
        says=("accuracy",),
        needs=("linux",),
        slow=True,
    ),
    Row(
        name="a checkpoint in a current folder that was removed",
        shell=f'mkdir a && cd a && rmdir "$PWD" && {TRAIN} --depth 1 --checkpoint run.safetensors',
        ends=2,
        says=("edcore: the current folder: No such file or directory. It was removed",),
        never=("names of files",),
        needs=("linux",),
    ),
    Row(
        name="a user's torch.py in the working directory",
        files={"torch.py": "open('run', 'w')"},
        leaves={"run": None},
        shell="python -m edcore info",
        says=("torch is ./torch.py, which is not the library of that name; rename it",),
        never=("torch needs:",),
        slow=True,
    ),
]

STRANGERS = [
    Row(
        name="a target whose name ends with a character that nobody sees",
        files={"t.csv": XY.replace("label", "label\u200b")},
        shell=f"{TRAIN} --data t.csv --target label",
        ends=2,
        says=("Did you mean 'label\\u200b'?",),
    ),
    Row(
        name="names of columns and classes that command a terminal, learnt, inspected and predicted",
        files={"t.csv": table([f"x{OWNED}", "y", "l"], lambda n: (n % 7, n * 3 % 11, f"a{OWNED}" if n % 2 else "b"))},
        shell=f"{TRAIN} --data t.csv --target l --checkpoint m; edcore inspect m; edcore predict m t.csv --proba",
        says=("x\\x1b]0;owned\\x07\\u202e", "a\\x1b]0;owned\\x07\\u202e"),
        slow=True,
    ),
    Row(
        name="a network's header of 100,000 brackets, or longer than its file",
        files={
            "a": struct.pack("<Q", 200_000) + b"[" * 200_000,
            "b": struct.pack("<Q", 2**62) + b"{}",
        },
        python=program("""
            found = []
            for name in "ab":
                try:
                    edcore.io.load(name)
                except edcore.errors.EDCoreError as error:
                    found.append("not a safetensors file" in str(error))
            found
        """),
        value=[True, True],
    ),
    Row(
        name="an address for a table and for a network",
        shell="edcore predict s3://bucket/model.safetensors https://example.org/t.csv",
        ends=2,
        says=("cannot be read",),
    ),
]

ROWS = [*OFFICE, *OPTIONS, *MEMORY, *LIBRARIES, *DEPLOYMENT, *STRANGERS]
