"""Faults that were mended before this table was: wrong answers, and files and summaries that were lost at the end."""

from world.row import REFUSED, Row

XOR = "edcore train --dataset xor --width 2 --depth 0 --epochs 2 --seed 3 --backend numpy"
WITHOUT_LOCKS = """
import errno, fcntl, os, platform
from unittest import mock
from world.row import command

def without_locks(number):
    '''Have the system refuse locks as some file systems do.'''
    return mock.patch.object(fcntl, 'flock', side_effect=OSError(number, 'no locks'))
"""
FUNCTION = """
from array_api_compat import array_namespace as of
from edcore.core.activations import registered

softplus = registered("softplus", lambda z, u0: of(z).log1p(of(z).exp(z)), lambda y: 1 - of(y).exp(-y))
"""


def planted(folder):
    """Put a backend with the wrong sign into a folder, as if it were installed there."""
    folder.mkdir()
    (folder / "wrong.py").write_text(
        "import dataclasses\nimport array_api_compat.numpy as xp\n"
        "from edcore.adapters.array_api import NUMPY, ArrayAPIBackend\n"
        "class Wrong(ArrayAPIBackend):\n"
        "    def update(self, network, rule, weights, trace, error):\n"
        "        return super().update(network, rule, weights, trace, -error)\n"
        "BACKEND = dataclasses.replace(NUMPY, name='wrong', load=lambda device: Wrong(xp, 'cpu', BACKEND))\n"
    )
    (folder / "wrong-1.dist-info").mkdir()
    (folder / "wrong-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: wrong\nVersion: 1\n")
    (folder / "wrong-1.dist-info" / "entry_points.txt").write_text("[edcore.backends]\nwrong = wrong:BACKEND\n")


ROWS = [
    # 1: a backend computes what it does not know as something else
    *(
        Row(
            name=f"a new {field} in {backend}",
            python="from edcore.arguments import assign\n"
            "from edcore.dispatch.choose import choose_backend, make_request\n"
            f"backend = choose_backend(make_request({backend!r}, None), edcore.Network(1), Rule())\n"
            f"network, rule = edcore.Network(2, 3), Rule()\nassign({of}, {field!r}, {new!r})\n"
            "backend.supports(network, rule)",
            value=f"it has no {field} {new!r}; it has {has}",
            needs=() if backend in ("numpy", "loop") else (backend,),
        )
        for backend in ("numpy", "loop", "numba", "torch", "jax")
        for field, of, new, has in (
            ("activation", "network", "softplus", "sigmoid, tanh, relu, relu6, linear"),
            ("error", "rule", "absolute", "signed, split"),
            ("order", "rule", "shuffled", "batch, online"),
            ("reduction", "rule", "median", "mean, sum"),
        )
    ),
    Row(
        name="a new activation of the core: auto takes a backend that has it",
        python=f"{FUNCTION}with softplus:\n"
        "    ed = ED(4, hidden_width=3, activation='softplus', seed=0, initial=edcore.Initial(weight=0.2))\n"
        "    ed.fit(X, Y, epochs=9)\ned.backend",
        value="numpy",
    ),
    *(
        Row(
            name=f"a new activation of the core in {backend}",
            python=f"{FUNCTION}with softplus:\n"
            f"    ED(4, activation='softplus', seed=0, backend={backend!r}).predict(X)",
            ends=REFUSED,
            says=("it has no activation 'softplus'",),
            needs=(backend,),
        )
        for backend in ("numba", "torch")
    ),
    # 2: the suite under python -O
    Row(
        name="edcore check of a wrong backend under python -O",
        shell="python -O -m edcore check wrong --quick",
        files={"site": planted},
        environment={"PYTHONPATH": "site"},
        ends=1,
        says=("check_update_signed", "but the oracle has"),
        slow=True,
    ),
    # 3: file systems without locks
    *(
        Row(
            name=f"a file system whose locks end in error {number}",
            python=f"{WITHOUT_LOCKS}with without_locks({number}):\n"
            f"    first = command({XOR!r} + ' --checkpoint net')[0]\n"
            "    Path('net.lock').write_text(f'{os.getppid()} {platform.node()}\\n')\n"
            "    again = command('edcore train --resume net --epochs 3')[0]\n"
            "first, again, edcore.io.inspect('net').run['batch'], sorted(path.name for path in Path().iterdir())",
            value=(0, 0, 3, ["net", "net.lock"]),
            needs=("linux",),
        )
        for number in ("errno.ENOSYS", "errno.EBADF", "524")
    ),
    Row(
        name="a sweep on a file system without locks",
        python=f"{WITHOUT_LOCKS}with without_locks(errno.ENOSYS):\n"
        "    Path('x.csv.lock').write_text(f'{os.getppid()} {platform.node()}\\n')\n"
        "    found = [command('edcore sweep x.toml --jobs 1')[0] for _ in range(2)]\n"
        "found, sorted(path.name for path in Path().iterdir())",
        files={"x.toml": "seeds = 1\n[train]\ndataset = 'xor'\nwidth = 2\ndepth = 0\nepochs = 1\nbackend = 'numpy'\n"},
        value=([0, 0], ["x.csv", "x.csv.lock", "x.toml"]),
        needs=("linux",),
    ),
    Row(
        name="a lock that the system refuses for another reason",
        python=f"{WITHOUT_LOCKS}with without_locks(errno.EIO):\n    found = command({XOR!r} + ' --checkpoint net')\n"
        "found[0], 'net.lock cannot be made' in found[1], list(Path().iterdir())",
        value=(2, True, []),
        needs=("linux",),
    ),
    # 4: what fails at the end
    Row(
        name="the first and the last write fail for a moment",
        python="import os\nfrom unittest import mock\nfrom world.row import command\nreal, count = os.fsync, [0]\n"
        "def fsync(descriptor):\n    count[0] += 1\n    if count[0] in (1, 4):\n"
        "        raise PermissionError(13, 'Permission denied')\n    real(descriptor)\n"
        f"with mock.patch.object(os, 'fsync', fsync):\n    found = command({XOR!r} + ' --checkpoint net')\n"
        "found[0], 'accuracy' in found[1], edcore.io.inspect('net').run['batch'], count[0] > 4",
        value=(0, True, 2, True),
    ),
    Row(
        name="MPLBACKEND=nonsense",
        shell=f"{XOR} --checkpoint net --plot run.png",
        environment={"MPLBACKEND": "nonsense"},
        leaves={"net": None, "run.png": None},
        ends=2,
        says=("--plot: matplotlib cannot draw here", "nonsense"),
        never=("accuracy",),
        needs=("matplotlib",),
        slow=True,
    ),
    Row(
        name="a matplotlibrc with TeX",
        python="import matplotlib\nfrom world.row import command\n"
        "with matplotlib.rc_context({'text.usetex': True, 'text.latex.preamble': r'\\nonsense'}):\n"
        f"    found = command({XOR!r} + ' --plot run.svg --report run.html')\n"
        "found[0], 'Learning curve' in Path('run.svg').read_text('utf-8'), Path('run.html').stat().st_size > 10_000",
        value=(0, True, True),
        needs=("matplotlib",),
    ),
    Row(
        name="a folder of data whose name is no UTF-8",
        python="import os\nfrom world.row import command\nfolder = os.fsdecode(b'data\\xff')\n"
        f"line = {XOR!r} + ' --report run.html --plot run.png --checkpoint net --data-dir ' + folder\n"
        "found = command(line)\ntext = Path('run.html').read_text('utf-8')\n"
        "again = command('edcore train --resume net --epochs 4')\n"
        "found[0], again[0], r'data\\udcff' in text, edcore.io.inspect('net').run['options']['data_dir'] == folder",
        value=(0, 0, True, True),
        needs=("linux", "matplotlib"),
    ),
    Row(
        name="a run of a sweep that diverges: no line of NumPy before the row that says so",
        shell="edcore sweep x.toml --jobs 1",
        files={"x.toml": "[train]\ndataset = 'xor'\nactivation = 'relu'\nepochs = 1\nbackend = 'numpy'\n"},
        ends=1,
        says=("1 of them failed: the column failed says why",),
        never=("RuntimeWarning",),
    ),
    # 5: checkpoints rewrite the whole history
    Row(
        name="the history of 100,000 batches",
        python="from edcore.training import History, Progress\nimport pickle\nhistory = History()\n"
        "for n in range(1, 100_001):\n    history.add(Progress(1, n, 100_000, n, 0.5, 1.0, None))\n"
        "len(history), len(pickle.dumps(history)) < 100_000",
        value=(100_000, True),
    ),
    # 6: estimators lose precision in silence
    *(
        Row(
            name=f"X of {name}",
            python=f"import pickle\nx = np.round(X * 64).astype({dtype})\n"
            "c = EDClassifier(max_iter=3, random_state=0, backend='numpy')\n"
            f"shares = c.fit(x, Y).predict_proba(x)\n"
            f"c.ed_.network.dtype, np.array_equal(shares, c.fit(x.astype({precision!r}), Y).predict_proba(x))",
            value=(precision, True),
            needs=needs,
        )
        for name, dtype, precision, needs in (
            ("big-endian float64", "'>f8'", "float64", ()),
            ("long doubles", "'longdouble'", "float64", ()),
            ("bfloat16", "__import__('ml_dtypes').bfloat16", "float32", ("ml_dtypes",)),
        )
    ),
    Row(
        name="labels of NumPy's StringDType",
        python="y = np.array(['no', 'yes'])[Y].astype(np.dtypes.StringDType())\n"
        "c = EDClassifier(max_iter=3, random_state=0, backend='numpy').fit(X, y)\n"
        "c.classes_.tolist(), c.score(X, y) == (c.predict(X) == y).mean()",
        value=(["no", "yes"], True),
    ),
    # 7: rounding
    *(
        Row(
            name=f"increments of samples, each under half an ulp, in float64 on {backend}{where}",
            python="from edcore import Network\nnetwork, ulp = Network(2, 8, 1, 2, dtype='float64'), 2.0**-51\n"
            "weights = {key: np.zeros(shape) for key, shape in network.weight_shapes.items()}\n"
            "for layer in network.layers:\n"
            "    weights[f'{layer.name}.weight'] += np.array(layer.source_signs)[:, None] * 3.0\n"
            "rule = Rule(alpha=1.875, alpha_output=1.875, reduction='sum')\n"
            f"ed = ED.from_network(network, rule, seed=0, weights=weights, backend={backend!r})\n"
            "ed.step(np.ones((16, 2)), np.full((16, 2), 0.5 + ulp))\n"
            "change = abs(ed.weights['input.weight'] - weights['input.weight'])\n"
            "abs(change / ulp - 16 * 1.875 / 4).max() <= 1",
            value=True,
            environment=environment,
            needs=() if backend == "numpy" else (backend,),
            slow=bool(environment) or backend == "numba",  # it may compile
        )
        for backend, where, environment in (
            *((backend, "", {}) for backend in ("numpy", "numba", "torch", "jax")),
            ("torch", ", where MKL adds sample by sample", {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}),
        )
    ),
    *(
        Row(
            name=f"rms of sums whose squares overflow, in {backend}",
            python=f"ed = ED(3, hidden_width=5, rms=True, seed=1, backend={backend!r})\n"
            "ed.load_weights(ed.weights | {'input.weight': ed.weights['input.weight'] * np.float32(1e20)})\n"
            "with np.errstate(all='ignore'):\n    found = ed.predict(np.ones((2, 3)))\nnp.isnan(found).all()",
            value=True,
            needs=() if backend == "numpy" else (backend,),
        )
        for backend in ("numpy", "numba", "torch", "jax")
    ),
    # 8: the draws of Kaneko's program
    *(
        Row(
            name=f"kaneko {options}",
            shell=f"edcore kaneko {options}",
            says=(f"stopped at epoch {epoch}:",),
        )
        for options, epoch in (
            ("--seed 1 --inputs 3 --teacher random", 160),
            ("--seed 2 --inputs 3 --teacher random", 52),
            ("--seed 3 --inputs 4 --hidden 32 --teacher random", 8),
            ("--seed 1 --inputs 3 --teacher real", 20),
            ("--seed 2 --inputs 2 --hidden 16 --teacher real", 13),
            ("--seed 1 --inputs 3 --teacher one", 37),
            ("--seed 2 --inputs 4 --hidden 16 --teacher one", 6),
            ("--inputs 3 --hidden 16 --teacher random --random-inputs", 555),
        )
    ),
    Row(
        name="kaneko: real targets of random inputs, one epoch after the time-out of the program",
        shell="edcore kaneko --seed 3 --inputs 4 --patterns 10 --hidden 32 --teacher real --random-inputs "
        "--epochs 10001 --json",
        says=('"error": 0.8642758904133225',),
        slow=True,
    ),
]
