"""The history of a run: bounded in memory and on the disk, the same curve, and the same bits after a resume."""

import contextlib
import io as text
import itertools
import json
import os
import pickle
import stat
import tracemalloc

import numpy as np
import pytest
import safetensors.numpy

from command import override
from edcore import ED, cli, datasets, io, streaming, training
from edcore.errors import InputError
from edcore.files import container
from edcore.training import History, Progress, train
from edcore.training.history import ROWS

XOR = ["train", "--dataset", "xor", "--rule", "split", "--width", "2", "--depth", "0", "--seed", "3"]
XOR += ["--backend", "numpy"]
LONG = [*XOR, "--batch-size", "1", "--epochs", "800", "--eval-every", "7", "--every", "250"]


def errors_of(n, seed=0):
    """Errors that fall, with much noise."""
    return np.random.default_rng(seed).random(n) * np.linspace(1, 0.2, n)


def entry(batch, error, accuracy=None, batches=10**6, bits=None):
    return Progress(1, batch, batches, batch, float(error), batch * 0.5, accuracy, bits)


def run_of(errors, eval_every=7, *, probabilities=False):
    for batch, error in enumerate(errors, 1):
        measured = not batch % eval_every
        bits = 1 + 1 / batch if measured and probabilities else None
        yield entry(batch, error, batch / 10**6 if measured else None, bits=bits)


def same(one, other):
    assert one.keys() == other.keys()
    for key, array in one.items():
        assert array.tobytes() == other[key].tobytes(), key


# What it keeps


@pytest.mark.parametrize("n", [1, ROWS - 1, ROWS, ROWS + 1, 2 * ROWS, 2 * ROWS + 1, 10_007])
def test_a_row_has_the_mean_the_least_and_the_largest_error_of_its_batches(n):
    errors, history = errors_of(n), History.of(run_of(errors_of(n)))
    assert len(history) == n
    assert len(history.errors) <= ROWS
    assert history.block == 1 or len(history.errors) > ROWS // 2
    starts = np.arange(0, n, history.block)
    assert history.ends.tolist() == [*starts[1:], n]
    mean, least, largest = history.errors.T
    np.testing.assert_allclose(mean, np.add.reduceat(errors, starts) / np.diff(starts, append=n), rtol=1e-13)
    assert least.tolist() == np.minimum.reduceat(errors, starts).tolist()
    assert largest.tolist() == np.maximum.reduceat(errors, starts).tolist()


def test_a_short_run_is_kept_as_it_was():
    errors = errors_of(ROWS)
    history = History.of(run_of(errors))
    assert history.block == 1
    assert history.errors.tolist() == [[error] * 3 for error in errors]
    assert [progress.batch for progress in history.evaluations] == list(range(7, ROWS + 1, 7))


def test_of_the_evaluations_the_first_and_the_latest_of_each_block_are_kept():
    run = list(run_of(errors_of(20_000)))
    history = History.of(run)
    measured = [progress for progress in run if progress.accuracy is not None]
    latest = {(progress.batch - 1) // history.block: progress for progress in measured[1:]}
    assert history.block == 32
    assert history.evaluations == [measured[0], *latest.values()]
    assert history.evaluations[-1] is measured[-1]
    assert history.latest is run[-1]


def test_the_mean_error_is_that_of_the_batches_between_two_evaluations():
    errors = errors_of(6_000)
    history = History.of(run_of(errors, eval_every=1_700))  # batches 3,401 to 5,100
    assert history.averaged == 1_700
    assert history.mean_error == pytest.approx(errors[3_400:5_100].mean(), rel=1e-13)
    assert history.first_error == errors[0]


def test_a_history_of_a_history_is_itself():
    history = History.of(run_of([0.5]))
    assert History.of(history) is history


# Its size


def linear(sizes):
    """Whether all that is written up to the end is about twice what is written up to the half, and so back."""
    total = np.cumsum(sizes)
    quarter, half, whole = (total[len(total) * share // 4 - 1] for share in (1, 2, 4))
    return half < 2.4 * quarter and whole < 2.3 * half


def test_the_check_of_growth_knows_a_file_that_grows_with_the_run():
    assert linear([5_000] * 288)
    assert not linear([5_000 + 24 * 50 * number for number in range(288)])  # 24 bytes for each batch


def test_a_run_writes_bytes_in_proportion_to_its_epochs(monkeypatch, tmp_path):
    """100 epochs of 72 batches, and so 25 and 50: the bytes of each file that was written to the disk."""
    sizes, real = [], os.fsync

    def fsync(descriptor):
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode):
            sizes.append(found.st_size)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    options = ["--epochs", "100", "--batch-size", "4", "--width", "4", "--depth", "1", "--backend", "numpy"]
    with pytest.raises(SystemExit) as end:
        cli.main(["train", *options, "--every", "30", "--checkpoint", str(tmp_path / "net")])
    assert not end.value.code
    assert len(sizes) == 1 + 100 * 72 // 30
    assert linear(sizes)
    assert max(sizes) < 50_000


def test_a_file_of_a_long_run_is_no_larger_than_that_of_a_run_that_is_not():
    history = History()
    sizes = []
    for progress in run_of(errors_of(300_000), eval_every=1):
        history.add(progress)
        if len(history) in (ROWS, 3_000, 300_000):
            sizes.append(sum(array.nbytes for array in history.to_arrays().values()))
    assert max(sizes) <= (24 + 32) * (ROWS + 1) + 100


def test_a_million_batches_take_less_than_a_megabyte_of_memory():
    history = History()
    for batch in range(1, 10**6 + 1):
        history.add(entry(batch, 1 / batch, None if batch % 50 else 0.5))
    assert len(history) == 10**6
    assert len(pickle.dumps(history)) < 10**6  # all that it refers to


def test_nothing_else_in_a_run_grows_with_its_batches(monkeypatch, command_line, tmp_path):
    """All that follows a run takes less than 20 bytes a batch: of a million batches, less than 20 MB."""
    batches, peaks = 40_000, []

    def many(*arguments, **options):
        for batch in range(1, batches + 1):
            if batch == 2_000:  # all is loaded
                tracemalloc.start()
            yield entry(batch, 0.5, 0.5 if batch in (1, batches) else None, batches)
        peaks.append(tracemalloc.get_traced_memory()[1])

    monkeypatch.setattr(training, "train", many)
    try:
        code, _, _ = command_line(
            *XOR, "--epochs", str(batches), "--every", str(batches), "--checkpoint", tmp_path / "net", "--json"
        )
    finally:
        tracemalloc.stop()
    assert code == 0
    assert peaks[0] < 20 * (batches - 2_000)


def test_an_error_beyond_the_largest_number_is_no_number_in_json(monkeypatch, command_line):
    monkeypatch.setattr(training, "train", lambda *_, **__: iter([entry(1, np.inf, 0.5, 1)]))
    code, out, _ = command_line(*XOR, "--json")
    assert code == 0
    assert json.loads(out)["mean_error"] is None


# The curve


def drawn(run):
    """Return the lines and the band of a learning curve."""
    plots = pytest.importorskip("edcore.plots")
    axes = plots.learning_curve(run).axes
    band = axes[0].collections[0].get_paths()[0].vertices
    return axes[0].lines[0], band, axes[1].lines[0]


@pytest.fixture(scope="module", params=[10_000, 100_003])
def curves(request):
    pytest.importorskip("matplotlib")
    errors = errors_of(request.param)
    errors[request.param // 3] = 3.0  # one that stands out
    run = list(run_of(errors, eval_every=500))
    return errors, drawn(run), drawn(History.of(run))


def test_the_smooth_error_agrees_with_that_of_all_batches(curves):
    errors, (whole, _, _), (thinned, _, _) = curves
    np.testing.assert_allclose(thinned.get_xdata(), whole.get_xdata(), rtol=1e-12)
    assert thinned.get_label() == whole.get_label() == f"mean over {2 * (len(errors) // 100) + 1:,} batches"
    # Only within the blocks at both ends of the mean does the history not know which error is whose.
    block = History.of(run_of(errors)).block
    assert abs(thinned.get_ydata() - whole.get_ydata()).max() < block * 0.5 / (len(errors) // 50)


def test_each_point_of_the_band_is_the_least_and_the_largest_error_of_its_batches(curves):
    errors, _, (_, band, _) = curves
    x = np.unique(band[:, 0])
    assert len(x) > ROWS // 2
    assert x[0] == 1
    starts = x.round().astype(int) - 1
    for values in (np.minimum.reduceat(errors, starts), np.maximum.reduceat(errors, starts)):
        assert {(place, value) for place, value in zip(x, values, strict=True)} <= {tuple(row) for row in band.tolist()}
    assert band[:, 1].max() == 3.0


def test_the_band_covers_what_that_of_all_batches_does(curves):
    _, (_, whole, _), (_, thinned, _) = curves
    assert abs(len(np.unique(whole[:, 0])) / len(np.unique(thinned[:, 0]))) < 2
    assert [thinned[:, 1].min(), thinned[:, 1].max()] == [whole[:, 1].min(), whole[:, 1].max()]


def test_accuracies_are_drawn_where_they_were_measured(curves):
    _, (_, _, whole), (_, _, thinned) = curves
    assert set(map(tuple, thinned.get_xydata())) == set(map(tuple, whole.get_xydata()))


@pytest.mark.parametrize("n", [500, 5_000])
def test_a_history_that_begins_with_a_resumed_run_is_drawn_where_it_was(n):
    pytest.importorskip("matplotlib")
    plots = pytest.importorskip("edcore.plots")
    run = list(run_of(errors_of(60_000 + n)))[60_000:]
    lines = [plots.learning_curve(given).axes[0].lines[-1].get_xdata() for given in (run, History.of(run))]
    np.testing.assert_allclose(lines[1], lines[0], rtol=1e-12)
    assert lines[1][[0, -1]].tolist() == [60_001, 60_000 + n]


def test_the_report_and_the_picture_say_the_same_of_a_history():
    pytest.importorskip("matplotlib")
    from edcore.plots import report

    data = datasets.xor()
    ed = ED(2, 2, 0, rule="split", seed=1, backend="numpy")
    run = list(training.train(ed, data, epochs=800, batch_size=1, eval_every=300))

    pages = [report.html(ed, data, given, setting={}, command="") for given in (run, History.of(run))]
    texts = [[part.partition('"')[0] for part in page.split('alt="')[1:]] for page in pages]
    assert texts[0] == texts[1]
    assert f"The error goes from {run[0].error:.4f} to {run[-1].error:.4f} in 3,200 batches." in texts[0][0]
    facts = [page.partition("<table")[2].partition("</table>")[0] for page in pages]
    assert facts[0] == facts[1]
    assert "of the last 200 batches before it" in facts[0]


# Files


def again(history):
    """Return a history as it is after it has been written and read."""
    return History.from_arrays(
        history.to_arrays(),
        len(history),
        lambda batch, error, seconds, accuracy: Progress(1, batch, 10**6, batch, error, seconds, accuracy),
    )


@pytest.mark.parametrize(
    ("eval_every", "probabilities"), [(1, True), (7, False), (7, True), (100, True), (10**9, False)]
)
def test_a_history_that_is_written_and_read_goes_on_to_the_same_bits(eval_every, probabilities):
    run = list(run_of(errors_of(9_000), eval_every, probabilities=probabilities))
    whole = History.of(run)
    for cut in (0, 1, 700, ROWS, ROWS + 1, 2_100, 4 * ROWS, 4 * ROWS + 1, 8_400, 9_000):
        parts = again(History.of(run[:cut]))
        assert len(parts) == cut
        for progress in run[cut:]:
            parts.add(progress)
        same(parts.to_arrays(), whole.to_arrays())
        for name in ("block", "evaluations", "latest", "first_error", "mean_error", "averaged"):
            assert getattr(parts, name) == getattr(whole, name), (cut, name)


def test_bits_are_in_a_file_only_if_some_were_measured():
    with_some = [entry(1, 0.5, 0.5, bits=2.0), entry(2, 0.4, 0.5), entry(3, 0.4, 0.6, bits=1.5)]
    assert again(History.of(with_some)).evaluations == with_some
    assert "run.bits" not in History.of(run_of(errors_of(100))).to_arrays()
    for wrong in (np.array([1.0]), np.array([1.0, np.inf, 1.0]), np.array([1, 1, 1])):
        arrays = {**History.of(with_some).to_arrays(), "run.bits": wrong}
        with pytest.raises(ValueError, match="float64|infinite"):
            History.from_arrays(arrays, 3, lambda batch, error, _, accuracy: entry(batch, error, accuracy))


def kept(file):
    arrays = safetensors.numpy.load_file(file)
    del arrays["run.seconds"]
    return arrays


class StoppedError(Exception):
    """Stands for whatever ends a program in the middle of it."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A long run without a stop: its file, and its summary."""
    folder = tmp_path_factory.mktemp("whole")
    with contextlib.redirect_stdout(text.StringIO()) as out, pytest.raises(SystemExit) as end:
        cli.main([*LONG, "--checkpoint", str(folder / "net"), "--json"])
    assert not end.value.code
    return folder / "net", json.loads(out.getvalue().splitlines()[-1])


@pytest.mark.parametrize("batches", [300, 1_300, 3_100])
def test_a_long_run_goes_on_to_the_same_bits(batches, whole, command_line, monkeypatch, tmp_path):
    calls, step = itertools.count(), ED.step

    def stopping(*arguments):
        if next(calls) == batches:
            raise StoppedError
        return step(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(ED, "step", stopping)
        with pytest.raises(StoppedError):
            cli.main([*LONG, "--checkpoint", str(tmp_path / "net")])
    assert io.inspect(tmp_path / "net").run["batch"] == batches - batches % 250
    code, out, _ = command_line("train", "--resume", tmp_path / "net", "--json")
    assert code == 0
    same(kept(tmp_path / "net"), kept(whole[0]))
    found = json.loads(out.splitlines()[-1])
    assert {**found, "seconds": 0} == {**whole[1], "seconds": 0}


def test_a_long_checkpoint_of_version_0_1_goes_on_to_the_same_bits(whole, command_line, monkeypatch, tmp_path):
    """It had three numbers for each batch, however many there were."""
    found, file, real = [], tmp_path / "net", training.train

    def recorded(*arguments, **options):
        for progress in real(*arguments, **options):
            found.append(progress)
            yield progress

    monkeypatch.setattr(training, "train", recorded)
    assert command_line(*override(*LONG, "--epochs", "500", "--checkpoint", file))[0] == 0
    with container.open_container(file) as opened:
        document = opened.document
    arrays = {key: array for key, array in safetensors.numpy.load_file(file).items() if not key.startswith("run.")}
    accuracy = [np.nan if progress.accuracy is None else progress.accuracy for progress in found]
    accuracy[-1] = np.nan  # it ends where the other run does not look
    arrays |= {
        "run.error": np.array([progress.error for progress in found]),
        "run.seconds": np.array([progress.seconds for progress in found]),
        "run.accuracy": np.array(accuracy),
    }
    file.write_bytes(container.pack(document, arrays))
    assert command_line("train", "--resume", file, "--epochs", "800")[0] == 0
    same(kept(file), kept(whole[0]))


@pytest.mark.parametrize(
    ("key", "change", "named"),
    [
        ("run.curve", lambda array: array[:-1], "float64[800, 3]"),
        ("run.curve", lambda array: array.astype(np.float32), "float32"),
        ("run.evaluations", lambda array: array[::-1], "order"),
        ("run.evaluations", lambda array: array * np.nan, "order"),
        ("run.evaluations", lambda array: array[:, :2], "float64"),
        ("run.evaluations", lambda array: array[0, 0].reshape(()), "float64"),
        ("run.seconds", lambda array: array[1:], "float64"),
        ("run.latest", lambda array: array + np.inf, "order"),
        ("run.latest", lambda array: array * [1, 1, np.nan, 1, 1], "NaN"),
        ("run.seconds", lambda array: np.append(array[:-1], np.inf), "NaN"),
        ("run.latest", lambda array: None, "lacks run.latest"),
        ("run.curve", lambda array: None, "lacks run.error"),
    ],
)
def test_a_history_that_was_changed_is_refused(key, change, named, whole, command_line, tmp_path):
    file = tmp_path / "net"
    with container.open_container(whole[0]) as opened:
        document = opened.document
    arrays = safetensors.numpy.load_file(whole[0])
    changed = change(arrays.pop(key))
    file.write_bytes(container.pack(document, arrays if changed is None else {**arrays, key: changed}))
    code, _, err = command_line("train", "--resume", file)
    assert code == 2
    assert "damaged or changed" in err
    assert named in err


def test_a_program_goes_on_after_the_latest_batch_alone():
    data = datasets.xor()
    networks = [ED(2, 2, 0, rule="split", seed=1, backend="numpy") for _ in range(2)]
    whole = list(training.train(networks[0], data, epochs=6, batch_size=1))
    first = list(itertools.islice(training.train(networks[1], data, epochs=6, batch_size=1), 10))
    rest = list(training.train(networks[1], data, epochs=6, batch_size=1, learnt=first[-1:]))
    assert [(entry.batch, entry.samples, entry.error) for entry in first + rest] == [
        (entry.batch, entry.samples, entry.error) for entry in whole
    ]


@pytest.mark.parametrize(
    "wrong", [[1], "x", 3, Progress(1, 1, 1, 1, 0.0, 0.0, None), iter([]), [streaming.Progress(1, 1, 2)]]
)
def test_other_things_than_progress_are_refused(wrong):
    data = datasets.xor()
    with pytest.raises(InputError, match="^learnt: given"):
        train(ED(2, hidden_width=2, hidden_depth=0, seed=1), data, learnt=wrong)


@pytest.mark.parametrize("batches", ["x", -1, 1.5])
def test_a_number_of_batches_that_a_history_cannot_have(batches):
    data = datasets.xor()
    history = History.of(train(ED(2, hidden_width=2, hidden_depth=0, seed=1), data, epochs=3, batch_size=4))
    with pytest.raises(InputError, match="^batches: given"):
        history.set_batches(batches)
    with pytest.raises(InputError, match="^run: given 3"):
        History.of(3)


def test_labels_that_change_during_training_are_those_of_its_begin():
    def run(change):
        xor = datasets.xor()
        data = datasets.Dataset("mine", xor.x_train, xor.y_train.copy(), xor.x_test, xor.y_test.copy(), (0, 1))
        found = []
        for progress in train(
            ED(2, hidden_width=4, hidden_depth=0, seed=1), data, epochs=9, batch_size=4, eval_every=1
        ):
            found.append((progress.error, progress.accuracy))
            if change:
                data.y_train[:], data.y_test[:] = 1 - xor.y_train, 7
        return found

    assert run(change=True) == run(change=False)
