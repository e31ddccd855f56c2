"""What is typed and read: paths, tables, terminals, options of a wrong type, advice that helps."""

import bz2
import functools
import gzip
import io
import lzma
import os
import re
import shlex
import zipfile
from pathlib import Path

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
        "as_options(\"/x/alpha=0.5.csv, 'rule=None', data_dir/y: set early_stopping=False, or "
        'another data_dir, by load(device).")',
        value="/x/alpha=0.5.csv, 'rule=None', data_dir/y: set --no-early-stopping, or "
        "another --data-dir, by load(device).",
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
            (XOR, "--width 8,x", "'8,x'; accepted: a whole number, or several with commas"),
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

PLAIN = "0.1,0.2,0.3\n0.4,0.5,0.6\n"
NAMED = f"a,b,c\n{PLAIN}"


def plain_network(path):
    """Write a network that knows no names of columns."""
    import edcore

    ed = edcore.ED(3, hidden_width=2, hidden_depth=0, seed=0, backend="numpy")
    edcore.io.save(ed, path, classes=("no", "yes"))


def named_classifier(path):
    """Write a classifier that has learnt from a table with names."""
    import numpy as np
    import pandas as pd

    import edcore

    x = np.random.default_rng(0).random((40, 3))
    table = pd.DataFrame(x, columns=list("abc"))
    labels = np.where(x[:, 0] > 0.5, "yes", "no")
    edcore.io.save(edcore.EDClassifier(max_iter=2, random_state=0, backend="numpy").fit(table, labels), path)


def written_by(packed, content):
    """Return the bytes of a text, packed."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("t.csv", content)
    zipped, data = archive.getvalue(), content.encode()
    return {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}.get(packed, lambda _: zipped)(data)


FORMS = {  # what a text becomes, by the name of the file
    "a comma.CSV": str,
    "semicolons.csv": lambda text: text.replace(",", ";"),
    "decimal commas.csv": lambda text: text.replace(",", ";").replace(".", ","),
    "tabs.tsv": lambda text: text.replace(",", "\t"),
    "tabs.TSV": lambda text: text.replace(",", "\t"),
    "tabs.csv": lambda text: text.replace(",", "\t"),
    "bars.txt": lambda text: text.replace(",", "|"),
    "UTF-16.csv": lambda text: text.encode("utf-16"),
    "a mark of the byte order.csv": lambda text: text.encode("utf-8-sig"),
    "CRLF.csv": lambda text: text.replace("\n", "\r\n"),
    "CR alone.csv": lambda text: text.replace("\n", "\r"),
    "empty lines.csv": lambda text: "\n" + text.replace("\n", "\n\n"),
    "quotes.csv": lambda text: re.sub(r"[^,\n]+", r'"\g<0>"', text),
    "spaces.csv": lambda text: text.replace(",", " , "),
    "separators at the ends.csv": lambda text: text.replace("\n", ",\n"),
    **{f"packed.csv{end}": functools.partial(written_by, end.lower()) for end in (".gz", ".GZ", ".bz2", ".xz", ".zip")},
}

CAUSES = {  # what is in a file that is no table for it, and the cause that is named
    "a column too many.csv": (PLAIN.replace("\n", ",7.5\n"), "with 4 features; accepted: 3"),
    "numbers of rows.csv": ("0,0.1,0.2,0.3\n1,0.4,0.5,0.6\n", "Its first column numbers the samples: leave it out."),
    "a column too few.csv": ("1,2\n3,4\n", "with 2 features; accepted: 3"),
    "NA.csv": (PLAIN.replace("0.5", "NA"), "sample 2 (line 2), feature 2: 'NA' is no number"),
    "a text.csv": (PLAIN.replace("0.5", "five"), "sample 2 (line 2), feature 2: 'five' is no number"),
    "a short line.csv": (f"{PLAIN}1,2\n", "sample 3 (line 3) has 2 columns, the first sample has 3"),
    "names alone.csv": ("a,b,c\n", "a file with no samples"),
    "nothing.csv": ("", "a file with no samples"),
    "gzip.csv": (gzip.compress(PLAIN.encode()), "no text but packed with gzip"),
    "no gzip.csv.gz": (PLAIN, "not a .gz file, or damaged"),
    "a spreadsheet.csv": (b"PK\x03\x04\0\0", "no text but a zip file or a spreadsheet"),
    "UTF-16 with no mark.csv": (PLAIN.encode("utf-16-le"), "a binary file, or in an unknown encoding"),
    "t.xlsx": (b"PK\x03\x04", "a file with the ending '.xlsx'; accepted: a file that ends in .csv"),
    "t.json": ("[[1, 2, 3]]", "a file with the ending '.json'; accepted: a file that ends in .csv"),
    "t.parquet": (b"PAR1", "a file with the ending '.parquet'; accepted: a file that ends in .csv"),
    "data": (PLAIN, "data: a file with no ending; accepted: a file that ends in .csv"),
    "folder.csv": (Path.mkdir, "folder.csv: a folder; accepted"),
    "folder": (Path.mkdir, "folder: a folder; accepted"),
    "pipe.csv": (lambda path: os.mkfifo(path), "pipe.csv: a pipe; accepted"),
}

NAMED_CAUSES = {
    "a column too few.csv": ("a,b\n1,2\n", "without the column 'c'"),
    "other names.csv": ("A,b,c\n1,2,3\n", "without the column 'a'"),
    "a name twice.csv": ("a,a,b,c\n1,2,3,4\n", "2 columns are named 'a'"),
    "names alone.csv": ("a,b,c\n", "the names of columns and no rows"),
    "no names.csv": (PLAIN, "the first line has no names but numbers"),
    "a comment.csv": (f"# of today\n{NAMED}", "If the first line is a comment, remove it."),
    "a gap.csv": (NAMED.replace("0.5", "NA"), "(a gap in row 2, column 'b'); accepted: cells"),
    "a text.csv": (NAMED.replace("0.5", "five"), "('five' in row 2, column 'b'); accepted: cells"),
    "NaN of another table.npz": (b"PK", "it cannot be read as .npz"),
    "gzip.csv": (gzip.compress(NAMED.encode()), "no text but packed with gzip"),
    "t.xlsx": (b"PK\x03\x04", "Save it as CSV (UTF-8) in the spreadsheet."),
}

SAMPLES = [
    *(
        Row(
            name=f"{kind}, for a {model.removesuffix('.safetensors')}",
            files={model: write, kind: form(text)},
            shell=f"edcore predict {model} '{kind}'",
            says=("yes",) if model == "network.safetensors" else (),
            never=("edcore: warning",),
            needs=() if model == "network.safetensors" else ("pandas",),
        )
        for kind, form in FORMS.items()
        for model, write, text in (
            ("network.safetensors", plain_network, PLAIN),
            ("table.safetensors", named_classifier, NAMED),
        )
    ),
    *(
        Row(
            name=f"{kind} is refused for a network, by its cause",
            files={"n.safetensors": plain_network, kind: content},
            shell=f"edcore predict n.safetensors '{kind}'",
            ends=2,
            says=(cause,),
            needs=("linux",) if kind == "pipe.csv" else (),
        )
        for kind, (content, cause) in CAUSES.items()
    ),
    *(
        Row(
            name=f"{kind} is refused for a table, by its cause",
            files={"n.safetensors": named_classifier, kind: content},
            shell=f"edcore predict n.safetensors '{kind}'",
            ends=2,
            says=(cause,),
            never=("HistGradientBoosting",),
            needs=("pandas",),
        )
        for kind, (content, cause) in NAMED_CAUSES.items()
    ),
    *(
        Row(
            name=f"an index from pandas, {header!r}",
            files={"n.safetensors": plain_network, "t.csv": f"{header}\n0,0.1,0.2,0.3\n1,0.4,0.5,0.6\n"},
            shell="edcore predict n.safetensors t.csv",
            says=("t.csv: its first column, '", "is left out: it numbers or names the rows"),
        )
        for header in (",a,b,c", "Unnamed: 0,a,b,c")
    ),
    Row(
        name="columns in another order, and one more",
        files={"n.safetensors": named_classifier, "t.csv": "d,c,a,b\n7,0.3,0.1,0.2\n", "u.csv": "a,b,c\n0.1,0.2,0.3\n"},
        python="from world.row import command\n"
        "found = [command(f'edcore predict n.safetensors {name}.csv --outputs')[1].split() for name in 'tu']\n"
        "found[0][0] == found[1][0]",
        needs=("pandas",),
    ),
    Row(
        name="a path as an address of a file",
        files={"n.safetensors": plain_network, "with space.csv": PLAIN},
        python="from world.row import command\n"
        "command(f'edcore predict n.safetensors {Path(\"with space.csv\").absolute().as_uri()}')[0]",
        value=0,
    ),
    Row(
        name="an address in the network is not loaded",
        files={"n.safetensors": plain_network},
        shell="edcore predict n.safetensors https://example.org/t.csv",
        ends=2,
        says=("an address, of which nothing is loaded",),
    ),
    Row(
        name="standard input and a pipe of the shell",
        files={"n.safetensors": plain_network, "t.csv": PLAIN},
        shell="edcore predict n.safetensors - < t.csv && edcore predict n.safetensors <(tail -n 1 t.csv) | wc -l",
        says=("yes 1",),
        needs=("linux",),
    ),
    *(
        Row(
            name=f"a table to learn from with {kind}",
            files={kind: form(TABLE)},
            shell=f"edcore train --data '{kind}' --target y --epochs 1 --backend numpy",
            says=("60 rows, 2 numbers",),
            needs=("pandas",),
        )
        for kind, form in FORMS.items()
        if kind in ("semicolons.csv", "UTF-16.csv", "packed.csv.xz", "packed.csv.zip", "tabs.TSV")
    ),
]

RUN = f"{XOR} --seed 1"
PRINTING = (
    RUN,
    f"{RUN} --json",
    f"{RUN} --diagnose",
    "edcore info",
    "edcore info --explain 4 4 4",
    "edcore kaneko --inputs 2 --hidden 2",
    "edcore inspect n.safetensors",
    "edcore inspect n.safetensors --json",
    "edcore predict n.safetensors t.csv",
    "edcore sweep x.toml",
    "edcore bench numpy --depth 2 --width 2 --repeats 1",
    "edcore --help",
    "edcore train --help",
    "edcore --version",
)
PRINTED = {
    "n.safetensors": plain_network,
    "t.csv": PLAIN,
    "x.toml": "[train]\ndataset = 'xor'\nepochs = 1\nbackend = 'numpy'\n",
}
NO_ADVICE = ("names of files", "Exception ignored", "BrokenPipe", "Errno")

STREAMS = [
    *(
        Row(
            name=f"{what}: {line}",
            shell=f"{line} {how}",
            files=PRINTED,
            ends=code,
            says=says,
            never=NO_ADVICE,
            needs=("linux",),
            slow=line != "edcore --version",
        )
        for what, how, code, says in (
            ("a full disk is stdout", "> /dev/full", 1, ("edcore: standard output: No space left on device.",)),
            ("stdout is closed", ">&-", 1, ("edcore: standard output is closed.",)),
            ("stdin and stderr are closed", "<&- 2>&-", 0, ()),
        )
        for line in PRINTING
    ),
    *(
        Row(
            name=f"the reader of stdout goes: {line}",
            shell=f"{line} | true; (( ${{PIPESTATUS[0]}} < 2 ))",
            files=PRINTED,
            never=NO_ADVICE,
            needs=("linux",),
            slow=line != "edcore --version",
        )
        for line in PRINTING
    ),
    Row(
        name="a run into a full disk keeps its checkpoint",
        shell=f"{RUN} --checkpoint run > /dev/full; edcore inspect run",
        says=("standard output: No space left on device.", "1 of 1 batches learnt"),
        needs=("linux",),
        slow=True,
    ),
    Row(
        name="standard input is closed, and read",
        shell="edcore predict n.safetensors - <&-",
        files=PRINTED,
        ends=2,
        says=("standard input: a file with no samples",),
        needs=("linux",),
    ),
    Row(
        name="an error with stderr closed is not on stdout",
        shell=f"{XOR} --json --width x 2>&-; test $? = 2",
        never=("edcore:",),
        needs=("linux",),
        slow=True,
    ),
]

LONG = "a-name-that-is-longer-than-the-terminal-is-wide.safetensors"


def at_width(columns, line):
    """Return what a command prints on so many columns, through a pipe, with its lines as they are."""
    os.environ["COLUMNS"] = str(columns)
    printed = command(line)[1]
    assert not re.search(r"\w…", printed), printed  # as Rich cuts a text
    return printed


NARROW = [
    *(
        Row(
            name=f"{columns} columns: {line}",
            python=f"from world.shell import at_width\nprint(at_width({columns}, {line!r}))",
            files={LONG: plain_network},
            says=says,
        )
        for columns in (40, 60, 8)
        for line, says in (
            (f"edcore inspect {LONG}", (LONG, "inhibitory_output=True")),
            ("edcore info", ("array_api_strict", "NumPy")),
            ("edcore info --explain 784 32 64", ("as --backend array_api_strict", "edcore bench --calibrate")),
            (f"{RUN} --rule signed --diagnose --depth 9", ("--initial-fan-in 0.5", "--rms")),
            (f"{RUN} --checkpoint {LONG[1:]}", (f"edcore predict {LONG[1:]} DATA",)),
            (f"{RUN} --activation relu --depth 64", ("--rms",)),
            (f"{RUN} --checkpoint /no/such/folder/{LONG}", (f"'/no/such/folder/{LONG}'",)),
            ("edcore train --help", ("--initial-fan-in", "--early-stopping")),
        )
        if columns > 8 or "help" not in line
    ),
    *(
        Row(
            name=f"no number of a diagnosis is cut on {columns} columns",
            python="from world.shell import at_width\nimport re\n"
            f"numbers = lambda wide: sorted(re.findall(r'\\d\\.\\de[-+]\\d+', at_width(wide, '{RUN} --diagnose')))\n"
            f"len(numbers(200)) > 5 and numbers({columns}) == numbers(200)",
        )
        for columns in (60, 40, 8, 1)
    ),
    *(
        Row(
            name=f"COLUMNS={columns!r}",
            python=f"from world.shell import at_width\n'numpy' in at_width({columns!r}, 'edcore info')",
        )
        for columns in ("", "0", "00", "-5", "abc", "1e3", "99999")
    ),
    *(
        Row(
            name=f"{variables}, a terminal of 40 columns",
            shell=f"env -uCOLUMNS {variables} script -qc 'stty cols 40; {RUN} --diagnose' /dev/null | tr -d '\\033\\r'",
            says=("hidden 2", "--initial-fan-in 0.5"),
            never=("n…", "e…"),
            needs=("linux",),
            slow=True,
        )
        for variables in ("TERM=dumb", "NO_COLOR=1", "FORCE_COLOR=1")
    ),
]

ROWS: list[Row] = [*ADVICE, *TYPES, *FILES, *SAMPLES, *STREAMS, *NARROW]
