"""The reproductions: the baselines beside ED, the outcome, the pages and files, and a quick look at each."""

import errno
import json
import math
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edcore
from edcore.cli import app as cli
from edcore.comparison.baselines import EPS, METHODS, Baseline, feedback_matrices, initial_weights
from edcore.comparison.controls import FROZEN, READOUT
from edcore.core.network import Network
from edcore.core.randomness import permutation
from edcore.diagnostics.gradient import descent, forward, outputs
from edcore.environment import Environment
from edcore.errors import DataFileError, InputError, UnknownNameError
from edcore.plots.reproduction import png
from edcore.reproduce import catalogue, mnist, page, parity
from edcore.reproduce.options import Options
from edcore.reproduce.outcome import Outcome, Published, Score, standard_errors_apart

BP, DFA = METHODS
ADAM = "back-propagation with Adam"
SHAPES = [
    Network(3, 4, depth=2, dtype="float64"),
    Network(3, 4, depth=0, heads=3, u0=2.0, n_bias=2, bias=0.8, inhibitory_output=False, dtype="float64"),
    Network(3, 4, depth=1, heads=2, outputs=2, activation="tanh", output_activation="linear", dtype="float64"),
    Network(3, 4, depth=1, activation="relu", rms=True, dtype="float64"),
]
random = np.random.default_rng(0)
X = random.random((6, 3))


def shapes(test):
    return pytest.mark.parametrize("network", SHAPES, ids=["deep", "heads", "outputs", "rms"])(test)


def target_of(network):
    return np.random.default_rng(1).random((len(X), network.columns))


def loss(network, weights, target):
    return float(np.square(target - outputs(network, forward(network, weights, X))).sum() / 2 / len(X))


def directions(network, seed=3):
    """The directions of both baselines from the same weights, and the forward pass."""
    weights, target = initial_weights(network, seed), target_of(network)
    states = forward(network, weights, X)
    error = target - outputs(network, states)
    feedback = feedback_matrices(network, seed)
    found = {BP: descent(network, weights, states, error), DFA: descent(network, weights, states, error, feedback)}
    return weights, states, error, found


# The baselines. That back-propagation goes down the gradient is tested by finite differences in diagnostics.


@shapes
def test_the_first_step_of_back_propagation_lowers_the_loss(network):
    baseline, target = Baseline(network, BP, (0.01, 0.01), seed=3), target_of(network)
    before = loss(network, baseline.weights, target)
    baseline.fit(X, target, batch_size=len(X))
    assert loss(network, baseline.weights, target) < before


@shapes
def test_the_output_layer_of_direct_feedback_alignment_is_that_of_back_propagation(network):
    _, _, _, found = directions(network)
    for key in ("output.weight", "output.bias"):
        np.testing.assert_array_equal(found[DFA][key], found[BP][key])
    assert not np.allclose(found[DFA]["input.weight"], found[BP]["input.weight"])


def test_direct_feedback_alignment_by_hand():
    network = SHAPES[0]
    weights, states, error, found = directions(network)
    g = [y * (1 - y) * 2 / network.u0 for _, y, _ in states]
    for number, key in ((0, "input.weight"), (1, "hidden.weight")):
        delta = error / len(X) @ feedback_matrices(network, 3)[number][0] * g[number + 1][0]
        expected = states[number].y[0].T @ delta
        np.testing.assert_allclose(found[DFA][key][0] if number == 0 else found[DFA][key][0, 0], expected, rtol=1e-12)
    assert weights["input.weight"].shape == found[DFA]["input.weight"].shape


def test_initial_weights_are_of_either_sign_and_centre_sigmoids():
    network = Network(200, 100, depth=1, u0=0.4, dtype="float64")
    weights = initial_weights(network, 1)
    first = weights["input.weight"]
    assert 0.45 < (first > 0).mean() < 0.55
    assert first.std() == pytest.approx(2 * 0.4 / math.sqrt(400), rel=0.02)
    np.testing.assert_allclose(initial_weights(network, 1, gain=3.0)["input.weight"], 3 * first, rtol=1e-12)
    states = forward(network, weights, np.random.default_rng(2).random((50, 200)))
    assert abs(states[2].y.mean() - 0.5) < 0.05
    assert 0.1 < states[2].y.std() < 0.4  # neither faded nor saturated


@pytest.mark.parametrize(("method", "rates"), [(BP, (0.1, 0.2)), (DFA, (0.1, 0.2)), (ADAM, (0.01, 0.01))])
def test_heads_that_stop_by_themselves_learn_what_they_would_have_alone(method, rates):
    network = Network(2, 8, depth=0, heads=3, n_bias=2, bias=0.8, dtype="float64")
    x = edcore.datasets.xor("float64").x_train
    target = np.repeat(edcore.datasets.xor().y_train[:, None], 3, axis=1)
    schedule = {"batch_size": 1, "shuffle": False}
    stopping = Baseline(network, method, rates, seed=4).fit(x, target, epochs=200, tolerance=0.8, **schedule)
    assert len(set(stopping.epochs.tolist())) > 1
    for head, epochs in enumerate(stopping.epochs.tolist()):
        running = Baseline(network, method, rates, seed=4).fit(x, target, epochs=epochs, **schedule)
        for key, value in running.weights.items():
            np.testing.assert_allclose(stopping.weights[key][head], value[head], rtol=1e-9, atol=1e-12)


def test_adam_by_hand():
    network, target, rates = SHAPES[1], target_of(SHAPES[1]), (0.01, 0.03)
    baseline = Baseline(network, ADAM, rates, seed=3)
    expected = initial_weights(network, 3)
    mean, square = ({key: 0 * value for key, value in expected.items()} for _ in range(2))
    for step in range(1, 4):
        states = forward(network, expected, X)
        error = target - outputs(network, states)
        for key, value in descent(network, expected, states, error).items():
            mean[key] = 0.9 * mean[key] + 0.1 * value
            square[key] = 0.999 * square[key] + 0.001 * value**2
            root = np.sqrt(square[key] / (1 - 0.999**step))
            expected[key] = expected[key] + rates[key.startswith("output")] * mean[key] / (1 - 0.9**step) / (root + EPS)
        baseline.fit(X, target, batch_size=len(X), shuffle=False)  # a new call goes on with the means
        for key, value in expected.items():
            np.testing.assert_allclose(baseline.weights[key], value, rtol=1e-9, atol=1e-12)


def test_a_baseline_shuffles_as_ed_does():
    network, target = SHAPES[0], target_of(SHAPES[0])
    baseline = Baseline(network, BP, (0.1, 0.1), seed=5).fit(X, target, epochs=2, batch_size=4)
    other = Baseline(network, BP, (0.1, 0.1), seed=5)
    for epoch in range(2):
        order = permutation(5, epoch, len(X))
        other.fit(X[order], target[order], batch_size=4, shuffle=False)
    for key, value in baseline.weights.items():
        np.testing.assert_array_equal(value, other.weights[key])


# The outcome


HERE = Environment("2026-01-02T03:04:05+00:00", "0.1.0", "3.11.0", "2.0.0", "abc1234", "Linux x86_64", "A CPU", 2)


def made_up(**changes):
    there = Published("Kaneko 1999", 75.0, 100)
    rows = [
        Score("8", "edcore", (70.0, 80.0, 90.0), 1, 2.0, "XOR", there, "numpy"),
        Score("8", BP, (100.0,), 0, 1.0, "XOR", Published("Kaneko 1999, with momentum", 136.96, same=False)),
        Score("16", "edcore", (), 4, 1.0, "XOR", Published("Kaneko 1999", None, 100, "X")),
    ]
    given = {"title": "A title", "measure": "epochs", "axis": "hidden cells", "rows": rows, "notes": ["A note."]}
    settings = {"environment": HERE, "versions": {"numpy": "2.0.0"}, "logarithmic": True}
    return Outcome(name="made-up", **{**given, **settings, **changes})


def test_statistics_of_a_score():
    score = made_up().rows[0]
    assert (score.seeds, score.mean, score.deviation) == (4, 80.0, 10.0)
    assert score.error == pytest.approx(10 / math.sqrt(3))
    assert score.z == pytest.approx((80 - 75) / (10 * math.sqrt(1 / 3 + 1 / 100)))


@pytest.mark.parametrize(
    "changes",
    [{"values": ()}, {"values": (1.0,)}, {"published": None}, {"published": Published("a", 1.0, same=False)}],
)
def test_there_is_no_z_without_a_spread_or_a_figure_of_the_same_setting(changes):
    assert replace(made_up().rows[0], **changes).z is None


def test_standard_errors_between_two_scores():
    score = made_up().rows[0]
    other = replace(score, values=(80.0, 90.0, 100.0))
    assert standard_errors_apart(score, other) == pytest.approx(-10 / math.hypot(score.error, score.error))
    assert standard_errors_apart(score, made_up().rows[1]) is None


def test_json_brings_back_all_of_it():
    found = made_up(quick=True)
    content = json.loads(json.dumps(found.as_dict()))
    assert Outcome.from_dict(content) == found
    assert page.markdown(Outcome.from_dict(content)) == page.markdown(found)
    assert content["rows"][0]["z"] == pytest.approx(found.rows[0].z)


def test_the_page_has_the_published_figures_beside_ours():
    text = page.markdown(made_up()).replace(page.FIXED, " ")
    assert "| XOR | 8 | 75.00 | 80.00 (1 time-out) | +0.9 | 136.96 | 100.00 |" in text
    assert "| XOR | 16 | X | – (4 time-outs) | – | – | – |" in text
    assert "| XOR | 8 | edcore | 80.00 | 10.00 | 70.00 … 90.00 | 4 | 0.5 |" in text
    assert "| XOR | 8 | back-propagation | 100.00 | – | – | 1 | 1 |" in text
    assert "- edcore: 1 of 1 means lie within 2 standard errors of what was published." in text
    assert "2026-01-02, edcore 0.1.0, numpy 2.0.0 (commit abc1234)" in text
    assert "(made-up.png)" in text
    assert page.QUICK not in text


def test_means_that_are_apart_are_named():
    far = replace(made_up().rows[0], published=Published("Kaneko 1999", 100.0, 100))
    assert "edcore: 0 of 1 means lie within 2 standard errors of what was published; apart: XOR, 8 (z -3.4)." in (
        page.markdown(made_up(rows=[far]))
    )


def test_a_quick_look_says_so_and_judges_nothing():
    text = page.markdown(made_up(quick=True))
    assert page.QUICK in text
    assert "standard errors of what was published" not in text


def test_what_ed_has_above_its_controls():
    rows = [
        *(Score(depth, "edcore", values) for depth, values in (("1", (90.0, 91.0, 92.0)), ("4", (80.0, 70.0, 90.0)))),
        *(Score(depth, FROZEN, values) for depth, values in (("1", (50.0, 51.5, 52.0)), ("4", (75.0, 75.0, 75.0)))),
    ]
    text = page.markdown(made_up(rows=rows))
    sentence = "edcore minus it, in the mean of the same seeds, is +5.00 to +39.83; surely (at 95 %) above 0 in 1 of 2"
    assert f"- {FROZEN}: {sentence} settings, below 0 in 0." in text
    assert READOUT not in text


def test_runs_that_learn_with_a_control():
    rows = [*made_up().rows, Score("8", FROZEN, (70.0,), 3, group="XOR"), Score("16", FROZEN, (), 4, group="XOR")]
    text = page.markdown(made_up(rows=rows))
    assert f"- {FROZEN}: 1 of 8 runs learn; of edcore in the same settings 3 of 8." in text


def test_a_picture():
    pytest.importorskip("matplotlib")
    assert png(made_up()).startswith(b"\x89PNG")


# The reproductions


@pytest.mark.parametrize("name", ["kaneko-xor", "kaneko-parity", "edla-digits", "edla-polynomial"])
def test_a_quick_look(name):
    check_a_quick_look(name, Options(quick=True, backend="numpy"))


@pytest.mark.parametrize("name", ["article-mnist01", "mnist"])
def test_a_quick_look_at_mnist(name, mnist_dir):
    check_a_quick_look(name, Options(quick=True, backend="numpy", data_dir=mnist_dir, seeds=1))


def check_a_quick_look(name, options):
    lines = []
    found = catalogue.reproduce(name, replace(options, announce=lines.append))
    assert (found.name, found.quick) == (name, True)
    assert set(found.methods) >= {"edcore", *METHODS, FROZEN, READOUT}
    assert all(any(method in line for line in lines) for method in ("edcore", *METHODS, FROZEN, READOUT))
    for row in found.rows:
        assert row.seeds >= 1
        assert all(map(math.isfinite, row.values))
        assert row.seconds > 0
        assert row.backend == ("numpy" if row.method in ("edcore", FROZEN) else "")
        assert (row.date, row.commit) == (found.environment.date, found.environment.commit)
    assert any(row.published for row in found.rows if row.method == "edcore")
    assert Outcome.from_dict(json.loads(json.dumps(found.as_dict()))) == found
    assert "NaN" not in json.dumps(found.as_dict())


@pytest.mark.parametrize("name", ["article-mnist01", "mnist"])
def test_mnist_needs_a_folder(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(InputError, match="data_dir: given none; .*MNIST/raw"):
        catalogue.reproduce(name, Options(quick=True))
    with pytest.raises(DataFileError):
        catalogue.reproduce(name, Options(quick=True, data_dir=tmp_path))


def test_no_seeds_are_refused():
    with pytest.raises(InputError, match="seeds: given 0; .* 1"):
        Options(seeds=0)


def test_runs_that_have_not_stopped_at_the_limit_are_time_outs(monkeypatch):
    monkeypatch.setattr(parity, "QUICK_EPOCHS", 2)
    found = parity.xor(Options(quick=True, seeds=2, backend="numpy"))
    assert {(row.values, row.timed_out) for row in found.rows} == {((), 2)}


def kaneko(setting, *means):
    """The rows of edcore and of Kaneko's program in a setting, each of a mean, beside a published mean of 100."""
    there = Published("Kaneko 1999", 100.0, 100)
    rows = zip(("edcore", parity.PROGRAM), means, strict=True)
    return [Score(setting, method, (mean - 1, mean, mean + 1), published=there) for method, mean in rows]


def test_where_edcore_and_the_program_agree_and_the_table_does_not():
    rows = [*kaneko("8", 50.0, 50.5), *kaneko("16", 50.0, 60.0), *kaneko("32", 100.0, 99.9)]
    first, second = page.agreement(made_up(rows=rows, alike=("edcore", parity.PROGRAM)))
    assert first.endswith("lie within 2 standard errors of each other in 2 of 3 settings; apart: 16 (z -12.2).")
    assert second.startswith("In 1 setting both agree with each other and differ from the published mean: 8. ")
    near = made_up(rows=kaneko("32", 100.0, 99.9), alike=("edcore", parity.PROGRAM))
    assert len(list(page.agreement(near))) == 1
    assert not list(page.agreement(replace(near, alike=None)))


def test_what_kaneko_published_stands_at_its_hidden_cells():
    assert parity.XOR.published[2] == (339.75, 37)
    assert parity.XOR.published[512] == (4.47, 0)
    assert [task.published[512].mean for task in parity.PARITIES] == [7.94, 17.09, 80.18]
    assert [len(task.published) for task in parity.PARITIES] == [7, 7, 7]


@pytest.mark.parametrize("experiment", mnist.EXPERIMENTS, ids=lambda experiment: experiment.name)
def test_weights_of_the_mnist_networks_are_scaled_and_keep_the_floor(experiment):
    small = replace(experiment, network=replace(experiment.network, in_=20, width=20))
    made = mnist.EDRun(small, 1, Options(backend="numpy"))
    floor = experiment.rule.floor or 0.0
    weights = made.learner.weights
    start = edcore.ED(20, 20, 0, heads=small.network.heads, outputs=small.network.outputs, rule=small.rule, seed=1)
    assert start.rule == made.learner.rule
    assert np.abs(weights["output.weight"]).min() >= np.float32(floor)
    spread = [np.abs(weights[f"{name}.weight"]).mean() for name in ("input", "output")]
    assert spread[1] / spread[0] == pytest.approx(experiment.output_scale, rel=0.2)
    made.slow_down(0.5)
    assert made.learner.rule.alpha == experiment.rule.alpha / 2
    assert (made.learner.rule.centred, made.learner.rule.floor) == (experiment.rule.centred, experiment.rule.floor)


# Some of the methods


LATER = replace(HERE, date="2026-03-04T05:06:07+00:00", commit="def5678", cpu="Another CPU")


def some_again():
    """An outcome of which back-propagation ran again, and a control for the first time, beside what was there."""
    rows = [
        Score("8", BP, (60.0,), group="XOR"),
        Score("8", FROZEN, (90.0,), group="XOR", backend="numba"),
        Score("32", FROZEN, (95.0,), group="XOR", backend="numba"),
    ]
    there = made_up().in_environment(HERE)
    return made_up(rows=rows, environment=LATER, versions={"numpy": "2.1.0"}).in_environment(LATER).beside(there)


def test_rows_of_other_methods_are_kept_with_the_date_and_commit_of_their_run():
    found = [(row.setting, row.method, row.values, row.date[:10], row.commit) for row in some_again().rows]
    assert found == [
        ("8", "edcore", (70.0, 80.0, 90.0), "2026-01-02", "abc1234"),
        ("8", BP, (60.0,), "2026-03-04", "def5678"),
        ("8", FROZEN, (90.0,), "2026-03-04", "def5678"),
        ("16", "edcore", (), "2026-01-02", "abc1234"),
        ("32", FROZEN, (95.0,), "2026-03-04", "def5678"),
    ]


def test_the_page_says_which_methods_ran_when_and_where():
    text = page.markdown(some_again())
    assert "edcore: 2026-01-02, edcore 0.1.0, numpy 2.0.0 (commit abc1234)  \nbackend numpy on A CPU, 2 cores" in text
    assert f"{BP}, {FROZEN}: 2026-03-04, edcore 0.1.0, numpy 2.1.0 (commit def5678)  \nbackend numba on Another" in text
    assert Outcome.from_dict(json.loads(json.dumps(some_again().as_dict()))) == some_again()


def test_a_run_that_no_row_is_left_of_is_forgotten():
    again = made_up(environment=LATER).in_environment(LATER).beside(some_again())
    assert [run.environment.date[:10] for run, _ in again.runs] == ["2026-03-04"]
    assert again.earlier == ()


def test_a_file_from_before_runs_were_kept_apart_is_of_one_run():
    content = made_up().as_dict()
    del content["earlier"], content["alike"]
    for row in content["rows"]:
        del row["date"], row["commit"]
    assert Outcome.from_dict(content) == made_up().in_environment(HERE)


def test_only_the_methods_that_are_wanted_run():
    lines = []
    options = Options(quick=True, backend="numpy", seeds=2, methods=(FROZEN, BP), announce=lines.append)
    found = catalogue.reproduce("kaneko-xor", options)
    assert found.methods == [BP, FROZEN]
    assert lines
    assert all(line.endswith((BP, FROZEN)) for line in lines)


# The command


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Run the command in this process; return its exit code, stdout, stderr and the files that it left."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "EDCORE_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            cli.main(["reproduce", *arguments])
        out, err = capsys.readouterr()
        files = {file.relative_to(tmp_path) for file in tmp_path.rglob("*")}
        # The first to draw in a process makes matplotlib's folder of settings.
        return end.value.code, out, err, {str(file) for file in files if file.parts[0] != "config"}

    return run


@pytest.fixture
def instant(monkeypatch):
    """Reproductions that are there at once; the options that they were given."""
    asked = []

    def reproduce(name, options):
        asked.append((name, options))
        options.announce("it goes on")
        return made_up()

    monkeypatch.setattr(catalogue, "reproduce", reproduce)
    return asked


def test_the_command_leaves_three_files(command):
    pytest.importorskip("matplotlib")
    code, out, err, files = command("kaneko-xor", "--quick", "--seeds", "2", "--backend", "numpy")
    assert code == 0
    assert files == {"results", *(f"results/kaneko-xor.{ending}" for ending in ("md", "json", "png"))}
    assert "2 bits, 8 hidden cells: edcore\n" in err
    assert page.QUICK in out
    found = Outcome.from_dict(json.loads(Path("results/kaneko-xor.json").read_text(encoding="utf-8")))
    assert Path("results/kaneko-xor.md").read_text(encoding="utf-8") == page.markdown(found)
    assert Path("results/kaneko-xor.png").read_bytes().startswith(b"\x89PNG")
    assert {row.seeds for row in found.rows} == {2}


def test_every_option_of_the_command_arrives(command, instant):
    pytest.importorskip("matplotlib")
    options = "--seeds 7 --quick --out a/b --data-dir d --text t --backend torch"
    code, _, err, files = command("mnist", *options.split(), "--methods", f"edcore, {FROZEN}")
    assert (code, err) == (0, "it goes on\n")
    assert files == {"a", "a/b", "a/b/mnist.md", "a/b/mnist.json", "a/b/mnist.png"}
    ((name, given),) = instant
    assert (name, given) == (
        "mnist",
        Options(7, True, Path("d"), Path("t"), "torch", ("edcore", FROZEN), given.announce),
    )


def test_the_command_keeps_the_rows_of_other_methods(command):
    pytest.importorskip("matplotlib")
    quick = ("kaneko-xor", "--quick", "--seeds", "2", "--backend", "numpy")
    command(*quick, "--methods", "edcore,back-propagation")
    before = json.loads(Path("results/kaneko-xor.json").read_text(encoding="utf-8"))
    code, out, err, _ = command(*quick, "--methods", FROZEN)
    assert code == 0
    assert set(re.findall(r"cells: (.*)\n", err)) == {FROZEN}
    after = json.loads(Path("results/kaneko-xor.json").read_text(encoding="utf-8"))
    assert [row for row in after["rows"] if row["method"] != FROZEN] == before["rows"]
    assert [row["method"] for row in after["rows"][:3]] == ["edcore", BP, FROZEN]
    assert FROZEN in out


def test_rows_of_a_quick_look_do_not_mix_with_others(command, instant):
    pytest.importorskip("matplotlib")
    command("mnist")
    code, _, err, _ = command("mnist", "--quick", "--methods", FROZEN)
    assert (code, len(instant)) == (2, 1)
    assert re.search(
        r"--out: given results.mnist.json, which is not of --quick, with it; accepted: another folder", err
    )
    Path("results/mnist.json").write_text("{}", encoding="utf-8")
    code, _, err, _ = command("mnist", "--methods", FROZEN)
    assert (code, len(instant)) == (2, 1)
    assert "--out: given 'results/mnist.json'" in err.replace("\\", "/")


def test_the_help_names_every_reproduction(command):
    out = re.sub(r"[│\s]+", " ", command("--help")[1])
    assert all(name in out for name in catalogue.NAMES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["kaneko-xr"], r"NAME: given 'kaneko-xr'; .* Did you mean 'kaneko-xor'\?"),
        (["kaneko-xor", "--methods", "edcor"], r"--methods: given 'edcor'; .* Did you mean 'edcore'\?"),
        (["kaneko-xor", "--seeds", "0"], r"--seeds: given 0; .* 1\."),
        (["mnist"], r"--data-dir: given none; .*MNIST/raw.*"),
        (["kaneko-xor", "--out", "file/a"], r"--out: given 'file/a'; accepted: a folder .*"),
        (["kaneko-xor", "--quick", "--backend", "nump"], r".*'nump'.* Did you mean 'numpy'\?"),
    ],
)
def test_a_bad_option_is_one_line_and_leaves_no_file(command, arguments, message):
    pytest.importorskip("matplotlib")
    Path("file").write_text("", encoding="utf-8")
    code, out, err, files = command(*arguments)
    assert (code, out, files) == (2, "", {"file"})
    assert re.fullmatch(f"edcore: {message}", err.splitlines()[-1])


def test_without_matplotlib_nothing_starts(command, instant, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, _, err, files = command("kaneko-xor")
    assert (code, instant, files) == (2, [], set())
    assert 'pip install "edcore[plots]"' in err


def test_a_file_that_cannot_be_written_leaves_what_was_there(command, instant, monkeypatch):
    pytest.importorskip("matplotlib")
    resource = pytest.importorskip("resource")
    command("mnist")
    before = {name: Path("results", name).read_bytes() for name in ("mnist.md", "mnist.json", "mnist.png")}
    most = len(before["mnist.png"]) // 2  # bytes of a file: enough for the others
    assert max(len(before["mnist.md"]), len(before["mnist.json"])) < most
    monkeypatch.setattr(catalogue, "reproduce", lambda name, options: made_up(title="Another"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
    try:
        code, _, err, files = command("mnist")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert code == 2
    assert err.startswith("edcore: --out: ")
    assert os.strerror(errno.EFBIG) in err
    assert files == {"results", *(f"results/{name}" for name in before)}
    assert {name: Path("results", name).read_bytes() for name in before} == before


def test_a_reproduction_that_fails_leaves_no_file(command, monkeypatch):
    pytest.importorskip("matplotlib")

    def fails(name, options):
        raise KeyboardInterrupt

    monkeypatch.setattr(catalogue, "reproduce", fails)
    assert command("mnist")[3] == set()


def test_unknown_names_are_refused():
    with pytest.raises(UnknownNameError, match="NAME: given 'xor'"):
        catalogue.reproduce("xor")


@pytest.mark.parametrize("name", catalogue.NAMES)
def test_a_committed_page_is_that_of_its_values(name):
    folder = Path(__file__).parents[2] / "docs" / "results"
    if not (folder / f"{name}.json").exists():
        pytest.skip(f"{name} has not been committed")
    found = Outcome.from_dict(json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))
    assert not found.quick
    assert {FROZEN, READOUT} <= {*found.methods}
    assert (folder / f"{name}.md").read_text(encoding="utf-8") == page.markdown(found)
    assert (folder / f"{name}.png").exists()
