"""What is typed and read: paths, tables, terminals, options of a wrong type, advice that helps."""

import re
import shlex

from world.row import REFUSED, Row, command


def followed(line):
    """Return how a command ends that follows the advice with which this one, which diverges, is refused."""
    code, printed = command(line)
    found = re.search(r"has diverged .* Try (.*); inputs from 0 to 1 help too\.", " ".join(printed.split()))
    if code != 2 or not found:
        return f"{code}, {printed}"
    assert "=" not in found[1], printed
    advice = re.sub(r" with |,", " ", found[1]).split()
    words = shlex.split(line)
    for option in {word for word in advice if word.startswith("--")}.intersection(words):  # each is given once
        at = words.index(option)
        del words[at : at + 2]
    return command(shlex.join(words + advice))[0]


def followed_in_python(learn, **given):
    """Return how a call of `learn` ends that follows the advice with which this one, which diverges, is refused."""
    from edcore.errors import DivergedError

    try:
        learn(**given)
    except DivergedError as error:
        found = re.search(r" Try (.*); inputs from 0 to 1 help too\.$", str(error))
    else:
        return "it does not diverge"
    advice = eval(f"dict({found[1].replace(' with ', ', ')})")
    return learn(**given | advice) is not None and sorted(advice)


RATES = ["alpha", "alpha_output"]
TABLE = "a,b,y\n" + "".join(f"{n % 7},{n % 5},{n % 7 + n % 5}\n" for n in range(60))

DIVERGES = (
    *(f"--activation {cells} {rule}" for cells in ("relu", "linear") for rule in ("", "--rule split --depth 32")),
    "--activation relu --depth 64 --dataset xor",
    "--activation linear --rule kaneko --depth 32",
    "--activation linear --rule edla --depth 40 --initial-weight 100",
    "--activation relu --alpha 1e17",
    "--activation relu --alpha 1e6 --depth 3",
)

ADVICE = [
    *(
        Row(
            name=f"the advice of a run that diverges helps: {options}",
            python="from world.shell import followed\n"
            f"followed('edcore train --epochs 2 --seed 1 --backend numpy {options}')",
            value=0,
        )
        for options in DIVERGES
    ),
    Row(
        name="the advice of a run on a table that diverges helps",
        files={"t.csv": TABLE},
        python="from world.shell import followed\nfollowed('edcore train --data t.csv --target y --task regression "
        "--epochs 20 --seed 1 --backend numpy --alpha-output 50000')",
        value=0,
    ),
    *(
        Row(
            name=f"the advice of a fit that diverges helps: {cells} cells, {outputs} outputs, depth {depth}",
            python="from world.shell import followed_in_python\n"
            "def learn(**given): return ED(4, seed=0, backend='numpy', **given).fit(250 * X, Y, epochs=3, batch_size=4)"
            f"\nfollowed_in_python(learn, activation={cells!r}, output_activation={outputs!r}, hidden_depth={depth}, "
            f"alpha=1e3, alpha_output=1e3, rms={rms})",
            value=advice,
        )
        for cells, outputs, depth, rms, advice in (
            ("relu", "sigmoid", 32, None, [*RATES, "rms"]),
            ("linear", "linear", 2, None, [*RATES, "rms"]),
            ("linear", "linear", 8, True, RATES),
            ("tanh", "linear", 1, None, RATES),
            ("relu6", "linear", 4, None, RATES),
        )
    ),
    Row(
        name="a loss of many digits is short, and no line of scikit-learn comes beside it",
        files={"t.csv": TABLE},
        shell="edcore train --data t.csv --target y --task regression --epochs 20 --seed 1 --backend numpy "
        "--alpha-output 50",
        says=("e+", "smaller learning rates (--alpha, --alpha-output)"),
        never=("000000", "RuntimeWarning", "alpha=", "encountered"),
    ),
    Row(
        name="a loss near the largest number is null in JSON",
        files={"t.csv": TABLE},
        shell="edcore train --data t.csv --target y --task regression --epochs 20 --seed 1 --backend numpy "
        "--alpha-output 5000 --json",
        says=('"mean_absolute_error": null',),
        never=("RuntimeWarning", "000000"),
    ),
    Row(
        name="the advice of an estimator that diverges helps",
        python="from world.shell import followed_in_python\n"
        "def learn(**given): return EDRegressor(random_state=0, backend='numpy', max_iter=9, **given).fit(X, X[:, 0])\n"
        "followed_in_python(learn, alpha_output=5e7)",
        value=RATES,
    ),
    Row(
        name="the advice of a classifier that diverges helps",
        python="from world.shell import followed_in_python\n"
        "def learn(**given): return EDClassifier(random_state=0, backend='numpy', max_iter=5, **given).fit(X, Y)\n"
        "followed_in_python(learn, activation='linear', hidden_depth=40, rule='split')",
        value=["rms"],
    ),
    Row(
        name="a run of a sweep that diverges names options of its file",
        files={"x.toml": "[train]\ndataset = 'xor'\nepochs = 1\nbackend = 'numpy'\n[grid]\nactivation = ['relu']"},
        python="from edcore.sweep import Sweep\nrow, = Sweep.read(Path('x.toml')).rows(n_jobs=1)\n"
        "'Try rms = true; inputs' in row['failed'], row['failed'].count('=')",
        value=(True, 1),
    ),
    Row(
        name="no line of NumPy comes before the sentence on divergence",
        shell="edcore train --activation relu --backend numpy --seed 1",
        ends=2,
        says=("Try --rms; inputs",),
        never=("RuntimeWarning", "rms=True"),
    ),
    Row(
        name="a name of Python's argument in a sentence is that of an option, and a path stays as it is",
        python="from edcore.training.options import as_options\n"
        "as_options(\"/x/alpha=0.5.csv, 'rule=None', data_dir/y: set early_stopping=False, or another data_dir.\")",
        value="/x/alpha=0.5.csv, 'rule=None', data_dir/y: set --no-early-stopping, or another --data-dir.",
    ),
]

XOR = "edcore train --dataset xor --epochs 1 --backend numpy"

TYPES = [
    *(
        Row(
            name=f"an option of {line.split()[1]} of a wrong type: {typed}",
            shell=f"{line} {typed}",
            ends=2,
            says=(f"edcore: {typed.split()[0].split('=')[0]}: given ", accepted),
            never=("Input should",),
        )
        for line, typed, accepted in (
            (XOR, "--width 1e3", "'1e3'; accepted: a whole number. Write 1000."),
            (XOR, "--width ''", "''; accepted: a whole number."),
            (XOR, "--width 8,5", "'8,5'; accepted: a whole number."),
            (XOR, "--width 1,000", "Write it without commas: 1000."),
            (XOR, "--width ８", "'８'; accepted: a whole number."),
            (XOR, "--alpha 0,8", "'0,8'; accepted: a number, such as 0.5. Write it with a decimal point: 0.8."),
            (XOR, "--alpha ,8", "Write it with a decimal point: .8."),
            (XOR, "--alpha 80%", "Write 0.8."),
            (XOR, "--alpha 0.8.1", "'0.8.1'; accepted: a number"),
            (XOR, "--seed 0x10", "'0x10'; accepted: a whole number. Write 16."),
            (XOR, "--seed=1.5", "'1.5'; accepted: a whole number."),
            (XOR, "--classes 0:1", "'0:1'; accepted: whole numbers with commas"),
            ("edcore bench numpy", "--depth 3.5", "'3.5'; accepted: a whole number."),
            ("edcore kaneko", "--alpha 0,8", "Write it with a decimal point: 0.8."),
            ("edcore info", "--explain 784 32 64.5", "'64.5'; accepted: a whole number."),
            ("edcore sweep x.toml", "--jobs 0,5", "'0,5'; accepted: a whole number."),
        )
    ),
    Row(name="a whole number with a point", shell=f"{XOR} --width 3.0 --depth 0", says=("of 3 + 3 cells",)),
    Row(name="a value after a flag", shell=f"{XOR} --rms=yes", ends=2, says=("'--rms' does not take a value",)),
    *(
        Row(
            name=f"a file of options with {line}",
            files={"x.toml": f"[train]\n{line}\n"},
            shell="edcore train --config x.toml --dataset xor --epochs 1",
            ends=2,
            says=(f"config, x.toml, {line.split()[0]}: given ", accepted),
            never=("Input should",),
        )
        for line, accepted in (
            ('rms = "true"', "'true'; accepted: true or false. Write it without quotes."),
            ("rms = 1", "1; accepted: true or false."),
            ('width = "8x"', "'8x'; accepted: a whole number."),
            ("width = 8.5", "'8.5'; accepted: a whole number."),
            ("width = [8]", "[8]; accepted: a whole number."),
            ("width = true", "true; accepted: a whole number."),
            ('alpha = "0,8"', "Write it with a decimal point: 0.8."),
            ("alpha = 2024-01-01", "accepted: a number."),
            ("plot = 3", "3; accepted: a text in quotes."),
        )
    ),
    Row(
        name="a file of options with numbers as texts",
        files={"x.toml": '[train]\nwidth = "8"\nalpha = 1\ndepth = 0\n'},
        shell=f"{XOR} --config x.toml",
        says=("of 8 + 8 cells", "learning rate 1"),
    ),
    *(
        Row(
            name=f"a sweep with {line}",
            files={"x.toml": f"[train]\ndataset = 'xor'\n{line}\n"},
            shell="edcore sweep x.toml",
            ends=2,
            says=(says,),
        )
        for line, says in (
            ('alpha = "0,8"', "'0,8'; accepted: a number, such as 0.5. Write it with a decimal point: 0.8."),
            ('width = "8"', "'8'; accepted: a whole number. Write it without quotes."),
        )
    ),
]

EVENTS = f"{XOR} --tensorboard"

FILES = [
    *(
        Row(
            name=f"a checkpoint named {name}",
            shell=f"{XOR} --checkpoint {name}",
            ends=2,
            says=(f"--checkpoint: given '{name}'; accepted: a name such as '{name.rpartition('.')[0]}.safetensors'",),
        )
        for name in ("x.pt", "x.PTH", "x.npz", "x.pkl", "x.json", "x.csv", "x.png", "x.h5")
    ),
    *(
        Row(name=f"a checkpoint named {name}", shell=f"{XOR} --checkpoint {name}", says=(f"saved in {name};",))
        for name in ("x.safetensors", "x", "x.ckpt", "v1.2")
    ),
    Row(
        name="a network saved in a .pt",
        python="edcore.io.save(ED(2, seed=0), 'x.pt')",
        ends=REFUSED,
        says=("path: given 'x.pt'; accepted: a name such as 'x.safetensors'",),
    ),
    Row(
        name="two runs into one folder of events",
        python="from world.row import command\n"
        f"first = command('{EVENTS} tb --seed 1')[0]\n"
        f"first, *command('{EVENTS} tb --seed 2'), len([*Path('tb').iterdir()])",
        value=(
            0,
            2,
            "edcore: --tensorboard: given 'tb', which has the events of another run; accepted: a folder without events."
            " Give each run a folder: --tensorboard tb/NAME. TensorBoard shows all of them.\n",
            1,
        ),
        needs=("tensorboardX",),
    ),
    Row(
        name="a resumed run adds to its own events, and to no others",
        python="from world.row import command\n"
        f"for seed in (1, 12): command(f'{EVENTS} tb{{seed}} --seed {{seed}} --checkpoint {{seed}}.ckpt')\n"
        "ends = [command(f'edcore train --resume 1.ckpt --epochs {n} --tensorboard tb{n}')[0] for n in (12, 1, 3)]\n"
        "ends, [len([*Path(f'tb{n}').iterdir()]) for n in (1, 12, 3)]",
        value=([2, 0, 0], [2, 1, 1]),
        needs=("tensorboardX",),
    ),
]

ROWS: list[Row] = [*ADVICE, *TYPES, *FILES]
