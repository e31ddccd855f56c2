"""What is typed and read: paths, tables, terminals, options of a wrong type, advice that helps."""

import re
import shlex

from world.row import Row, command


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

ROWS: list[Row] = [*ADVICE]
