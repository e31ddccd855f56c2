"""What strangers hand over: labels, names, downloads, and modules that hide a library (K13)."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from world.row import REFUSED, Row

EVIL = "\x1b]0;mine\x07\x1b[2J\x9b31m\u202e\u200b\u2028\r\nb"
"""A title, an empty screen, a colour, text to the left, what is not seen, and lines of its own."""

ESCAPED = r"\x1b]0;mine\x07\x1b[2J\x9b31m\u202e\u200b\u2028\r\nb"

LOUD = "print('a stranger speaks')\n"

TWO = "\x1b[2J,b\n0.1,0.9\n0.9,0.1\n0.2,0.8\n0.8,0.2\n"


def network(path: Path, labels: tuple[str, ...] = (EVIL, "c")) -> None:
    """Save a network whose labels are a stranger's."""
    from edcore import ED, io

    io.save(ED(2, hidden_width=2, seed=0), path, classes=labels)


def table_model(path: Path) -> None:
    """Save a pipeline whose labels, columns and target are a stranger's."""
    import pandas

    from edcore import io
    from edcore.estimators import table_pipeline

    frame = pandas.DataFrame({f"x{EVIL}": np.arange(8.0) % 3, "t\x1b": [EVIL, "c"] * 4})
    io.save(table_pipeline(frame, "t\x1b", max_iter=2, random_state=0).fit(frame, frame["t\x1b"]), path, target="t\x1b")


def plug_in(path: Path) -> None:
    """Write an installed package with a backend whose name and whose summary are a stranger's."""
    path.write_text("[edcore.backends]\nevil\x1b[2J = evil:BACKEND\n")
    (path.parent / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1\n")
    (path.parent.parent / "evil.py").write_text(f"{LOUD}raise ImportError('\\x1b[2J\\u202e')\n")


def idx(path: Path) -> None:
    """Write one of MNIST's files, whose name says which: thirty small images, or their labels."""
    import gzip
    import struct

    images = "images" in path.name
    header = struct.pack(">4B3I", 0, 0, 8, 3, 30, 28, 28) if images else struct.pack(">4BI", 0, 0, 8, 1, 30)
    content = header + (np.arange(30 * 784) % 251 if images else np.arange(30) % 3).astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def mnist(form: str) -> dict[str, Callable[[Path], None]]:
    """Return MNIST's four files, by the names of a form such as ``data/{}-{}-{}-ubyte``."""
    kinds = (("images", "idx3"), ("labels", "idx1"))
    return {form.format(part, *kind): idx for part in ("train", "t10k") for kind in kinds}


def from_a_file(**run: str) -> Callable[[Path], None]:
    """Return what writes a checkpoint, of a run on MNIST's files, whose options a stranger has set to others."""

    def write(path: Path) -> None:
        import dataclasses

        from edcore.training import checkpoint, setup
        from edcore.training.options import TrainOptions

        data_dir = path.parent / "theirs"
        for name, file in mnist("MNIST/raw/{}-{}-{}-ubyte").items():
            (data_dir / name).parent.mkdir(parents=True, exist_ok=True)
            file(data_dir / name)
        options = TrainOptions(dataset="mnist", data_dir=data_dir, width=2, depth=0, backend="numpy", seed=0)
        made = setup.begin(options, keep=True)
        state = dataclasses.replace(made.state, options=made.state.options | run)
        checkpoint.Checkpoint(path, 1, made.ed, made.data, state, print, True).write(made.learnt)

    return write


def table_run_of(data: str) -> Callable[[Path], None]:
    """Return what writes a run on a table whose file says that the table is another one."""

    def write(path: Path) -> None:
        from edcore.estimators import table_run

        table = path.parent / "theirs.csv"
        table.write_text("a,b,c\n" + "".join(f"{n % 3},{n % 5},{n % 2}\n" for n in range(20)))
        run = table_run.begin({"data": str(table), "target": "c", "epochs": 1, "backend": "numpy"})
        run.learn()
        run.data, run.epochs = data, 2
        run.save(path, new=True)

    return write


ON_A_TERMINAL = """
import os, pty, subprocess, sys
def on_a_terminal(*words):
    ours, theirs = pty.openpty()
    child = subprocess.Popen([sys.executable, "-m", "edcore", *words], stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    found = b""
    try:
        while part := os.read(ours, 4096):
            found += part
    except OSError:
        pass
    return child.wait(), found.decode().replace("\\r\\n", "\\n")
"""

FILES = {"n.safetensors": network, "d.csv": "0.1,0.2\n0.3,0.1\n"}

ROWS: list[Row] = [
    # What is printed is printable.
    Row(
        name="labels of a file: predict prints a line for each sample",
        shell="edcore predict n.safetensors d.csv",
        files={"n.safetensors": lambda path: network(path, (EVIL, f"c{EVIL}")), "d.csv": "0.1,0.2\n"},
        says=(ESCAPED,),
    ),
    Row(
        name="labels of a file: on a terminal they are printed as escapes",
        python=ON_A_TERMINAL
        + "code, text = on_a_terminal('predict', 'n.safetensors', 'd.csv')\n"
        + "code, text.count('\\n'), '\\x1b' in text, text.count('x1b]0;mine')",
        value=(0, 2, False, 2),
        files={**FILES, "n.safetensors": lambda path: network(path, (EVIL, f"c{EVIL}"))},
        needs=("linux",),
    ),
    Row(
        name="labels of a file: inspect, on a terminal",
        python=ON_A_TERMINAL
        + "code, text = on_a_terminal('inspect', 'n.safetensors')\n"
        + "code, '\\x1b]' in text, '\\x1b[2J' in text, r'\\x1b[2J' in text",
        value=(0, False, False, True),
        files=FILES,
        needs=("linux",),
        slow=True,
    ),
    Row(
        name="labels of a file: predict --json gives them back unchanged",
        python="import json, subprocess, sys\n"
        "line = [sys.executable, '-m', 'edcore', 'predict', 'n.safetensors', 'd.csv', '--json']\n"
        "text = subprocess.run(line, capture_output=True, text=True, check=True).stdout\n"
        "text.isascii(), set(json.loads(text)['classes']) "
        f"<= {{{EVIL!r}, 'c'}}",
        value=(True, True),
        files=FILES,
        slow=True,
    ),
    Row(
        name="labels of a file: predict --out gives them back to csv and to pandas",
        python="""
import csv, pandas
from edcore.cli import main
labels = ('=HYPERLINK("http://x","y")', ' -1,"\\n\\r+')
edcore.io.save(ED(2, hidden_width=2, seed=0), "n.safetensors", classes=labels)
rng = np.random.default_rng(0)
np.save("d.npy", rng.normal(size=(200, 2)) * 9)
try:
    main(["predict", "n.safetensors", "d.npy", "--out", "o.csv"])
except SystemExit as end:
    assert not end.code
with open("o.csv", newline="") as file:
    read = [row for row, in csv.reader(file)]
column = pandas.read_csv("o.csv", header=None)[0].tolist()
set(read) <= set(labels), read == column, len(read)
""",
        value=(True, True, 200),
        needs=("pandas",),
    ),
    Row(
        name="labels that begin as a formula are printed as they are",
        shell="edcore predict n.safetensors d.csv --proba",
        ends=2,  # of a network; the sentence has the file
        files={"n.safetensors": lambda path: network(path, ("=1+1", "@x")), "d.csv": "0.1,0.2\n"},
        says=("accepted: a file of a classifier",),
    ),
    Row(
        name="labels of scripts that join letters, and wide spaces, are printed as they are",
        python="from edcore.errors import printable\n"
        "[printable(text) for text in ('می\\u200cخواهم', '👩\\u200d💻', '全\\u3000角', 'a\\u200db', '\\ud800\\ue000')]",
        value=["می\u200cخواهم", "👩\u200d💻", "全\u3000角", "a\\u200db", "\\ud800\ue000"],
    ),
    Row(name="labels of a file: inspect", shell="edcore inspect n.safetensors", files=FILES, says=(ESCAPED,)),
    Row(
        name="labels of a file: inspect --json",
        shell="edcore inspect n.safetensors --json",
        files=FILES,
        says=(r"\u001b]0;mine\u0007",),
    ),
    Row(
        name="a table's names and labels: inspect",
        shell="edcore inspect t.safetensors",
        files={"t.safetensors": table_model},
        says=(ESCAPED, r"t\x1b"),
        needs=("pandas",),
    ),
    Row(
        name="a table's names and labels: predict",
        python="""
import pandas
from edcore.cli import main
from world.strangers import EVIL
pandas.DataFrame({f"x{EVIL}": [1.0, 2.0], "\\x1b[2Jmore": [1, 2]}).to_csv("d.csv", index=False)
main(["predict", "t.safetensors", "d.csv", "--proba"])
""",
        files={"t.safetensors": table_model},
        says=(r"x1b[2Jmore", ESCAPED),
        needs=("pandas",),
    ),
    Row(
        name="a table's names: columns that are missing",
        shell="edcore predict t.safetensors d.csv",
        ends=2,
        files={"t.safetensors": table_model, "d.csv": TWO},
        says=(r"x1b[2J",),
        needs=("pandas",),
    ),
    Row(
        name="a table's names: train --data",
        shell="edcore train --data d.csv --target b --epochs 1 --task regression --backend numpy",
        files={"d.csv": TWO},
        needs=("pandas",),
    ),
    Row(
        name="a table's names: a target that is not there",
        shell="edcore train --data d.csv --target c --epochs 1",
        ends=2,
        files={"d.csv": TWO},
        says=(r"\x1b[2J",),
        needs=("pandas",),
    ),
    Row(
        name="a table's texts: train --data --json, and its classes",
        python="""
import pandas
from edcore.cli import main
pandas.DataFrame({"x": np.arange(40.0) % 3, "t": ["\\x9b2J\\u202e", "b\\x7f"] * 20}).to_csv("d.csv", index=False)
main(["train", "--data", "d.csv", "--target", "t", "--epochs", "1", "--backend", "numpy", "--json"])
""",
        says=(r'"\u009b2J\u202e"', r'"b\u007f"', r"classes b\x7f, \x9b2J\u202e"),
        needs=("pandas",),
    ),
    Row(
        name="a file's name: data that are not there",
        python="from edcore.cli import main\nmain(['predict', '\\x1b[2J\\u202e.safetensors', 'd.csv'])",
        ends=2,
        says=(r"\x1b[2J\u202e.safetensors",),
    ),
    Row(
        name="a file's name: in Python",
        python="edcore.io.load('\\x1b[2J\\u202e.safetensors')",
        ends=REFUSED,
        says=(r"\x1b[2J\u202e.safetensors",),
    ),
    Row(
        name="a file's name: what was written",
        python="from edcore.cli import main\nmain(['train', '--dataset', 'xor', '--epochs', '2', '--backend', 'numpy', "
        "'--depth', '0', '--checkpoint', '\\x1b[2J.safetensors'])",
        says=(r"saved in \x1b[2J.safetensors",),
    ),
    Row(
        name="a TOML file: a key",
        shell="edcore train --config c.toml",
        ends=2,
        files={"c.toml": '[train]\n"\\u001b[2J\\u202e" = 1\n'},
        says=(r"\x1b[2J\u202e",),
    ),
    Row(
        name="a TOML file: a table",
        shell="edcore train --config c.toml",
        ends=2,
        files={"c.toml": '["\\u001b[2J\\u202e"]\nx = 1\n'},
        says=(r"\x1b[2J\u202e",),
    ),
    Row(
        name="a TOML file: a value",
        shell="edcore train --config c.toml",
        ends=2,
        files={"c.toml": '[train]\nwidth = "\\u001b[2J\\u202e"\n'},
        says=(r"\x1b[2J\u202e",),
    ),
    Row(
        name="a TOML file: a value of a text",
        shell="edcore train --config c.toml",
        ends=2,
        files={"c.toml": '[train]\ndataset = "\\u001b[2J\\u202e"\n'},
        says=(r"\x1b[2J\u202e",),
    ),
    Row(
        name="a sweep's file: keys and values",
        shell="edcore sweep c.toml",
        ends=2,
        files={"c.toml": '[train]\n"\\u001b[2J" = "\\u202e"\n'},
        says=(r"\x1b[2J",),
    ),
    Row(
        name="a sweep's file: a data set",
        shell="edcore sweep c.toml",
        ends=2,
        files={"c.toml": '[train]\ndataset = "\\u202ex"\n'},
        says=(r"\u202ex",),
    ),
    Row(
        name="a backend's name by an entry point: info",
        shell="PYTHONPATH=$PWD:$PYTHONPATH edcore info",
        files={"evil-1.dist-info/entry_points.txt": plug_in},
        says=(r"evil\x1b[2J", "is broken"),
        slow=True,
    ),
    Row(
        name="a backend's name by an entry point: check",
        shell="PYTHONPATH=$PWD:$PYTHONPATH edcore check none",
        ends=2,
        files={"evil-1.dist-info/entry_points.txt": plug_in},
        says=(r"evil\x1b[2J",),
        slow=True,
    ),
    Row(
        name="the variable EDCORE_BACKEND",
        shell="edcore info --explain 4 4 4",
        ends=2,
        environment={"EDCORE_BACKEND": "\x1b[2J\u202e"},
        says=(r"\x1b[2J\u202e",),
    ),
    Row(
        name="a message of another library",
        python="from edcore.console import only_own_output\nimport warnings\nwith only_own_output():\n"
        "    warnings.warn('\\x1b[2J\\u202e')",
        says=(r"\x1b[2J\u202e",),
    ),
    Row(
        name="a damaged file, whose header names a version",
        python="""
from edcore.files.container import pack
Path("n.safetensors").write_bytes(pack({"format": 3, "versions": {"edcore": "\\x1b[2J\\u202e"}}, {"a": np.zeros(1)}))
edcore.io.load("n.safetensors")
""",
        ends=REFUSED,
        says=(r"\x1b[2J\u202e",),
    ),
    Row(
        name="labels of a report and of pictures",
        python="""
from edcore import plots
from edcore.plots import canvas, report
from edcore.training import train
labels = "$\\\\frac{$", "<script>alert(1)</script>", "\\x1b[2J\\0\\u202e"
x, y = np.tile(X, (1, 1)), np.arange(60) % 3
data = edcore.datasets.Dataset("<b>\\x1b$\\\\x$", x, y, x, y, labels)
ed = ED(4, hidden_width=2, hidden_depth=0, heads=3, seed=0, backend="numpy")
page = report.html(ed, data, list(train(ed, data, epochs=1)), setting={"<i>": "\\x1b"}, command="<u>\\0")
pictures = [canvas.rendered(plots.confusion_matrix(y, y, labels), kind) for kind in ("png", "svg", "pdf")]
[text in page for text in ("<script", "<b>", "<i>", "<u>", "\\x1b", "\\0")], len(pictures)
""",
        value=([False] * 6, 3),
        needs=("matplotlib",),
    ),
    Row(
        name="a file of a pipeline whose version of scikit-learn is a stranger's, in Python",
        python="""
from edcore.files import container
import safetensors.numpy
with container.open_container(Path("t.safetensors")) as file:
    document = dict(file.document)
document["versions"]["scikit-learn"] = "\\x1b[2J\\u202e"
Path("u.safetensors").write_bytes(container.pack(document, safetensors.numpy.load_file("t.safetensors")))
edcore.io.load("u.safetensors")
""",
        files={"t.safetensors": table_model},
        says=(r"its steps are of scikit-learn \x1b[2J\u202e",),
        needs=("pandas",),
    ),
    # Nothing is downloaded, read or made because a file says so. torchvision is a stand-in.
    *(
        Row(
            name=f"a file that names where to download to: {words}",
            python=f"""
import sys, types
asked = []
datasets = types.SimpleNamespace(MNIST=lambda root, download: (asked.append(root), Path(root).mkdir(parents=True)))
sys.modules["torchvision"] = types.SimpleNamespace(datasets=datasets)
from edcore.cli import main
try:
    main({command!r})
except SystemExit as end:
    print("ended with", end.code)
finally:
    del sys.modules["torchvision"]
asked, Path("evil").exists()
""",
            value=([], False),
            files=files,
            says=("ended with 2", "Nothing is downloaded to where a file says", "--data-dir", *says),
        )
        for words, command, files, says in (
            ("--resume", ["train", "--resume", "r.ckpt"], {"r.ckpt": from_a_file(data_dir="evil/a")}, ("r.ckpt",)),
            (
                "--resume, and a data set in the home folder",
                ["train", "--resume", "r.ckpt"],
                {"r.ckpt": from_a_file(data_dir="~/evil", dataset="fashion_mnist")},
                ("r.ckpt",),
            ),
            ("plot", ["plot", "r.ckpt"], {"r.ckpt": from_a_file(data_dir="evil/a")}, ("r.ckpt",)),
            (
                "--config",
                ["train", "--config", "c.toml"],
                {"c.toml": '[train]\ndataset = "mnist"\ndata-dir = "evil"\n'},
                ("c.toml",),
            ),
            (
                "sweep",
                ["sweep", "c.toml"],
                {"c.toml": '[train]\ndataset = "mnist"\ndata-dir = "evil"\n'},
                ("c.toml",),
            ),
        )
    ),
    Row(
        name="where to download to: typed beside a file of options",
        python="""
import sys, types
asked = []
datasets = types.SimpleNamespace(MNIST=lambda root, download: asked.append(root))
sys.modules["torchvision"] = types.SimpleNamespace(datasets=datasets)
from edcore.cli import main
try:
    main(["train", "--config", "c.toml", "--data-dir", "mine"])
except SystemExit:
    pass
finally:
    del sys.modules["torchvision"]
asked
""",
        value=["mine"],
        files={"c.toml": '[train]\ndataset = "mnist"\n'},
        says=("torchvision downloaded no",),
    ),
    Row(
        name="--resume: the data are where the file says",
        shell="edcore train --resume r.ckpt",
        files={"r.ckpt": from_a_file()},
        says=("accuracy",),
    ),
    *(
        Row(
            name=f"predict: {words} is no file, and nothing is fetched",
            python=f"""
import socket
def refused(*arguments, **options):
    raise AssertionError("the network is asked")
before, socket.socket.connect, socket.getaddrinfo = (socket.socket.connect, socket.getaddrinfo), refused, refused
from edcore.cli import main
try:
    main(["predict", {file!r}, {data!r}])
finally:
    socket.socket.connect, socket.getaddrinfo = before
""",
            ends=2,
            files={"n.safetensors": network, "t.safetensors": table_model},
            says=("edcore: ",),
            needs=("pandas",),
        )
        for words, file, data in (
            ("http://", "n.safetensors", "http://localhost/x.csv"),
            ("http:// for a table", "t.safetensors", "http://localhost/x.csv"),
            ("s3://", "t.safetensors", "s3://bucket/x.parquet"),
            ("ftp://", "t.safetensors", "ftp://localhost/x.csv.gz"),
            ("a model at http://", "http://localhost/x.safetensors", "d.csv"),
        )
    ),
    Row(
        name="no pickle is read: .npy, .npz, and a file of joblib or torch",
        python="""
import os, pickle
class Evil:
    def __reduce__(self):
        return (os.mkdir, ("evil",))
from edcore.datasets.tables import read_table
from edcore.datasets.user_files import read_samples
np.save("a.npy", np.array([[Evil()]], object), allow_pickle=True)
np.savez("a.npz", x=np.array([Evil()], object))
Path("a.safetensors").write_bytes(pickle.dumps(Evil()))
Path("a.parquet").write_bytes(pickle.dumps(Evil()))
failed = []
for read, file in ((read_samples, "a.npy"), (read_table, "a.npy"), (read_table, "a.npz"), (read_table, "a.parquet"),
                   (edcore.io.load, "a.safetensors"), (edcore.io.inspect, "a.safetensors")):
    try:
        read(Path(file))
    except edcore.EDCoreError as error:
        failed.append(file)
len(failed), Path("evil").exists()
""",
        value=(6, False),
        needs=("pandas", "pyarrow"),
    ),
    *(
        Row(
            name=f"--resume of a run on a table: the file says that the table is {words}",
            shell="edcore train --resume t.safetensors",
            ends=2,
            files={"t.safetensors": table_run_of(data), **files},
            says=(says,),
            needs=("pandas", *needs),
        )
        for words, data, files, needs, says in (
            ("a device that never ends", "/dev/zero", {}, ("linux",), "a file with no ending"),
            ("a pipe", "p.csv", {"p.csv": lambda path: os.mkfifo(path)}, ("linux",), "p.csv: a pipe"),
            ("an address", "http://localhost/x.csv", {}, (), "x.csv: "),
            ("any text file", "/etc/passwd", {}, (), "a file with no ending"),
            ("another table", "d.csv", {"d.csv": TWO}, (), "'c'"),
        )
    ),
    # Paths: ~, and MNIST's files where people have them.
    Row(
        name="~ in paths: io.save, inspect, load, mnist, read_table, Sweep.read, Results, animations",
        python="""
import os
os.environ["HOME"] = os.environ["USERPROFILE"] = os.getcwd()
from edcore.datasets.tables import read_table
edcore.io.save(ED(4, hidden_width=2, seed=0), "~/n.safetensors")
edcore.io.inspect("~/n.safetensors"), edcore.io.load("~/n.safetensors")
edcore.datasets.mnist("~/data"), edcore.datasets.load("mnist", data_dir="~/data")
sweep = edcore.sweep.Sweep.read("~/c.toml")
with edcore.sweep.Results("~/o.csv", sweep):
    pass
sorted(path.name for path in Path().iterdir())
""",
        value=["c.toml", "data", "n.safetensors", "o.csv"],
        files={"c.toml": '[train]\ndataset = "xor"\n', **mnist("data/MNIST/raw/{}-{}-{}-ubyte")},
    ),
    Row(
        name="~ in paths: on the command line and in TOML",
        python="""
import os
from edcore.cli import main
os.environ["HOME"] = os.environ["USERPROFILE"] = os.getcwd()
for line in ("train --config=~/c.toml --checkpoint=~/r.ckpt", "predict ~/r.ckpt mnist --data-dir=~/data --out=~/o.csv",
             "inspect ~/r.ckpt", "sweep ~/s.toml --out=~/s.csv --jobs 1", "play --out=~/p.html"):
    try:
        main(line.split())
    except SystemExit as end:
        assert not end.code, line
sorted(path.name for path in Path().iterdir())
""",
        value=["c.toml", "data", "o.csv", "p.html", "r.ckpt", "s.csv", "s.toml"],
        files={
            "c.toml": '[train]\ndataset = "mnist"\ndata-dir = "~/data"\nwidth = 2\ndepth = 0\nbackend = "numpy"\n',
            "s.toml": '[train]\ndataset = "mnist"\ndata-dir = "~/data"\nwidth = 2\ndepth = 0\nbackend = "numpy"\n',
            **mnist("data/MNIST/raw/{}-{}-{}-ubyte"),
        },
    ),
    *(
        Row(
            name=f"MNIST's files: {words}",
            python=f"edcore.datasets.mnist({data_dir!r}, classes=(0, 1)).x_train.shape",
            value=(20, 784),
            files=mnist(form),
        )
        for words, data_dir, form in (
            ("the parent of MNIST/raw", "d", "d/MNIST/raw/{}-{}-{}-ubyte"),
            ("MNIST/raw itself", "d/MNIST/raw", "d/MNIST/raw/{}-{}-{}-ubyte"),
            ("MNIST itself", "d/MNIST/", "d/MNIST/raw/{}-{}-{}-ubyte.gz"),
            ("in MNIST, without raw", "d", "d/MNIST/{}-{}-{}-ubyte"),
            ("loose, with Kaggle's names", "archive", "archive/{}-{}.{}-ubyte"),
            ("loose, with Kaggle's names, packed", "archive", "archive/{}-{}.{}-ubyte.gz"),
            ("in folders of their names, as Kaggle packs them", "a", "a/{0}-{1}.{2}-ubyte/{0}-{1}.{2}-ubyte"),
            ("in folders of Kaggle's names", "a", "a/{0}-{1}-{2}-ubyte/{0}-{1}.{2}-ubyte"),
            ("here", ".", "{}-{}-{}-ubyte"),
        )
    ),
    Row(
        name="MNIST's files: those of the other data set are not taken",
        python="edcore.datasets.fashion_mnist('d/MNIST/raw')",
        ends=REFUSED,
        files=mnist("d/MNIST/raw/{}-{}-{}-ubyte"),
        says=("FashionMNIST", "missing"),
    ),
    Row(
        name="MNIST's files: the folder that has none is named once",
        python="edcore.datasets.load('mnist', data_dir='d/MNIST/raw', download=False)",
        ends=REFUSED,
        says=("d/MNIST/raw: missing", "Put them there"),
        never=("MNIST/raw/MNIST",),
    ),
    # A user's module in a library's place is named and not imported, and stdout is the command's own.
    Row(
        name="numba.py and torch.py and jax and cupy here: info says which files they are",
        shell='edcore info --json > o.json; python -c "import json\n'
        "for one in json.load(open('o.json'))['backends']: print(one['name'], one['ready'], one['reason'])\"",
        files={"numba.py": LOUD, "torch.py": LOUD, "jax/notes.txt": "", "cupy/__init__.py": LOUD},
        says=(
            "numba False numba is ./numba.py, which is not the library of that name; rename it",
            "torch False torch is ./torch.py, which is not",
            "jax True",  # Python prefers the library to a folder that is no package
            "cupy False cupy is ./cupy, which is not",
            "numpy True",
        ),
        needs=("numba", "torch", "jax"),
    ),
    Row(
        name="a folder numba with an __init__.py beside a script",
        shell="python s.py",
        files={
            "numba/__init__.py": LOUD,
            "s.py": "import edcore\n[print(one.reason) for one in edcore.list_backends() if one.name == 'numba']\n",
        },
        says=("numba is ./numba, which is not the library of that name; rename it",),
        never=("a stranger",),
        needs=("numba",),
        slow=True,
    ),
    Row(
        name="a numba.py beside a script: it is named where numba is asked for, and auto takes another",
        shell="python s.py",
        files={
            "numba.py": LOUD,
            "s.py": "import edcore\nprint(edcore.ED(2).fit([[0, 1], [1, 0]], [0, 1]).backend)\n"
            "try:\n    edcore.ED(2, backend='numba')\nexcept edcore.EDCoreError as error:\n    print(error)\n",
        },
        says=("backend='numba' cannot run here: numba is ./numba.py, which is not the library of that name",),
        never=("a stranger",),
        slow=True,
    ),
    *(
        Row(
            name=f"a module here, {module}: {line}",
            shell=line,
            ends=2,
            files={module: LOUD, "d.csv": "a,b\n1,2\n2,1\n"},
            never=("Traceback",),
            says=(says,),
            alone=True,
            slow=slow,
        )
        for module, line, says, slow in (
            ("rich.py", "edcore info", "rich is ./rich.py, which is not the library of that name", False),
            ("typer/__init__.py", "edcore info", "typer is ./typer, which is not the library of that name", True),
            ("pandas.py", "edcore train --data d.csv --target b", "pandas is ./pandas.py, which is not", True),
            ("matplotlib.py", "edcore train --plot p.png", "matplotlib is ./matplotlib.py, which is not", True),
            ("sklearn.py", "edcore train", "sklearn is ./sklearn.py, which is not", True),
        )
    ),
    *(
        Row(
            name=f"what a module prints on its import is not in the JSON of {line.partition(' ')[0]}",
            shell=f"edcore {line} > o.json; code=$?; python -m json.tool o.json > /dev/null && exit $code",
            environment={"PYTHONPATH": f".{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
            files={
                "evil-1.dist-info/entry_points.txt": plug_in,
                "n.safetensors": network,
                "d.csv": "0.1,0.2\n",
                "c.toml": '[train]\ndataset = "xor"\nepochs = 2\nwidth = 2\ndepth = 0\nbackend = "numpy"\n',
            },
            slow=line != "info --json",
        )
        for line in (
            "info --json",
            "train --dataset xor --epochs 2 --depth 0 --json",
            "predict n.safetensors d.csv --json",
            "inspect n.safetensors --json",
            "kaneko --epochs 2 --json",
            "sweep c.toml --json --jobs 2",
            "bench numpy --width 2 --depth 1 --repeats 1 --json -",
            "check numpy --quick --json",
        )
    ),
    Row(
        name="a module of a user's own that is named as a library and that edcore does not use",
        python="""
import sys, types
sys.modules["cupy"] = types.ModuleType("cupy")
from edcore.environment import versions
try:
    found = versions()
finally:
    del sys.modules["cupy"]
"cupy" in found
""",
        value=False,
    ),
]
