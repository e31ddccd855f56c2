"""Every write: by `edcore.files.atomic`, into no write-protected file, and tried again where that helps."""

import ast
import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

from edcore import ED, io
from edcore.bench import machine
from edcore.bench import run as bench_run
from edcore.errors import DataFileError
from edcore.files import atomic

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")

ROOT = Path(__file__).parents[2]
RUN = ["train", "--dataset", "xor", "--rule", "split", "--width", "2", "--depth", "0", "--seed", "3"]
RUN += ["--epochs", "3", "--backend", "numpy"]


@pytest.fixture
def ed():
    return ED(2, hidden_width=2, seed=1, backend="numpy")


# The rule

METHODS = {"write_text", "write_bytes", "savefig", "tofile", "to_csv", "to_parquet", "touch", "truncate"}
METHODS |= {"rename", "renames", "unlink", "copyfile", "copymode", "copytree", "rmtree", "move", "symlink_to"}
OF_MODULES = {("os", name) for name in ("open", "replace", "remove", "link", "symlink")}
OF_MODULES |= {("np", name) for name in ("save", "savez", "savez_compressed", "savetxt")}
OF_MODULES |= {("shutil", "copy"), ("shutil", "copy2")}
MODE = re.compile(r"[rwaxbt+]*[wax+][rwaxbt+]*")

EXCEPTIONS = {
    ("edcore/plots/canvas.py", "savefig"),  # into memory
    ("edcore/plots/figure.py", "savefig"),  # into memory
    ("edcore/cli/predict.py", "np.save"),  # into memory
    ("edcore/sweep/tables.py", "open"),  # lines are added to a table, and a crash can only cut the last one
    ("edcore/sweep/tables.py", "truncate"),
    ("edcore/cli/write.py", "write_text"),  # `edcore.datasets.write_text`: what a network writes, into memory
    ("edcore/reproduce/language_runs.py", "write_text"),
    ("edcore/cli/app.py", "os.open"),  # /dev/null, in the place of a stream that takes nothing
    ("edcore/contract/compilation.py", "touch"),  # an empty file, of which only the name counts
    ("backends/edcore_numba/cpu/compiling.py", "rmtree"),  # its folder of compiled kernels
}


def writes(code):
    """Return the calls in a module by which a file may be written, replaced or removed."""
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        of = getattr(function.value, "id", "") if isinstance(function, ast.Attribute) else ""
        given = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg in ("mode", None))]
        modes = [one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        if name in METHODS:
            yield name
        elif (of, name) in OF_MODULES:
            yield f"{of}.{name}"
        elif name in ("open", "fdopen") and any(MODE.fullmatch(mode) for mode in modes):
            yield "open"


def test_every_write_of_the_library_is_atomic():
    folders = [ROOT / "edcore", ROOT / "backends"]
    if not all(folder.is_dir() for folder in folders):
        pytest.skip("these tests are not beside edcore")
    found = {
        (str(path.relative_to(ROOT)), call)
        for folder in folders
        for path in folder.rglob("*.py")
        if "edcore/files" not in path.as_posix()
        for call in writes(path.read_text(encoding="utf-8"))
    }
    assert found - EXCEPTIONS == set()
    assert found >= EXCEPTIONS  # none of them is out of date


@pytest.mark.parametrize(
    ("code", "call"),
    [
        ("Path('a').write_text('b')", "write_text"),
        ("path.write_bytes(content)", "write_bytes"),
        ("figure.savefig(file, dpi=150)", "savefig"),
        ("open(path, 'w')", "open"),
        ("path.open('ab')", "open"),
        ("open(path, mode='x')", "open"),
        ("path.open('r+b')", "open"),
        ("os.open(path, os.O_WRONLY)", "os.open"),
        ("os.replace(a, b)", "os.replace"),
        ("array.tofile(path)", "tofile"),
        ("np.save(path, array)", "np.save"),
        ("shutil.move(a, b)", "move"),
        ("path.unlink()", "unlink"),
    ],
)
def test_a_write_is_seen(code, call):
    assert list(writes(code)) == [call]


@pytest.mark.parametrize("code", ["open(path)", "path.open('rb')", "text.replace('a', 'w')"])
def test_what_writes_nothing_is_no_write(code):
    assert list(writes(code)) == []


# Write-protected files


@pytest.fixture
def as_somebody():
    """A folder for a user who is not root."""
    if not hasattr(os, "seteuid"):
        pytest.skip("there are no write-protected files of this kind here")
    folder, before, there = Path(tempfile.mkdtemp()), os.geteuid(), Path.cwd()
    folder.chmod(0o777)
    os.chdir(folder)
    if before == 0:
        os.seteuid(65534)
    try:
        yield folder
    finally:
        os.seteuid(before)
        os.chdir(there)
        shutil.rmtree(folder)


@pytest.fixture
def no_rights_of_root(monkeypatch):
    """Have root meet write-protected files as others do, without the loss of the right to import modules."""
    real = os.open

    def opened(path, flags, *arguments, **options):
        if flags & (os.O_WRONLY | os.O_RDWR) and os.path.exists(path) and not os.stat(path).st_mode & 0o200:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", opened)


def protected(name, content):
    path = Path(name)
    path.write_bytes(content)
    path.chmod(0o444)
    return path


def test_a_write_protected_network_is_not_replaced(ed, as_somebody):
    io.save(ed, "best")
    before = Path("best").read_bytes()
    Path("best").chmod(0o444)
    with pytest.raises(DataFileError, match=r"^best: it cannot be written \(Permission denied\)"):
        io.save(ed, "best", overwrite=True)
    assert Path("best").read_bytes() == before
    Path("best").chmod(0o644)
    io.save(ED(2, hidden_width=2, seed=2, backend="numpy"), "best", overwrite=True)
    assert io.inspect("best").seed == 2


@pytest.mark.parametrize(
    ("option", "name", "arguments"),
    [
        ("plot", "old.png", RUN),
        ("report", "old.html", RUN),
        ("out", "old.csv", ["predict", "net", "x.npy"]),
        ("json", "old.json", ["bench", "numpy", "--depth", "1", "--features", "2", "--width", "2"]),
        ("plot", "old.svg", ["bench", "numpy", "--depth", "1", "--features", "2", "--width", "2"]),
        ("out", "old.csv", ["sweep", "sweep.toml"]),
    ],
)
def test_no_command_replaces_a_write_protected_file(command_line, ed, no_rights_of_root, option, name, arguments):
    io.save(ed, "net")
    np.save("x.npy", np.zeros((2, 2)))
    Path("sweep.toml").write_text('seeds = 1\n[train]\ndataset = "xor"\n')
    old = protected(name, b"old")
    code, out, err = command_line(*arguments, f"--{option}", name)
    assert (code, out) == (2, "")  # before anything is computed
    assert err.startswith(f"edcore: --{option}: given '{name}' (Permission denied); accepted: a file in a folder")
    assert old.read_bytes() == b"old"


def test_a_write_protected_checkpoint_is_refused_before_anything_is_learnt(
    command_line, no_rights_of_root, monkeypatch
):
    assert command_line(*RUN, "--checkpoint", "net")[0] == 0
    before = Path("net").read_bytes()
    Path("net").chmod(0o444)
    monkeypatch.setattr(ED, "step", None)
    code, _, err = command_line("train", "--resume", "net", "--epochs", "9")
    assert code == 2
    assert "net: it cannot be written (Permission denied)" in err
    assert Path("net").read_bytes() == before


@pytest.fixture
def no_waits(monkeypatch):
    monkeypatch.setattr(atomic, "WAITS", (0.0, 0.0, 0.0))


def failing(monkeypatch, numbers):
    """Have writes fail by their number: those in which a scanner holds the file for a moment."""
    real, count = os.fsync, []

    def fsync(descriptor):
        if not os.path.isdir(f"/proc/self/fd/{descriptor}"):
            count.append(1)
            if len(count) in numbers:
                raise PermissionError(13, "Permission denied")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="files are not told from folders there")


@needs_proc
@pytest.mark.parametrize("numbers", [{1}, {1, 2, 3}, {2}, {2, 3, 4}], ids=str)
def test_the_first_and_the_last_write_are_tried_again(command_line, monkeypatch, no_waits, numbers):
    failing(monkeypatch, numbers)
    code, out, err = command_line(*RUN, "--checkpoint", "net")
    assert (code, err) == (0, "")
    assert "accuracy" in out
    assert io.inspect("net").run["batch"] == 3


@needs_proc
def test_a_last_write_that_fails_keeps_nothing_else_back(command_line, monkeypatch, no_waits):
    pytest.importorskip("matplotlib")
    failing(monkeypatch, {2, 3, 4, 5})
    code, out, err = command_line(*RUN, "--checkpoint", "net", "--plot", "run.png", "--report", "run.html")
    assert code == 2
    assert "accuracy" in out
    assert "saved in" not in out
    assert err == (
        "edcore: net: it cannot be written (Permission denied). The old file is unchanged. Give a file in a folder "
        "that can be written to, on a disk with room.\n"
    )
    assert Path("run.png").read_bytes().startswith(b"\x89PNG")
    assert "3 samples" not in Path("run.html").read_text("utf-8")
    assert io.inspect("net").run["batch"] == 0


def test_a_new_name_that_is_taken_is_not_tried_again(monkeypatch):
    calls = []

    def write():
        calls.append(1)
        raise FileExistsError

    with pytest.raises(FileExistsError):
        atomic.with_retries(write)
    assert len(calls) == 1


# What the end needs is tried before


@pytest.mark.parametrize("option", ["--plot", "--report"])
def test_a_matplotlib_that_cannot_draw_is_told_before_anything_is_learnt(command_line, monkeypatch, option):
    pytest.importorskip("matplotlib")

    def draw(*arguments, **options):
        raise ValueError("Key backend: 'nonsense'\nis not valid")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", draw)
    monkeypatch.setattr(ED, "step", None)
    code, out, err = command_line(*RUN, option, "run.png" if option == "--plot" else "run.html")
    assert (code, out) == (2, "")
    assert err.startswith(f"edcore: {option}: matplotlib cannot draw here (ValueError: Key backend: 'nonsense' is not")


@pytest.mark.parametrize("kind", ["plot", "report"])
def test_a_picture_that_fails_at_the_end_keeps_nothing_else_back(command_line, monkeypatch, kind):
    pytest.importorskip("matplotlib")

    def fail(*arguments, **options):
        raise RuntimeError("the font\nis gone")

    monkeypatch.setattr("edcore.plots.training_summary" if kind == "plot" else "edcore.plots.report.html", fail)
    names = {"plot": "run.png", "report": "run.html"}
    code, out, err = command_line(*RUN, "--plot", "run.png", "--report", "run.html", "--checkpoint", "net", "--json")
    assert code == 2
    assert '"batch": 3' in out
    assert err.endswith(f"edcore: --{kind}: {names[kind]} cannot be drawn (RuntimeError: the font is gone).\n")
    assert {path.name for path in Path().iterdir()} == {"net", *names.values()} - {names[kind]}


def test_tensorboard_takes_a_folder_whose_name_is_no_utf_8(command_line):
    pytest.importorskip("tensorboardX")
    code, _, err = command_line(*RUN, "--tensorboard", "events", "--data-dir", os.fsdecode(b"data\xff"))
    assert (code, err) == (0, "")


def test_tensorboard_that_fails_in_another_way_ends_no_run(command_line, monkeypatch):
    writer = pytest.importorskip("tensorboardX.record_writer")

    real = writer.RecordWriter.close

    def close(self):
        real(self)
        raise RuntimeError("of a plug-in")

    monkeypatch.setattr(writer.RecordWriter, "close", close)
    code, out, err = command_line(*RUN, "--tensorboard", "events")
    assert code == 0
    assert "accuracy" in out
    assert err.startswith("edcore: --tensorboard: events cannot be written any more (of a plug-in).")


def test_two_options_of_bench_with_one_file(command_line):
    pytest.importorskip("matplotlib")
    code, _, err = command_line("bench", "numpy", "--json", "one.png", "--plot", "one.png")
    assert code == 2
    assert "--plot: given 'one.png'; accepted: another file than that of json" in err


def test_bench_writes_its_picture_and_its_timings_whole(command_line, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(bench_run, "SETTLE", 0)
    monkeypatch.setattr(machine, "CPU", machine.Sizes(16, 4096, 1))
    Path("found.png").write_bytes(b"old")
    os.link("found.png", "other.png")  # what is written in place is written here, too
    small = ["--features", "2", "--width", "2", "--depth", "1", "--batch", "2", "--repeats", "1"]
    code, _, err = command_line("bench", "numpy", *small, "--plot", "found.png", "--json", "found.json")
    assert (code, err) == (0, "")
    assert Path("found.png").read_bytes().startswith(b"\x89PNG")
    assert Path("other.png").read_bytes() == b"old"
    assert Path("found.json").read_text().startswith("{")


def test_a_file_is_tried_and_nothing_changes(tmp_path):
    atomic.check_can_write(tmp_path / "new")
    (tmp_path / "old").write_bytes(b"old")
    atomic.check_can_write(tmp_path / "old")
    for wrong in (tmp_path, tmp_path / "n" / "new", tmp_path / ("n" * 250)):
        with pytest.raises(OSError, match=r"."):
            atomic.check_can_write(wrong)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("old", b"old")]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_sweep_follows_its_file(ending):
    from edcore.sweep import Results, Sweep

    if ending == "parquet":
        pytest.importorskip("pyarrow")

    sweep = Sweep({"dataset": "xor", "width": 2, "depth": 0, "epochs": 2, "backend": "numpy"}, seeds=5)
    rows = list(sweep.rows(n_jobs=1))
    file = Path(f"xor.{ending}")
    with Results(file, sweep) as results:
        results.add(rows[0])
        os.utime(file, (0, 0))
        results.add(rows[1])
        shutil.copy(file, "copy")
        os.replace("copy", file)  # as programs do that keep copies
        results.add(rows[2])
        file.unlink()
        results.add(rows[3])

    def go_on(results):
        results.add(rows[4])
        results.save()

    sentence = rf"xor\.{ending}: another program has written this file\. Give another --out"
    with contextlib.suppress(DataFileError), Results(file, sweep) as results:  # its end saves once more
        assert results.done == {0, 1, 2, 3}
        Path("mine").write_bytes(b"mine")
        os.replace("mine", file)
        with pytest.raises(DataFileError, match=sentence):
            go_on(results)
    assert file.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("name", "table", "command"),
    [
        ("c.html", "[train]\nepochs = 1\n", ["train", "--report", "c.html"]),
        ("c.svg", "[train]\nepochs = 1\n", ["train", "--plot", "c.svg"]),
        ("c.html", '[train]\nepochs = 1\nreport = "c.html"\n', ["train"]),
        ("b.toml", "[bench]\ndepth = 2\n", ["bench", "numpy", "--json", "b.toml"]),
        ("b.png", "[bench]\ndepth = 2\n", ["bench", "numpy", "--plot", "b.png"]),
        ("c.json", "[compare]\nquick = true\n", ["compare", "xor", "--out", "c.json", "--force"]),
        ("kaneko-xor.md", "[reproduce]\nquick = true\n", ["reproduce", "kaneko-xor", "--out", "."]),
    ],
)
def test_no_output_replaces_the_file_of_options(command_line, name, table, command):
    Path(name).write_text(table)
    code, out, err = command_line(*command, "--config", name)
    assert (code, out) == (2, "")
    assert "another file than that of config" in err
    assert Path(name).read_text() == table
