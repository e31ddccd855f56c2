"""Faults that were mended before this table was: first uses, attributes, scaling, files, options (K1 to K9)."""

from world.row import REFUSED, Row

THREADS = """
import pickle, sys, threading
from concurrent.futures import ThreadPoolExecutor

def first_uses(blob, use, times=20):
    '''Whether six threads that use what is loaded first have one answer, which is also the later one.'''
    before, answers = sys.getswitchinterval(), []
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(6) as pool:
            for _ in range(times):
                loaded, barrier = pickle.loads(blob), threading.Barrier(6)
                answers += pool.map(lambda _: (barrier.wait(), use(loaded))[1], range(6))
                answers.append(use(loaded))
    finally:
        sys.setswitchinterval(before)
    return all(np.array_equal(answer, use(pickle.loads(blob))) for answer in answers)
"""
XOR = "edcore train --dataset xor --width 2 --depth 0 --epochs 2 --seed 3 --backend numpy"
TIMES = "x = X.astype('f4')\ny = X @ [1, 2, 3, -1]\nlearn = EDRegressor(max_iter=30, random_state=0, backend='numpy')\n"


ROWS = [
    # K1: the first use is not atomic
    Row(
        name="1: a loaded classifier, first used by six threads",
        python=f"{THREADS}learnt = EDClassifier(max_iter=9, random_state=0, backend='numpy').fit(X, X[:, 0] > 0.5)\n"
        "first_uses(pickle.dumps(learnt), lambda c: c.predict_proba(X))",
        value=True,
    ),
    Row(
        name="1: a loaded network, first used by six threads",
        python=f"{THREADS}ed = ED(4, hidden_width=4, seed=1, backend='numpy').fit(X, X[:, 0], epochs=3)\n"
        "first_uses(pickle.dumps(ed), lambda ed: ed.predict(X))",
        value=True,
    ),
    # K2: edcore writes what it refuses to read
    Row(
        name="7: Japanese labels of a megabyte",
        python="labels = tuple('日本語' * 40 + str(n) for n in range(1500))\n"
        "ed = ED(2, hidden_width=1, hidden_depth=0, heads=1500, seed=1, backend='numpy')\n"
        "edcore.io.save(ed, 'n.safetensors', classes=labels)\n"
        "edcore.io.load('n.safetensors').network.heads, edcore.io.inspect('n.safetensors').classes == labels",
        value=(1500, True),
    ),
    Row(
        name="9: a rule with a floor, set before a save",
        python="ed = ED(6, seed=0)\ned.rule = Rule(floor=0.5)\nedcore.io.save(ed, 'n.safetensors')\n"
        "again = edcore.io.load('n.safetensors')\n"
        "again.rule == ed.rule, all(np.array_equal(again.weights[key], ed.weights[key]) for key in ed.weights)",
        value=(True, True),
    ),
    Row(
        name="9: a rule with a floor above weights that were used",
        python="ed = ED(6, seed=0, backend='numpy')\ned.predict(np.eye(6))\ned.rule = Rule(floor=0.5)",
        ends=REFUSED,
        says=("values that are below",),
    ),
    Row(
        name="10: a split rule on a network with several outputs",
        python="ed = ED(6, rule='modulo', outputs=4, seed=0)\ned.rule = Rule('split')",
        ends=REFUSED,
        says=("outputs: given 4 with a split rule",),
    ),
    *(
        Row(
            name=f"10: a split rule for several outputs in {backend}'s words",
            python="from edcore.dispatch.choose import choose_backend, make_request\n"
            f"backend = choose_backend(make_request({backend!r}, None), edcore.Network(1), Rule())\n"
            "backend.supports(edcore.Network(6, 4, outputs=4), Rule('split'))",
            value="it has no error 'split' for 4 outputs, but for one",
            needs=() if backend in ("numpy", "loop") else (backend,),
        )
        for backend in ("numpy", "loop", "numba", "torch", "jax")
    ),
    Row(
        name="13: a seed of 201 bits as an attribute",
        python="ed = ED(6, seed=0)\ned.seed = 2**200",
        ends=REFUSED,
        says=("seed: given", "128"),
    ),
    Row(
        name="13: a seed of NumPy's as an attribute",
        python="ed = ED(6, seed=0)\ned.seed = np.int64(5)\nedcore.io.save(ed, 'n')\nedcore.io.load('n').seed",
        value=5,
    ),
    # K3: public attributes take anything
    Row(
        name="47: a rule's name as the attribute rule",
        python="ed = ED(3, seed=0)\ned.rule = 'split'",
        ends=REFUSED,
        says=("rule: given 'split'", "ed.rule = edcore.PRESETS['split'].rule"),
    ),
    Row(
        name="47: None as the attribute rule",
        python="ed = ED(3, seed=0)\ned.rule = None",
        ends=REFUSED,
        says=("rule: given None",),
    ),
    # K4: scaling at the edge of a dtype or of the data
    *(
        Row(
            name=f"3: a target of {offset:g} + {factor:g}·y with float32 X",
            python=f"{TIMES}y = {offset} + {factor} * y\nfound = learn.fit(x, y).score(x, y)\n"
            "abs(found - learn.fit(X, (y - y.mean()) / y.std()).score(X, (y - y.mean()) / y.std())) < 0.001",
            value=True,
        )
        for factor, offset in ((100, 1.7e9), (1e3, 1e12), (1, 2e7), (1e-23, 0), (1e23, 0))
    ),
    Row(
        name="5: a feature that was constant in training, and changes",
        python="x = np.c_[X, np.full(60, 2025)]\nc = EDClassifier(random_state=0, max_iter=50, backend='numpy')\n"
        "shares = c.fit(x, X[:, 0] > 0.5).predict_proba(x)\n"
        "[abs(c.predict_proba(np.c_[X, np.full(60, year)]) - shares).max() for year in (2026, 2024, 0, 1e30)]",
        value=[0, 0, 0, 0],
    ),
    *(
        Row(
            name=f"weights of samples whose sum is too large, in {kind}",
            python=f"{kind}(max_iter=2).fit(X, Y, sample_weight=np.full(60, 1e307))",
            ends=REFUSED,
            says=("sample_weight: given weights whose sum",),
            never=("alpha", "RuntimeWarning"),
        )
        for kind in ("EDClassifier", "EDRegressor")
    ),
    # K5: data that change while they are read
    Row(
        name="14: chunks of Zarr that are lost during training",
        python="import shutil, zarr\nfrom edcore import streaming\n"
        "z = zarr.create_array('z', shape=X.shape, chunks=(10, 4), dtype='f8')\nz[:] = X\n"
        "for _ in streaming.train(ED(4, seed=0, backend='numpy'), z, Y, epochs=2, prefetch=0):\n"
        "    shutil.rmtree('z/c', ignore_errors=True)",
        ends=REFUSED,
        says=("x: ", "of the 6 chunks that were in its store are gone"),
        needs=("zarr",),
    ),
    Row(
        name="14: a target out of range in the second pass",
        python="from edcore import streaming\ny, ed = Y * 1.0, ED(4, seed=0, backend='numpy')\n"
        "for at in streaming.train(ed, X, y, epochs=2, prefetch=0):\n    y[7] = 3",
        ends=REFUSED,
        says=("target[0:60]: given", "3"),
    ),
    # K6: types that are taken as something else
    *(
        Row(
            name=f"16: streaming.predict into {kind}",
            python="from edcore import streaming\n"
            f"streaming.predict(ED(4, seed=0, backend='numpy'), X, np.zeros(60, {kind!r}))",
            ends=REFUSED,
            says=(f"out: given dtype {kind}", "float32"),
        )
        for kind in ("uint8", "bool")
    ),
    *(
        Row(
            name=f"24: a data set of one's own with {name}",
            python="data = dict(name='mine', x_train=X, y_train=Y, x_test=X[:9], y_test=Y[:9], classes=(0, 1))\n"
            f"edcore.datasets.Dataset(**data | {{{change}}})",
            ends=REFUSED,
            says=(says,),
        )
        for name, change, says in (
            ("the label -1", "'y_train': Y - 1", "y_train: given -1 for sample 0"),
            ("a label that is no class", "'y_train': Y + 1", "y_train: given 2 for sample 1"),
            ("labels of floats", "'y_train': Y / 2", "y_train: given 0.5 for sample 1"),
            ("more labels than samples", "'x_train': X[:50]", "y_train: given shape (60,)"),
            ("fewer test labels", "'y_test': Y[:5]", "y_test: given shape (5,)"),
            ("no test samples", "'x_test': X[:0], 'y_test': Y[:0]", "x_test: given shape (0, 4)"),
        )
    ),
    *(
        Row(name=f"26: a mask in {of} of {kind}", python=f"{kind}().fit({data})", ends=REFUSED, says=(says, "mask"))
        for kind in ("EDClassifier", "EDRegressor")
        for of, data, says in (
            ("x", "np.ma.masked_array(X, X > 0.95), Y", "X: given"),
            ("y", "X, np.ma.masked_array(Y, X[:, 0] > 0.95)", "y: given"),
        )
    ),
    *(
        Row(
            name=f"26: a list with masked arrays in {call}",
            python=f"from edcore import streaming\nrows = [np.ma.masked_array(row, row > 0.9) for row in X]\n{call}",
            ends=REFUSED,
            says=("given a masked array",),
        )
        for call in (
            "ED(4, seed=0).fit(rows, Y)",
            "ED(4, seed=0).predict(rows)",
            "ED(4, seed=0).fit(X, [*Y[:-1], np.ma.masked_array(1, True)])",
            "EDClassifier().fit(rows, Y)",
            "EDRegressor().fit(X, rows)",
            "edcore.datasets.Dataset('mine', rows, Y, X, Y, (0, 1))",
        )
    ),
    *(
        Row(
            name=f"28: shuffle={odd!r} in {name}",
            python="from edcore import parallel, streaming\n"
            f"{call}(ED(4, seed=0, backend='numpy'), X, Y, shuffle={odd!r})",
            ends=REFUSED,
            says=(f"shuffle: given {odd!r}", "True or False"),
        )
        for odd in ("no", "False")
        for name, call in (("ED.fit", "ED.fit"), ("fit_heads", "parallel.fit_heads"), ("streaming", "streaming.fit"))
    ),
    *(
        Row(
            name=f"a whole number of 5001 digits as {name}",
            python=f"N = 10**5000\n{call}",
            ends=REFUSED,
            says=(says,),
        )
        for name, call, says in (
            ("labels of a file", "edcore.io.save(ED(2, seed=1), 'n', classes=(N, 1))", "classes: given"),
            ("a key of weights", "ED(2, seed=1).load_weights({N: 1})", "also a value of type int"),
            ("a path", "edcore.io.load(N)", "path: given a value of type int"),
            ("a seed", "ED(2, seed=N)", "seed: given a"),
        )
    ),
    # K7: "as it was before" is not
    Row(
        name="17: a warm start that diverges, and goes on as if it had not",
        python="import copy\n"
        "first = EDRegressor(max_iter=3, random_state=0, warm_start=True, backend='numpy').fit(X, Y)\n"
        "other, old = copy.deepcopy(first), first.get_params()\n"
        "try:\n    first.set_params(alpha=5.0, alpha_output=0.5, max_iter=200).fit(X, Y)\n"
        "except edcore.errors.DivergedError:\n    first.set_params(**old).fit(X, Y)\n"
        "(first.ed_.epochs.tolist(), np.array_equal(first.predict(X), other.fit(X, Y).predict(X)))",
        value=([6], True),
    ),
    # K8: a file that somebody had is gone
    Row(
        name="19: a checkpoint that is touched while a run writes it",
        python="import os\nfrom unittest import mock\nfrom world.row import command\nstep = ED.step\n"
        "def touching(ed, *a, **k):\n    os.utime('a.ckpt')\n    return step(ed, *a, **k)\n"
        "with mock.patch.object(ED, 'step', touching):\n"
        f"    found = command({XOR!r} + ' --checkpoint a.ckpt --every 1')\n"
        "found[0], edcore.io.inspect('a.ckpt').run['batch']",
        value=(0, 2),
    ),
    Row(
        name="20: bench draws over a picture on a full disk",
        shell="ulimit -f 4; edcore bench numpy --depth 1 --features 2 --width 2 --plot found.png",
        files={"found.png": b"old" * 3000},
        leaves={"found.png": b"old" * 3000},
        ends=2,
        says=("found.png", "File too large"),
        needs=("linux", "matplotlib"),
        slow=True,
    ),
    Row(
        name="30: a write-protected file is not replaced",
        python="import os\nos.chmod('.', 0o777)\ned = ED(2, hidden_width=2, seed=1)\nedcore.io.save(ed, 'best')\n"
        "os.chmod('best', 0o444)\nuser = os.geteuid()\nuser or os.seteuid(65534)\n"
        "try:\n    edcore.io.save(ed, 'best', overwrite=True)\nfinally:\n    os.seteuid(user)",
        ends=REFUSED,
        says=("best: it cannot be written (Permission denied)",),
        needs=("linux",),
    ),
    Row(
        name="31: notes in the file of a lock",
        shell=f"{XOR} --checkpoint a.ckpt",
        files={"a.ckpt.lock": "notes\n"},
        leaves={"a.ckpt.lock": "notes\n", "a.ckpt": None},
        ends=2,
        says=("a.ckpt.lock, the file of its lock, belongs to something else",),
    ),
    Row(
        name="31: a hard link in the place of a lock",
        shell=f"{XOR} --checkpoint a.ckpt",
        files={"mine": "", "a.ckpt.lock": lambda path: path.hardlink_to(path.with_name("mine"))},
        leaves={"mine": "", "a.ckpt": None},
        ends=2,
        says=("a.ckpt.lock",),
    ),
    Row(
        name="a checkout whose commit is named: its index is not written",
        python="import os, subprocess\nfrom edcore.environment import commit\n"
        "def git(*words):\n"
        "    own = ['-c', 'user.name=a', '-c', 'user.email=a@b', '-c', 'commit.gpgsign=false']\n"
        "    subprocess.run(['git', *own, *words], check=True, capture_output=True)\n"
        "git('init')\nfound = [commit(Path())]\nPath('f').touch()\ngit('add', 'f')\ngit('commit', '-m', 'a')\n"
        "os.utime('f', (0, 0))\nbefore = Path('.git/index').read_bytes()\nfound.append(commit(Path()))\n"
        "Path('f').write_text('b')\nfound.append(commit(Path()).replace(found[1], ''))\n"
        "found[0], len(found[1]), found[2], Path('.git/index').read_bytes() == before",
        value=("", 7, "-dirty", True),
        needs=("linux",),
    ),
    # K9: one option given twice
    *(
        Row(
            name=f"22: an option with both hyphens in {part} of a sweep",
            shell="edcore sweep x.toml",
            files={"x.toml": f"seeds = 1\n[train]\ndataset = 'xor'\n{lines}"},
            leaves={"x.csv": None},
            ends=2,
            says=("batch_size: given twice",),
        )
        for part, lines in (
            ("[train]", "batch-size = 1\nbatch_size = 4\n"),
            ("[grid]", "[grid]\nbatch-size = [1]\nbatch_size = [4]\n"),
        )
    ),
    Row(
        name="22: an option twice on the command line",
        shell=f"{XOR} --width 4",
        ends=2,
        says=("--width",),
    ),
    Row(
        name="22: an option with both hyphens in a file of options",
        shell="edcore train --config x.toml",
        files={"x.toml": "[train]\nbatch-size = 1\nbatch_size = 4\n"},
        ends=2,
        says=("batch_size: given twice",),
    ),
]
