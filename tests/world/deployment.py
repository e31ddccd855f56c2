"""Where edcore runs: forks, caches, threading layers, embedded interpreters, signals, installations (K11)."""

import shutil
import signal
import sysconfig
from pathlib import Path

import edcore
from world.row import REFUSED, Row


def signalled(line: str, name: str, marker: str, ignored: bool = False) -> str:
    """Return a program that runs a command, sends it a signal after a line with the marker, and prints its output."""
    before = f"lambda: signal.signal(signal.{name}, signal.SIG_IGN)" if ignored else "None"
    return f"""
import signal, subprocess, sys
line = [sys.executable, "-m", "edcore", *{line.split()!r}]
out = subprocess.PIPE
child = subprocess.Popen(line, stdout=out, stderr=subprocess.STDOUT, text=True, preexec_fn={before})
for text in child.stdout:
    print(text, end="")
    if {marker!r} in text:
        break
child.send_signal(signal.{name})
print(child.communicate(timeout=50)[0])
child.returncode
"""


TABLE = "a,b,y\n" + "".join(f"{i % 7},{i * i % 11},{i % 2}\n" for i in range(200))
SWEEP = "seeds = 500\n[train]\ndataset = 'xor'\nepochs = 3\nbackend = 'numpy'\n[grid]\nwidth = [2, 3]\n"
NETWORK = "train --backend numpy --epochs 3000 --checkpoint run"
ON_TABLE = "train --backend numpy --data t.csv --target y --epochs 1000 --checkpoint run"
OF_NOTICES = ("SIGHUP", "SIGUSR1")

SIGNALS = [
    *(
        Row(
            name=f"a run that is sent {name}",
            python=signalled(NETWORK, name, "batch"),
            value=128 + getattr(signal, name, 0),
            says=("saved in run", "edcore train --resume run"),
            needs=("linux",),
            slow=name != "SIGHUP",
        )
        for name in (*OF_NOTICES, "SIGTERM")
    ),
    *(
        Row(
            name=f"a run on a table that is sent {name}",
            python=signalled(ON_TABLE, name, "epoch"),
            files={"t.csv": TABLE},
            value=128 + getattr(signal, name, 0),
            needs=("linux",),
            slow=True,
        )
        for name in OF_NOTICES
    ),
    *(
        Row(
            name=f"a sweep that is sent {name}",
            python=signalled("sweep s.toml --jobs 1", name, "failed"),
            files={"s.toml": SWEEP},
            value=128 + getattr(signal, name, 0),
            says=("the same command goes on",),
            needs=("linux",),
            slow=True,
        )
        for name in OF_NOTICES
    ),
    Row(
        name="a run whose terminal is closed",
        python=f"""
import os, pty, sys, time
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.executable, [sys.executable, "-m", "edcore", *{NETWORK.split()!r}])
seen = b""
while b"batch" not in seen:
    seen += os.read(terminal, 9999)
time.sleep(1)
os.close(terminal)
_, status = os.waitpid(child, 0)  # nobody is there to see the exit code
edcore.io.load("run")
edcore.io.inspect("run").run["batch"] > 50, os.listdir(".")
""",
        value=(True, ["run"]),
        needs=("linux",),
        slow=True,
    ),
    Row(
        name="a run under nohup whose terminal is lost",
        python=signalled("train --backend numpy --epochs 2", "SIGHUP", "batch", ignored=True),
        value=0,
        needs=("linux",),
        slow=True,
    ),
]

EMBEDDING = """
#include <Python.h>
#include <signal.h>
static void stop(int number) {}
int main(void) {
    signal(SIGTERM, stop);
    signal(SIGINT, stop);
    Py_Initialize();
    int failed = PyRun_SimpleString(
        "import sys\\nsys.path[:0] = sys.argv = PATH\\n"
        "import edcore\\nfrom edcore.cli import main\\n"
        "edcore.ED(2, backend='numpy', seed=0).fit([[0, 1.0]], [1.0])\\n"
        "try:\\n    main(['train', '--backend', 'numpy', '--epochs', '1', '--depth', '2'])\\n"
        "except SystemExit as end:\\n    print('ended with', end.code)");
    void (*after)(int) = signal(SIGTERM, SIG_DFL);
    printf(after == stop ? "and the handler is the program's\\n" : "and the handler is another one\\n");
    return failed != 0;
}
"""
FLAGS = " ".join(
    [
        f"-I{sysconfig.get_path('include')}",
        f"-L{sysconfig.get_config_var('LIBDIR')}",
        f"-Wl,-rpath,{sysconfig.get_config_var('LIBDIR')}",
        f"-lpython{sysconfig.get_config_var('LDVERSION')}",
    ]
)

HOSTS = [
    Row(
        name="a program in C that handles signals and embeds Python",
        shell=f"""
sed "s|PATH|$(python -c 'import sys; print(sys.path[1:])')|" host.c > h.c
gcc h.c -o host {FLAGS} && ./host""",
        files={"host.c": EMBEDDING},
        says=("ended with 0", "and the handler is the program's"),
        needs=("linux", "program gcc"),
        slow=True,
    ),
    Row(
        name="signals that a host program handles",
        python="""
import ctypes, signal
from edcore.interrupts import Stop, uninterrupted
libc = ctypes.CDLL(None)
libc.signal.restype, libc.signal.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p]
known, signal.getsignal = signal.getsignal, lambda number: None  # as Python says of a handler that C has set
try:
    with Stop(), uninterrupted():
        pass
finally:
    signal.getsignal = known
signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
""",
        value=True,
    ),
]

TINY = "from edcore_numba.cpu.compiling import compiled\n@compiled\ndef twice(x):\n    return 2 * x\n"


def cached(name: str, between: str, hits: int = 1) -> Row:
    """Return a row that compiles a function twice, does something to its cache in between, and then loads it."""
    return Row(
        name=f"numba's cache, {name}",
        python=f"""
import contextlib, os, shutil
from importlib.util import module_from_spec, spec_from_file_location
from unittest.mock import patch
from edcore_numba.cpu import compiling

def fresh():
    spec = spec_from_file_location("tiny", "tiny.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.twice, module.twice(2), sum(module.twice.stats.cache_hits.values())

with patch.object(compiling, "FOLDER", str(Path("cache").resolve())), contextlib.ExitStack() as stack:
    fresh()
    index, code = (next(Path("cache").rglob(f"*{{kind}}")) for kind in (".nbi", ".nbc"))
    {between}
    second, third = fresh(), fresh()
second[1:], third[1:]
""",
        files={"tiny.py": TINY},
        value=((4, 0), (4, hits)),
        needs=("numba", "linux"),
    )


LIMIT = """import resource
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    stack.callback(resource.setrlimit, resource.RLIMIT_FSIZE, limits)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    """
CACHES = [
    cached("an index of 0 bytes", "index.write_bytes(b'')"),
    cached("an index that is cut off", "index.write_bytes(index.read_bytes()[:40])"),
    cached("an index of something else", "index.write_bytes(b'cos\\nsystem\\n' + os.urandom(99))"),
    cached("an index that is a folder", "index.unlink(); index.mkdir()", hits=0),
    cached("code of 0 bytes", "code.write_bytes(b'')"),
    cached("code that is cut off", "code.write_bytes(code.read_bytes()[:900])"),
    cached(
        "code of which a block is lost",
        "raw = code.read_bytes(); code.write_bytes(raw[:1000] + bytes(512) + raw[1512:])",
    ),
    cached("code that is not there", "code.unlink()"),
    cached("a folder that is deleted", "shutil.rmtree('cache')"),
    cached("a folder that is a file", "shutil.rmtree('cache'); Path('cache').touch()"),
    cached("no room", f"{LIMIT}shutil.rmtree('cache')", hits=0),
    Row(
        name="numba's cache, no home and a relative one",
        python="""
import os
from edcore_numba.cpu import compiling
os.environ["XDG_CACHE_HOME"] = "here"
first = list(compiling._parents())
del os.environ["XDG_CACHE_HOME"]
os.environ["HOME"] = ""
[parent for parent in [*first, *compiling._parents()] if not parent.is_absolute()]
""",
        value=[],
        needs=("numba",),
    ),
    Row(
        name="numba's cache, the kernels' own is damaged",
        shell="export NUMBA_CACHE_DIR=$PWD/cache; train='edcore train --backend numba --epochs 1 --depth 2 --seed 1'\n"
        "$train > first; for file in $(find cache -name '*.nbi'); do : > $file; done; $train > second\n"
        "grep accuracy first second; $train",
        says=("compiled anew",),
        never=("Aborted",),
        needs=("numba", "linux"),
        slow=True,
        most=200,
    ),
    Row(
        name="numba's cache, no room for the kernels' own",
        shell="export NUMBA_CACHE_DIR=$PWD/cache; ulimit -f 20\n"
        "edcore train --backend numba --epochs 1 --depth 2 --seed 1",
        says=("cannot be kept",),
        needs=("numba", "linux"),
        slow=True,
        most=200,
    ),
]

WIDE = """
x = np.random.default_rng(0).random((256, 64), np.float32)
ed = ED(64, hidden_width=128, hidden_depth=2, backend="numba", seed=0).fit(x, x[:, 0] > 0.5, batch_size=128)
ed.predict(x).shape
"""
THREADS = [
    *(
        Row(
            name=f"numba with {name}={value}",
            python=WIDE,
            value=(256,),
            # Numba warns of a value that is no number, with a traceback.
            environment={name: value, "PYTHONWARNINGS": "ignore" if value == "two" else "default"},
            needs=("numba", "linux"),
            slow=True,
            most=120,
        )
        for name, value in (
            ("NUMBA_THREADING_LAYER", "tbb"),
            ("NUMBA_THREADING_LAYER", "safe"),
            ("NUMBA_THREADING_LAYER", "nonsense"),
            ("NUMBA_THREADING_LAYER_PRIORITY", "a b"),
            ("NUMBA_NUM_THREADS", "1000000"),
            ("NUMBA_NUM_THREADS", "two"),
            ("NUMBA_NUM_THREADS", "3"),
            ("NUMBA_CPU_NAME", "nonsense"),
            ("OMP_NUM_THREADS", ""),
        )
    ),
    *(
        Row(
            name=f"numba with {name}={value}, which lets it do nothing",
            python="ED(4, backend='numba')",
            ends=REFUSED,
            says=(says, "backend='numba' cannot run here"),
            environment={name: value},
            needs=("numba",),
            slow=True,
        )
        for name, value, says in (("NUMBA_DISABLE_JIT", "1", "NUMBA_DISABLE_JIT"), ("NUMBA_NUM_THREADS", "0", "> 0"))
    ),
    Row(
        name="numba where its own threads cannot be started",
        python="""
from unittest.mock import patch
from edcore_numba.cpu.threads import number_of_threads
missing = ValueError("No threading layer could be loaded.")
with patch("numba.threading_layer", side_effect=missing), patch("numba.get_num_threads", side_effect=missing):
    found = number_of_threads()
found > 0
""",
        value=True,
        needs=("numba",),
    ),
    Row(
        name="numba beside the user's own parallel function, on a layer for one thread",
        python="""
import threading, numba
@numba.njit(parallel=True, nogil=True)
def total(a):
    s = 0.0
    for i in numba.prange(len(a)):
        s += np.sin(a[i])
    return s
a, done = np.ones(100_000), threading.Event()
total(a)
def go_on():
    while not done.is_set():
        total(a)
thread = threading.Thread(target=go_on)
thread.start()
x = np.random.default_rng(0).random((256, 64), np.float32)
ed = ED(64, hidden_width=256, hidden_depth=2, backend="numba", seed=0)
for _ in range(9):
    ed.fit(x, x[:, 0] > 0.5, batch_size=128).predict(x)
done.set()
thread.join()
numba.threading_layer()
""",
        value="workqueue",
        environment={"NUMBA_THREADING_LAYER": "workqueue"},
        needs=("numba", "linux"),
        slow=True,
        most=120,
    ),
    Row(
        name="bench without the threads that Numba is asked for",
        shell="edcore bench numpy --depth 1 --repeats 1 --json x.json | cat",
        says=("numpy",),
        environment={"NUMBA_THREADING_LAYER": "tbb"},
        needs=("numba", "linux"),
        slow=True,
        most=120,
    ),
]

FORK = """
import os, pickle, signal, threading, warnings
warnings.simplefilter("ignore")  # JAX's, and Python 3.12's, of forks
X, Y = np.random.default_rng(0).random((400, 4), np.float32), np.arange(400) % 2

def forked(work):
    sending, other = os.pipe()
    if (child := os.fork()) == 0:
        signal.alarm(25)
        try:
            found = repr(work()).encode()
        except BaseException as error:
            found = f"{type(error).__name__}: {error}".encode()
        os.write(other, found)
        os._exit(0)
    os.close(other)
    found = os.read(sending, 9999).decode()
    _, ended = os.waitpid(child, 0)
    return found or f"hangs ({ended})"
"""


def after_fork(backend: str, value: object = True, slow: bool = True) -> Row:
    """Return a row that learns with a backend before a fork, and goes on after it, also with a new network."""
    width = 4 if backend == "loop" else 128
    return Row(
        name=f"a fork after {backend}",
        python=f"""{FORK}
options = dict(hidden_width={width}, hidden_depth=1, seed=1, backend={backend!r})
ed, spare = ED(4, **options).fit(X, Y, batch_size=200), ED(4, **options).fit(X, Y, batch_size=200)

def work(ed):
    ed.step(X, Y)
    return [float(ed.fit(X, Y).predict(X).sum()), float(ED(4, **options).fit(X, Y, batch_size=200).predict(X).sum())]

here, there = work(spare), forked(lambda: work(ed))
print(there)
there[0] == "[" and np.allclose(eval(there), here, rtol=1e-3)  # the sums of several threads have other bits
""",
        value=value,
        says=() if value else ("multiprocessing.get_context('spawn')", "JAX"),
        needs=("linux", *([] if backend in ("numpy", "loop") else [backend])),
        alone=True,
        slow=slow,
        most=90,
    )


FORKS = [
    after_fork("numpy"),
    after_fork("loop"),
    after_fork("numba"),
    after_fork("torch", slow=False),
    after_fork("jax", value=False),
    Row(
        name="a fork after jax, and a new network or another backend there",
        python=f"""{FORK}
ed = ED(4, seed=1, backend="jax").fit(X, Y)
print(forked(lambda: ED(4, backend="jax")))
other = forked(lambda: (ED(4, seed=1, backend="numpy").load_weights(ed.weights), len(pickle.dumps(ed)) > 99))
other
""",
        value="(None, True)",
        says=("backend='jax' cannot run here: JAX was in use when this process was forked",),
        needs=("linux", "jax"),
        alone=True,
        slow=True,
    ),
    Row(
        name="a fork after torch, and an estimator of its tensors there",
        python=f"""{FORK}
import sklearn, torch
x, y = torch.asarray(X), torch.asarray(Y)
with sklearn.config_context(array_api_dispatch=True):
    c = EDClassifier(max_iter=2, hidden_width=64, random_state=0).fit(x, y)
    torch.sigmoid(torch.rand(1000, 1000) @ torch.rand(1000, 1000))
    found = forked(lambda: c.predict_proba(torch.rand(100_000, 4)).shape)
found
""",
        value="torch.Size([100000, 2])",
        environment={"SCIPY_ARRAY_API": "1"},
        needs=("linux", "torch"),
        slow=True,
    ),
    Row(
        name="a fork while another thread compiles",
        python=f"""{FORK}
import time
ed = ED(4, hidden_width=8, seed=1, backend="numba")
thread = threading.Thread(target=lambda: ED(4, hidden_width=8, seed=1, backend="numba").fit(X, Y))
thread.start()
time.sleep(3)
found = forked(lambda: ed.fit(X, Y).predict(X).shape)
thread.join()
found
""",
        value="(400,)",
        environment={"NUMBA_CACHE_DIR": "/dev/null/none"},
        needs=("linux", "numba"),
        slow=True,
        most=120,
    ),
    Row(
        name="a fork while another thread holds locks",
        python=f"""{FORK}
from edcore.dispatch import registry
ed, held, done = ED(4, seed=1, backend="numpy"), threading.Event(), threading.Event()
def hold():
    with ed._binding, registry._lock:
        held.set()
        done.wait()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
found = forked(lambda: (ed.fit(X, Y, batch_size=200).predict(X).shape, len(edcore.dispatch.registry.installed()) > 3))
done.set()
thread.join()
found
""",
        value="((400,), True)",
        needs=("linux",),
        alone=True,
    ),
    *(
        Row(
            name=f"processes of multiprocessing, by {method}",
            shell="python pool.py",
            files={
                "pool.py": f"""
import multiprocessing
import numpy as np
from edcore import EDClassifier
X = np.random.default_rng(0).random((300, 4), np.float32)
Y = np.arange(300) % 2
def learn(backend):
    return backend, EDClassifier(max_iter=2, random_state=0, backend=backend).fit(X, Y).predict(X).shape
if __name__ == "__main__":
    for backend in ("numpy", "torch"):
        learn(backend)
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        print(pool.map_async(learn, ["numpy", "torch"] * 3).get(80)[:2])
"""
            },
            says=("[('numpy', (300,)), ('torch', (300,))]",),
            needs=("linux", "torch"),
            slow=True,
            most=90,
        )
        for method in ("fork", "forkserver", "spawn")
    ),
]

FOLDERS = Path(edcore.__file__).parent, Path(__file__).parents[2] / "backends"


def vendored(path: Path) -> None:
    """Copy edcore and its backends into a folder, as whoever takes them into a program of their own."""
    left_out = shutil.ignore_patterns("__pycache__")
    shutil.copytree(FOLDERS[0], path / "edcore", ignore=left_out)
    for backend in FOLDERS[1].glob("edcore_*"):
        shutil.copytree(backend, path / backend.name, ignore=left_out)


def zipped(path: Path) -> None:
    """Pack edcore alone into an archive."""
    vendored(path.parent / "parts")
    shutil.make_archive(str(path.with_suffix("")), "zip", path.parent / "parts", "edcore")


BARE = """
import sys
from importlib import metadata
from pathlib import Path
sys.path[:] = [PATH, *(path for path in sys.path if not Path(path, "edcore_loop").exists())]
class NoMetadata(metadata.PathDistribution):
    pass
real = metadata.MetadataPathFinder.find_distributions
metadata.MetadataPathFinder.find_distributions = staticmethod(
    lambda context=metadata.DistributionFinder.Context(): (
        found for found in real(context) if found.metadata["Name"] != "edcore"
    )
)
import numpy as np
import edcore
assert PATH in edcore.__file__, edcore.__file__
x = np.random.default_rng(0).random((60, 4))
ed = edcore.ED(4, backend="numpy").fit(x, x[:, 0] > 0.5)
print(edcore.__version__, ed.predict(x).shape, sorted(one.name for one in edcore.list_backends()))
edcore.io.save(ed, "n.safetensors"); edcore.io.load("n.safetensors")
if "vendored" in PATH:
    print(edcore.ED(4, hidden_depth=0, backend="loop").fit(x[:9], x[:9, 0]).backend)
from edcore.cli import main
main(["--version"])
"""
PICKLE = """
import pickle, pickletools
from unittest.mock import patch
ed = ED(3, hidden_width=2, seed=1, backend="numpy")
"""
INSTALLATIONS = [
    Row(
        name="edcore copied into a program, without its metadata",
        shell="python -P copied.py",
        files={"vendored": vendored, "copied.py": BARE.replace("PATH", "'vendored'")},
        says=(
            "0+unknown (60,) ['array_api_strict', 'cupy', 'jax', 'loop', 'numba', 'numpy', 'torch']",
            "loop edcore 0+",
        ),
        slow=True,
    ),
    Row(
        name="edcore in an archive, without its metadata and backends",
        shell="python -P zipped.py",
        files={"edcore.zip": zipped, "zipped.py": BARE.replace("PATH", "'edcore.zip'")},
        says=("0+unknown (60,) ['array_api_strict', 'numpy']", "edcore 0+"),
        slow=True,
    ),
    Row(
        name="the list of edcore's own backends is that of its metadata",
        python="""
from importlib.metadata import distribution
from edcore.dispatch.registry import GROUP, OWN
{point.name: point.value for point in distribution("edcore").entry_points if point.group == GROUP} == OWN
""",
        value=True,
    ),
    *(
        Row(
            name=f"python -OO, the help of {command}",
            shell=f"python -OO -m edcore {command} --help",
            says=(says, "Examples:", f"edcore {command}"),
            slow=command != "sweep",
        )
        for command, says in (
            ("train", "Train a network: with no options"),
            ("sweep", "Carry out a run for each seed"),
            ("predict", "Predict"),
            ("bench", "Time forward, update and training step"),
        )
    ),
    Row(
        name="python -OO, the list of commands, a run and an estimator",
        shell="python -OO -m edcore --help; python -OO -m edcore train --backend numpy --epochs 1 --depth 2\n"
        "python -OO learn.py",
        files={
            "learn.py": "from edcore import EDClassifier\n"
            "EDClassifier(max_iter=1, backend='numpy').fit([[0.0], [1]] * 9, [0, 1] * 9)\n"
        },
        says=("Train a network", "accuracy"),
        slow=True,
    ),
    Row(
        name="a pickle of another version that reads",
        python=f"""{PICKLE}
with patch("edcore.model.bound.VERSION", "0.0.7"):
    blob = pickle.dumps(ed)
print(pickle.loads(blob).seed)
""",
        says=("was pickled by edcore 0.0.7; this is edcore", "edcore.io.save"),
        # the warning is printed where warnings are; pytest keeps them
        alone=True,
        slow=True,
    ),
    *(
        Row(
            name=f"a pickle of another version that {what}",
            python=f"""{PICKLE}
state = ed.__getstate__() | {{"version": "0.0.7"}}
{change}
ED.__new__(ED).__setstate__(state)
""",
            ends=REFUSED,
            says=("an ED was pickled by edcore 0.0.7, and cannot be read by edcore 0", "edcore.io.save"),
        )
        for what, change in (
            ("has fewer parts", "del state['epochs']"),
            ("begins with other values", "state['begin'] = state['begin'][:3]"),
            (
                "has a network with fewer fields",
                "network = object.__new__(edcore.Network); network.__setstate__([3, 2]); "
                "state['begin'] = (network, *state['begin'][1:])",
            ),
        )
    ),
    Row(
        name="an ED of a subclass keeps what is its own",
        python="""
import copy, pickle
class Named(ED):
    def __init__(self, *given, title, **options):
        super().__init__(*given, **options)
        object.__setattr__(self, "title", title)
Named.__module__, Named.__qualname__ = "named", "Named"
import sys, types
sys.modules["named"] = types.SimpleNamespace(Named=Named)
ed = Named(3, title="mine", seed=1)
found = [one.title for one in (ed, copy.copy(ed), copy.deepcopy(ed), pickle.loads(pickle.dumps(ed)))]
del sys.modules["named"]
found
""",
        value=["mine"] * 4,
    ),
    Row(
        name="Ctrl-C at any line of an estimator's epoch",
        python="""
import sys
def learn(line):
    c, seen = EDClassifier(max_iter=3, hidden_width=2, hidden_depth=0, random_state=0, backend="numpy"), [0]
    def trace(frame, event, argument):
        if "edcore" not in frame.f_code.co_filename or frame.f_code.co_name in ("_receive", "uninterrupted"):
            return None
        if event == "line" and frame.f_code.co_name in ("_learn", "learn", "learn_epoch", "fit_epoch"):
            seen[0] += 1
            if seen[0] == line:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        c.fit(X, Y)
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
    counted = getattr(c, "n_iter_", 0)
    learnt = int(c.ed_.epochs.max()) if hasattr(c, "ed_") else 0
    return counted == learnt == len(getattr(c, "loss_curve_", []))
all(learn(line) for line in range(1, 120, 3))
""",
        value=True,
        slow=True,
    ),
    Row(
        name="Ctrl-C at any line of a fit with callbacks and a schedule",
        python="""
import signal, sys
def learn(line):
    ed, history, seen = ED(4, 2, 0, seed=0, backend="numpy"), edcore.History(X, Y), [0]
    rule = ed.rule
    def trace(frame, event, argument):
        if "edcore" not in frame.f_code.co_filename or frame.f_code.co_name in ("_receive", "uninterrupted"):
            return None
        if event == "line" and frame.f_code.co_name in ("fit_samples", "learn", "learn_epoch", "__call__", "scaled"):
            seen[0] += 1
            if seen[0] == line:
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)
        return trace
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        ed.fit(X, Y, epochs=3, schedule=[1, 0.5, 0.25], callbacks=history)
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
    learnt = int(ed.epochs[0])
    plain = ED(4, 2, 0, seed=0, backend="numpy").fit(X, Y, epochs=learnt, schedule=[1, 0.5, 0.25][:learnt])
    same = all((plain.weights[key] == value).all() for key, value in ed.weights.items())
    return same and ed.rule is rule and learnt - len(history) in (0, 1)
all(learn(line) for line in range(1, 140))
""",
        value=True,
    ),
    Row(
        name="the cores of a measurement are those that it may use",
        shell="taskset -c 0 python -c 'from edcore.environment import here; print(here().cores, \"cores\")'",
        says=("1 cores",),
        needs=("linux", "program taskset"),
        slow=True,
    ),
    Row(
        name="numba in a container with a share of one core and a half",
        python="""
from unittest.mock import patch
import numba
from edcore_numba.cpu import threads
Path("cpu.max").write_text("150000 100000")
with patch.object(threads, "CPU_MAX", Path("cpu.max")), patch.object(numba.config, "NUMBA_DEFAULT_NUM_THREADS", 64):
    with patch.object(numba.config, "NUMBA_NUM_THREADS", 64), patch("numba.threading_layer", side_effect=ValueError):
        threads._share.cache_clear()
        found = threads.number_of_threads()
threads._share.cache_clear()
found
""",
        value=2,
        needs=("numba",),
    ),
]

RUN = "edcore train --backend numpy --epochs 1 --depth 2"
AT_EXIT = """
import atexit
import numpy as np
from edcore import ED
x = np.random.default_rng(0).random((600, 16), np.float32)
ed = ED(16, hidden_width={width}, seed=1, backend={backend!r}).fit(x, x[:, 0] > 0.5, batch_size=300)
atexit.register(lambda: print("at exit", ed.fit(x, x[:, 0] > 0.5, batch_size=300).predict(x).shape))
"""
PROCESSES = [
    *(
        Row(name=f"a run {name}", shell=shell, says=says, environment=environment, needs=("linux",), slow=True)
        for name, shell, says, environment in (
            ("without stdin", f"{RUN} <&-", ("accuracy",), {}),
            ("without a home", f"env -u HOME {RUN}", ("accuracy",), {}),
            ("in a folder that was deleted", f"mkdir d; cd d; rmdir ../d; {RUN}", ("accuracy",), {}),
            ("with 16 open files at most", f"ulimit -n 16; {RUN} --checkpoint run", ("saved in run",), {}),
            ("without a folder for temporary files", f"{RUN} --checkpoint run", ("saved in run",), {"TMPDIR": "/none"}),
            (
                "in the language C, with a Japanese name",
                f"{RUN} --checkpoint 日本語; edcore predict 日本語 digits",
                ("saved in", "are predicted right"),
                {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
            ),
            (
                "under python -X dev -W error",
                RUN.replace("edcore", "python -X dev -W error -m edcore"),
                ("accuracy",),
                {},
            ),
            ("with a safe path", RUN, ("accuracy",), {"PYTHONSAFEPATH": "1"}),
            (
                "whose libraries can keep nothing",
                f"{RUN} --plot p.png",
                ("drawing p.png … done",),
                dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR"), "/proc/none"),
            ),
        )
    ),
    *(
        Row(
            name=f"a fit while Python ends, {backend} of width {width}",
            shell="python end.py",
            files={"end.py": AT_EXIT.format(width=width, backend=backend)},
            says=("at exit (600,)",),
            needs=() if backend == "numpy" else ("numba",),
            slow=True,
        )
        for backend, width in (("numpy", 64), ("numba", 8), ("numba", 256))
    ),
    Row(
        name="no stdout and no stderr, as under pythonw",
        python="""
import sys
from unittest.mock import patch
from edcore.cli import main
with patch("sys.stdout", None), patch("sys.stderr", None):
    EDClassifier(max_iter=1, verbose=True, random_state=0, backend="numpy").fit(X, Y)
    try:
        main(["kaneko", "--epochs", "3"])
    except SystemExit as end:
        code = end.code
code
""",
        value=0,
    ),
    Row(
        name="eight threads that import edcore at once",
        python="""
import threading
barrier, failed = threading.Barrier(8), []
def use():
    barrier.wait()
    try:
        import edcore
        edcore.ED(2, backend="numpy").fit([[0, 1.0]], [1.0])
        edcore.EDClassifier, edcore.streaming, edcore.plots, edcore.list_backends()
    except BaseException as error:
        failed.append(repr(error))
threads = [threading.Thread(target=use) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(failed)
""",
        says=("[]",),
        alone=True,
        slow=True,
    ),
    Row(
        name="an interpreter that is not the main one",
        python="""
from unittest.mock import patch
from edcore.interrupts import Stop, uninterrupted
with patch("signal.signal", side_effect=ValueError("signal only works in main thread of the main interpreter")):
    with Stop(), uninterrupted():
        ED(4, seed=1, backend="numpy").fit(X, Y)
""",
    ),
]

ROWS: list[Row] = [*SIGNALS, *HOSTS, *CACHES, *THREADS, *FORKS, *INSTALLATIONS, *PROCESSES]
