"""Memory: what is asked for is counted before it is claimed, within the limits of containers (K10)."""

import gzip
import io
import os
import zipfile

import numpy as np

from world.row import REFUSED, Row

STATUS = """
def status(name):
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0]) * 1024
"""

MEASURE = f"""{STATUS}
def made(network, backend):
    "Return the peak of memory while a network is made, in multiples of its weights."
    new = lambda network: ED.from_network(network, Rule(), seed=0, backend=backend).bind()
    new(edcore.Network(4, 3, 1, dtype=network.dtype))  # loads the libraries
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    kept = new(network)
    return (status("VmHWM") - before) / (network.parameters * np.dtype(network.dtype).itemsize)
"""

MOST = """
found = {str(shape): made(edcore.Network(*shape, dtype=dtype), backend) for shape, dtype in shapes}
print(backend, found)
max(found.values()) <= 3
"""

SHAPES = """shapes = [((4, 1500, 1), "float64"), ((4, 1000, 1), "float32"), ((4, 2000, 1), "float32"),
    ((4, 500, 1), "float64"), ((4, 700, 1, 4), "float32"), ((4, 700, 1, 3), "float64"), ((4, 10**6, 0), "float32"),
    ((784, 32, 2048), "float32"), ((10**6, 8, 0), "float64")]
"""

GROUPS = """
from unittest import mock
from edcore.contract import memory
patch = mock.patch.multiple(memory, PROC=Path("proc").absolute(), CGROUPS=Path("groups").absolute())
"""

JOB = {
    "proc/self/cgroup": "0::/job/step\n",
    "groups/job/memory.max": "900000000\n",
    "groups/job/memory.current": "500000000\n",
    "groups/job/memory.stat": "anon 1\nfile 9\n",
}

LITTLE = """
from unittest import mock
from edcore.contract.memory import Memory
def little(module, free):
    "Let this module find so many bytes free."
    return mock.patch(f"edcore.datasets.{module}.host_memory", lambda: Memory(free, 2**40))
"""


def idx(*shape: int) -> bytes:
    """Return a packed file of MNIST's form with zeros of this shape."""
    header = bytes((0, 0, 8, len(shape))) + b"".join(length.to_bytes(4, "big") for length in shape)
    return gzip.compress(header + bytes(int(np.prod(shape))), 1)


def mnist(samples: int) -> dict[str, bytes]:
    """Return MNIST's files, with so many samples in training."""
    names = ("train-labels-idx1-ubyte", "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte", "t10k-images-idx3-ubyte")
    shapes = ((samples,), (samples, 28, 28), (3,), (3, 28, 28))
    return {f"MNIST/raw/{name}.gz": idx(*shape) for name, shape in zip(names, shapes, strict=True)}


def npy(shape: tuple[int, ...]) -> bytes:
    """Return a .npy that claims this shape, and has a single number."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue() + bytes(8)


def packed(**files: bytes) -> bytes:
    """Return a .zip of these files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "."), data)
    return content.getvalue()


NET = "edcore.io.save(ED(2, hidden_width=2, hidden_depth=0, seed=0, backend='numpy'), 'n.safetensors')\n"
SWEEP = "[train]\ndataset = 'xor'\nepochs = 1\n"
GRID = (
    f"{SWEEP}[grid]\nwidth = {list(range(1, 1001))}\ndepth = {list(range(1000))}\nbatch-size = {list(range(1, 1001))}\n"
)
LINES = b"0,1\n" * 2**20

ROWS = [
    Row(
        name="making a network takes at most 3 times its weights",
        python=f"{MEASURE}backend, shapes = 'numpy', [((4, 1000, 1), 'float32')]{MOST}",
        value=True,
        needs=("linux",),
        alone=True,
    ),
    Row(
        name="a container's limit is the memory that a CPU has",
        python=f"""{GROUPS}with patch:
    here = memory.host_memory()
    try:
        ED(784, hidden_width=64, hidden_depth=20000, backend='numpy')
    except edcore.errors.BackendUnavailableError as error:
        print(error)
here""",
        value=(400000000, 900000000),
        says=("need 3.7 GiB, and the device has 0.8 GiB",),
        files=JOB,
        needs=("linux",),
    ),
    *(
        Row(
            name=f"control groups {which}",
            python=f"{GROUPS}with patch:\n    here = memory.host_memory()\nhere == {expected}",
            value=True,
            files=files,
            needs=("linux",),
        )
        for which, expected, files in (
            (
                "of the older kind, with the host's path, and files that were read",
                "(600, 800)",
                {
                    "proc/self/cgroup": "5:cpu:/x\n4:memory:/docker/a70f\n0::/\n",
                    "groups/memory/memory.limit_in_bytes": "800\n",
                    "groups/memory/memory.usage_in_bytes": "300\n",
                    "groups/memory/memory.stat": "cache 5\ntotal_inactive_file 60\ntotal_active_file 40\n",
                },
            ),
            (
                "of which an upper one has a limit",
                "(400000000, 900000000)",
                JOB | {"groups/job/step/memory.max": "max"},
            ),
            (
                "without a limit",
                "(mock.ANY, memory._machine().total)",
                {
                    "proc/self/cgroup": "0::/job\n",
                    "groups/memory.max": "max\n",
                    "groups/memory/memory.limit_in_bytes": "9223372036854771712\n",
                },
            ),
            (
                "that say nothing",
                "(mock.ANY, memory._machine().total)",
                {"proc/self/cgroup": "0::/\n", "groups/memory.max": "", "groups/memory.current": "7"},
            ),
            ("that cannot be read", "(mock.ANY, memory._machine().total)", {}),
        )
    ),
    Row(
        name="ulimit -v is a limit too",
        python="""import resource
from edcore.contract.memory import host_memory
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
try:
    ED(4, hidden_width=6000, hidden_depth=1, backend='numpy')
except edcore.errors.BackendUnavailableError as error:
    print(error)
0 < host_memory().free < host_memory().total == 2**30""",
        value=True,
        says=("need 1.6 GiB, and the device has 1.0 GiB",),
        needs=("linux",),
        alone=True,
    ),
    *(
        Row(
            name=f"/proc/meminfo {how}",
            python=f"import psutil\npsutil.PROCFS_PATH = {folder!r}\n"
            "ed = ED(4, hidden_width=3, hidden_depth=1, seed=0, backend='numpy').fit(X, Y)\n"
            "psutil.PROCFS_PATH = '/proc'\ned.predict(X).shape",
            value=(60,),
            files=files,
            needs=("linux",),
        )
        for how, folder, files in (
            ("that cannot be read", "nowhere", {}),
            ("that is empty", "empty", {"empty/meminfo": "", "empty/vmstat": ""}),
        )
    ),
    Row(
        name="a network that fits into the machine, and not into what is left of it",
        python=f"""{GROUPS}with patch, mock.patch('psutil.swap_memory', lambda: mock.Mock(free=2**10)):
    ED(4, hidden_width=1000, hidden_depth=1).weights""",
        ends=REFUSED,
        says=("OutOfMemoryError", "30.7 MiB, and", "KiB are left"),
        files=JOB | {"groups/job/memory.current": "899000000\n"},
        needs=("linux",),
    ),
    *(
        Row(name=f"far too many cells: {call}", python=call, ends=REFUSED, says=says)
        for call, says in {
            "ED(heads=10**10)": ("heads: given 10000000000",),
            "ED(heads=10**30)": ("heads: given 1000000000000",),
            "ED(4, hidden_width=10**12, outputs=10**12, backend='numpy')": ("GiB, and the device has",),
            "ED(4, hidden_width=10**12, outputs=10**12, backend='loop')": ("GiB, and the device has",),
            "ED(4, hidden_width=10**12, outputs=10**12).weights": ("OutOfMemoryError", "GiB, and the device has"),
            "ED(10**12, backend='numpy')": ("GiB, and the device has",),
            "ED(4, hidden_depth=10**12, backend='numpy')": ("GiB, and the device has",),
            "ED(4, hidden_width=10**9).predict(X)": ("GiB, and the device has",),
            "EDClassifier(hidden_width=10**9, backend='numpy').fit(X, Y)": ("GiB, and the device has",),
            "EDRegressor(hidden_depth=10**12, backend='numpy').fit(X, Y)": ("GiB, and the device has",),
            "edcore.parallel.fit_heads(ED(4, heads=10**12), X, Y)": ("heads: given",),
            "edcore.datasets.parity(60)": ("bits: given 60",),
        }.items()
    ),
    Row(
        name="a batch and epochs of more than there can be",
        python="ed = ED(4, hidden_width=3, backend='numpy')\n"
        "ed.fit(X, Y, batch_size=10**30, epochs=10**30, tolerance=1e9).epochs.tolist()",
        value=[1],
    ),
    Row(
        name="the shapes of a network that nobody can hold",
        python="edcore.Network(10**30, 10**30, 10**30, 10**30).weight_shapes['output.bias']",
        value=(10**30, 1, 2),
    ),
    *(
        Row(
            name=f"making a network takes at most 3 times its weights, {backend}",
            # JAX frees what it had with a delay, so it makes a single network.
            python=f"{MEASURE}{SHAPES}backend, shapes = {backend!r}, shapes[:{1 if backend == 'jax' else None}]{MOST}",
            value=True,
            needs=("linux", *packages),
            alone=True,
            slow=True,
            environment={"JAX_ENABLE_X64": "1"},
        )
        for backend, packages in {
            "numpy": (),
            "numba": ("numba",),
            "loop": (),
            "torch": ("torch",),
            "jax": ("jax",),
        }.items()
    ),
    *(
        Row(name=f"a file that never ends: {line}", shell=line, ends=2, says=(says,))
        for line, says in {
            "edcore sweep /dev/zero": "more than 16,777,216 bytes",
            "edcore train --config /dev/zero": "more than 16,384 bytes",
            "edcore train --resume /dev/zero": "not a file",
            "edcore inspect /dev/zero": "not a file",
            "edcore plot /dev/zero --out x.png": "not a file",
            "edcore sweep /dev/full": "more than 16,777,216 bytes",
            "edcore train --data /dev/zero --target y": "/dev/zero",
        }.items()
    ),
    *(
        Row(name=f"a pipe that nobody writes to: {line}", shell=line, ends=2, says=(says,), files={"p": os.mkfifo})
        for line, says in {
            "edcore sweep p": "p cannot be read (it is a pipe)",
            "edcore train --config p": "p cannot be read (it is a pipe)",
            "edcore train --resume p": "not a file",
            "edcore inspect p": "not a file",
            "edcore plot p --out x.png": "not a file",
            "edcore train --dataset xor --checkpoint p": "not a file",
        }.items()
    ),
    Row(
        name="a pipe in the place of a lock",
        shell="edcore train --dataset xor --epochs 1 --checkpoint a.ckpt",
        ends=2,
        says=("a.ckpt.lock", "belongs to something else"),
        files={"a.ckpt.lock": os.mkfifo},
    ),
    Row(
        name="options from a pipe of the shell",
        shell="edcore train --config <(cat o.toml) && edcore sweep --out o.csv <(cat o.toml) && wc -l o.csv",
        says=("4 + 4 cells", "2 o.csv"),
        files={"o.toml": "[train]\ndataset = 'xor'\nwidth = 4\nepochs = 1\nbackend = 'numpy'\n"},
        slow=True,
    ),
    Row(
        name="packed images that do not fit into memory",
        python=LITTLE + "with little('idx', 10**6):\n    edcore.datasets.mnist('.')",
        ends=REFUSED,
        says=("DataFileError", "train-images-idx3-ubyte.gz", "shape (200, 28, 28)", "GiB that are free"),
        files=mnist(200),
    ),
    Row(
        name="packed images that are more than the labels",
        python="edcore.datasets.mnist('.')",
        ends=REFUSED,
        says=("200000 images, and 3 labels",),
        files=mnist(3) | {"MNIST/raw/train-images-idx3-ubyte.gz": idx(200000, 28, 28)[:1000]},
    ),
    Row(
        name="packed images, under ulimit -v",
        python="import resource\nresource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))\nedcore.datasets.mnist('.')",
        ends=REFUSED,
        says=("DataFileError", "that are free"),
        files=mnist(150000),
        needs=("linux",),
        alone=True,
        slow=True,
    ),
    *(
        Row(
            name=f"a {ending} that unpacks to more than memory",
            python=f"{LITTLE}{NET}with little('user_files', 10**7):\n    {call}",
            ends=REFUSED,
            says=("DataFileError", f"d{ending}: a larger file; accepted: up to 0.0 GiB"),
            files={f"d{ending}": content},
        )
        for ending, content, call in (
            (".csv", LINES, "edcore.datasets.user_files.read_samples('d.csv')"),
            (".csv.gz", gzip.compress(LINES), "edcore.datasets.user_files.read_samples('d.csv.gz')"),
            (".csv.zip", packed(d__csv=LINES), "edcore.datasets.user_files.read_samples('d.csv.zip')"),
            (".npy", npy((2**20,)) + bytes(2**23), "edcore.datasets.user_files.read_samples('d.npy')"),
        )
    ),
    Row(
        name="a .npz that unpacks to more than memory",
        python=LITTLE
        + "from edcore.datasets.tables import read_table\nwith little('tables', 10**6):\n    read_table('d.npz')",
        ends=REFUSED,
        says=("DataFileError", "unpacked it needs", "are free"),
        files={"d.npz": packed(a__npy=npy((2**17,)) + bytes(2**20))},
        needs=("pandas",),
    ),
    *(
        Row(
            name=f"a .npy that claims {shape}",
            python="from edcore.datasets.user_files import read_samples\nread_samples('d.npy')",
            ends=REFUSED,
            says=("DataFileError: d.npy: it cannot be read as .npy",),
            files={"d.npy": npy(shape)},
        )
        for shape in ((10**12, 4), (10**9,), (2**62, 2**62))
    ),
    Row(
        name="a .npz whose array claims 10**12 rows",
        python="from edcore.datasets.tables import read_table\nread_table('d.npz')",
        ends=REFUSED,
        says=("DataFileError: d.npz: it cannot be read as .npz",),
        files={"d.npz": packed(a__npy=npy((10**12, 4)))},
        needs=("pandas",),
    ),
    *(
        Row(name=f"far too much: {line}", shell=line, ends=2, says=(says,), files={"s.toml": SWEEP, "g.toml": GRID})
        for line, says in {
            "edcore sweep s.toml --jobs 1000000000": "--jobs: given 1000000000; accepted: a whole number from 1",
            "edcore sweep g.toml": "given 1,000,000,000 combinations",
            "edcore kaneko --inputs 2 --outputs 9223372036854775808": "--outputs: given 9223372036854775808",
            "edcore kaneko --inputs 1000000000000": "--patterns",
            "edcore kaneko --hidden 1000000000000000": "--hidden",
            "edcore kaneko --inputs 60 --patterns 100000000000000": "--patterns",
            "edcore train --dataset xor --backend numpy --width 1000000000": "GiB, and the device has",
            "edcore train --dataset xor --backend numpy --depth 1000000000000": "GiB, and the device has",
            "edcore train --dataset parity60": "parity1 to parity20",
        }.items()
    ),
    *(
        Row(
            name=f"a benchmark of far too much: {shape}",
            python="from edcore.bench.contenders import make_contender\n"
            "from edcore.bench.setting import Setting, Work\n"
            f"setting = Setting({shape})\nprint(Work.of(setting).flop_step)\nmake_contender({name!r}, setting)",
            ends=REFUSED,
            says=("OutOfMemoryError: it needs at least",),
        )
        for name, shape in (
            ("numpy", "width=10**9, depth=1"),
            ("article", "depth=10**12"),
            ("products", "batch=10**12"),
            ("article", "features=10**12"),
        )
    ),
    Row(
        name="no more workers are started than there are tasks",
        python="""import joblib, os, time
from unittest import mock
from edcore.parallel import run_tasks, tasks
seen = mock.patch.object(tasks, 'Parallel', wraps=joblib.Parallel)
with seen as parallel, joblib.parallel_config('threading', n_jobs=900):
    done = sorted(run_tasks(pow, {"a": (2, 3), "b": (3, 2), "c": (1, 1)}))
parallel.call_args.kwargs['n_jobs']""",
        value=3,
    ),
    Row(
        name="an estimator's fit takes at most 4 times its data",
        python=f"""{STATUS}
x = np.random.default_rng(0).random((200_000, 50), np.float32)
y = (x[:, 0] > 0.5).astype(int)
classifier = EDClassifier(hidden_width=4, max_iter=1, batch_size=4096, backend='numpy', random_state=0)
classifier.fit(x[:500], y[:500])
Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
classifier.fit(x, y)
print((status("VmHWM") - before) / x.nbytes)
status("VmHWM") - before <= 4 * x.nbytes""",
        value=True,
        needs=("linux",),
        alone=True,
        slow=True,
    ),
    Row(
        name="a GPU without room for the samples, which another library says in its own words",
        python="""
class Samples:
    shape = (4, 3)
    def __array__(self, *_, **__):
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
ED(3).fit(Samples(), [0, 1, 0, 1])""",
        ends=REFUSED,
        says=("OutOfMemoryError: x: there is no memory", "Tried to allocate 2.00 GiB"),
    ),
]
