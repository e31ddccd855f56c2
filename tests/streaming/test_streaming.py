"""Arrays larger than memory: the same bits as `ED.fit`, in memory that does not grow, and no thread stays."""

import itertools
import math
import mmap
import os
import shutil
import signal
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edcore import ED, streaming
from edcore.core.network import Network
from edcore.diagnostics import diagnose
from edcore.errors import DataFileError, InputError, OutOfMemoryError
from edcore.parallel import fit_heads
from edcore.streaming.pieces import Source, piece_bounds, read_blocks

N, FEATURES = 530, 6
X = np.random.default_rng(0).random((N, FEATURES)).astype(np.float32)
Y = np.random.default_rng(1).random(N).astype(np.float32)
SMALL = {"batch_size": 16, "buffer_size": 100}


def network(**options):
    return ED(hidden_width=4, hidden_depth=1, seed=3, **{"backend": "numpy", **options})


def bits(ed):
    return {key: value.tobytes() for key, value in ed.weights.items()}


def memmap(folder, array):
    array.tofile(folder / "array")
    return np.memmap(folder / "array", array.dtype, "r", shape=array.shape)


def zarr(folder, array, **options):
    made = pytest.importorskip("zarr").create_array(
        folder / "array.zarr", shape=array.shape, chunks=(40, *array.shape[1:]), dtype=array.dtype, **options
    )
    made[:] = array
    return made


def zarr_shards(folder, array):
    return zarr(folder, array, shards=(120, *array.shape[1:]))


def h5py(folder, array):
    file = pytest.importorskip("h5py").File(folder / "array.h5", "w")
    return file.create_dataset("array", data=array, chunks=(30, *array.shape[1:]))


def dask(folder, array):
    return pytest.importorskip("dask.array").from_array(array, chunks=((7, 0, 193, 300, 30), *array.shape[1:]))


KINDS = pytest.mark.parametrize("stored", [memmap, zarr, zarr_shards, h5py, dask])


class Watched:
    """An array that calls a function with each slice that is read."""

    def __init__(self, array, called):
        self.array, self.called, self.shape, self.dtype = array, called, array.shape, array.dtype

    def __getitem__(self, rows):
        self.called(rows)
        return self.array[rows]


class Chunked(Watched):
    def __init__(self, array, rows, called=lambda rows: None):
        super().__init__(array, called)
        self.chunks = (rows, *array.shape[1:])


@KINDS
@pytest.mark.parametrize("prefetch", [0, 2])
def test_unshuffled_it_is_fit_to_the_bit(tmp_path, stored, prefetch):
    x = stored(tmp_path, X)
    streamed = streaming.fit(network(), x, Y, epochs=2, shuffle=False, prefetch=prefetch, **SMALL)
    assert bits(streamed) == bits(network().fit(X, Y, epochs=2, batch_size=16, shuffle=False))


@pytest.mark.parametrize("backend", ["numba", "torch", "jax"])
def test_unshuffled_it_is_fit_to_the_bit_elsewhere(tmp_path, fresh_registry, backend):
    if not any(status.name == backend and status.ready for status in fresh_registry.list_backends()):
        pytest.skip(f"{backend} is not ready here")
    streamed = streaming.fit(network(backend=backend), memmap(tmp_path, X), Y, shuffle=False, **SMALL)
    assert bits(streamed) == bits(network(backend=backend).fit(X, Y, batch_size=16, shuffle=False))


def test_under_an_online_rule_as_well():
    options = {"rule": "kaneko", "hidden_depth": 0}
    streamed = streaming.fit(ED(hidden_width=4, seed=3, **options), X, Y, shuffle=False, **SMALL)
    assert bits(streamed) == bits(ED(hidden_width=4, seed=3, **options).fit(X, Y, batch_size=16, shuffle=False))


def test_one_buffer_is_shuffled_as_fit_does():
    streamed = streaming.fit(network(), Chunked(X, 40), Y, epochs=3, batch_size=16)
    assert bits(streamed) == bits(network().fit(X, Y, epochs=3, batch_size=16))


def test_prefetch_changes_no_bit():
    one, two, three = (
        bits(streaming.fit(network(), Chunked(X, 40), Y, epochs=2, prefetch=prefetch, **SMALL))
        for prefetch in (0, 1, 5)
    )
    assert one == two == three != bits(network().fit(X, Y, epochs=2, batch_size=16))


def visits(array, most, **options):
    """Return the blocks of an epoch over an array whose rows are their numbers."""
    numbers = np.arange(len(array.array), dtype=np.float64)
    x = type(array)(numbers[:, None], array.chunks[0])
    read = read_blocks(
        Source(x, -numbers, None, None), Network(1, output_activation="linear"), piece_bounds(x, most), most, **options
    )
    for block in read:
        assert (block.target == -block.x[:, 0]).all()
        yield block


@given(st.data())
def test_each_row_is_visited_once_in_whole_batches(data):
    n, chunk = data.draw(st.integers(1, 300)), data.draw(st.integers(1, 80))
    most, batch_size = data.draw(st.integers(1, 100)), data.draw(st.integers(1, 40))
    learnt = data.draw(st.integers(0, (n - 1) // batch_size)) * batch_size
    array, shuffled = Chunked(np.zeros((n, 1)), chunk), (5, data.draw(st.integers(0, 3)))
    whole = list(visits(array, most, batch_size=batch_size, shuffled=shuffled))
    assert all(len(block.x) % batch_size == 0 for block in whole[:-1])
    assert [block.until for block in whole] == np.cumsum([len(block.x) for block in whole]).tolist()
    order = np.concatenate([block.x[:, 0] for block in whole])
    assert sorted(order) == list(range(n))
    rest = list(visits(array, most, batch_size=batch_size, shuffled=shuffled, learnt=learnt))
    assert np.concatenate([block.x[:, 0] for block in rest]).tolist() == order[learnt:].tolist()


def test_a_buffer_mixes_pieces_from_anywhere():
    array = Chunked(np.zeros((1000, 1)), 10)

    def order(seed, epoch):
        return np.concatenate([block.x[:, 0] for block in visits(array, 100, shuffled=(seed, epoch))])

    first = order(1, 0)
    assert (np.bincount(first[:100].astype(int) // 10, minlength=100) == 10).sum() == 10  # ten whole pieces
    assert np.ptp(first[:100]) > 500
    assert (np.diff(first) == 1).mean() < 0.1
    assert (first == order(1, 0)).all()
    for other in (order(1, 1), order(2, 0)):
        assert (first == other).mean() < 0.05


@pytest.mark.parametrize(
    ("chunk", "sizes"),
    [(400, [400, 130]), (3000, [530]), (40, [40] * 13 + [10]), (2, [6] * 88 + [2])],  # small ones are read together
)
def test_pieces_end_where_chunks_end(chunk, sizes):
    assert np.diff(piece_bounds(Chunked(X, chunk), 100)).tolist() == sizes


@pytest.mark.parametrize(
    ("most", "starts"), [(10**6, [0, 530]), (3200, [0, 200, 500, 530]), (1, [0, 7, 200, 500, 530])]
)
def test_pieces_of_uneven_chunks(tmp_path, most, starts):
    assert piece_bounds(dask(tmp_path, X), most).tolist() == starts


def test_large_rows_are_pieces_of_their_own():
    large = np.broadcast_to(np.float32(0), (4, 2**18))
    assert piece_bounds(large, 100).tolist() == [0, 1, 2, 3, 4]


def test_epochs_are_passes_over_all_samples():
    ed = network(heads=2)
    streaming.fit(ed, X, np.stack([Y, Y], axis=1), epochs=2, **SMALL)
    assert ed.epochs.tolist() == [2, 2]
    streaming.fit(ed, X, np.stack([Y, Y], axis=1), epochs=0)
    assert ed.epochs.tolist() == [2, 2]


def test_two_calls_are_one_of_more_epochs():
    two = network()
    for _ in range(2):
        streaming.fit(two, X, Y, **SMALL)
    assert bits(two) == bits(streaming.fit(network(), X, Y, epochs=2, **SMALL))


def test_progress():
    given = list(streaming.train(network(), X, Y, epochs=2, batch_size=16, buffer_size=200))
    assert given[:3] == [streaming.Progress(1, 12, 34), streaming.Progress(1, 24, 34), streaming.Progress(1, 34, 34)]
    assert [progress.epoch for progress in given] == [1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize("learnt", range(1, 7))
def test_it_goes_on_after_any_block(learnt):
    whole = bits(streaming.fit(network(), Chunked(X, 40), Y, epochs=2, batch_size=16, buffer_size=200))
    ed, read = network(), []
    run = streaming.train(ed, Chunked(X, 40), Y, epochs=2, batch_size=16, buffer_size=200)
    *_, progress = itertools.islice(run, learnt)
    run.close()
    other = ED.from_network(ed.network, ed.rule, seed=ed.seed, weights=ed.weights, epochs=ed.epochs, backend="numpy")
    left = 2 - int(ed.epochs.max())
    x = Chunked(X, 40, read.append)
    list(streaming.train(other, x, Y, epochs=left, batch_size=16, buffer_size=200, after=progress))
    assert bits(other) == whole
    assert other.epochs.tolist() == [2]
    assert sum(rows.stop - rows.start for rows in read) <= 1 + N * left - (learnt % 3 > 1) * 150  # a buffer is skipped


@pytest.mark.parametrize(
    "after", [streaming.Progress(1, 3, 33), streaming.Progress(2, 3, 34), streaming.Progress(1, 34, 34), 5]
)
def test_a_progress_of_another_run_is_refused(after):
    with pytest.raises(InputError, match=r"^after: given .* 0 epochs of 34 batches\."):
        streaming.train(network(), X, Y, batch_size=16, after=after)


def test_transforms():
    images = np.random.default_rng(2).integers(0, 256, (300, 2, 3), dtype=np.uint8)
    labels = np.arange(300, dtype=np.int8) % 3
    ed = streaming.fit(
        network(heads=3),
        images,
        labels,
        shuffle=False,
        transform=lambda rows: rows.reshape(len(rows), -1) / 255,
        target_transform=lambda rows: np.eye(3)[rows],
        **SMALL,
    )
    x, target = images.reshape(300, -1) / 255, np.eye(3)[labels]
    assert bits(ed) == bits(network(heads=3).fit(x, target, batch_size=16, shuffle=False))


def test_a_transform_cannot_write_to_the_file(tmp_path):
    x = np.memmap(tmp_path / "x", np.float32, "w+", shape=X.shape)
    x[:] = X

    def halved(rows):
        rows /= 2
        return rows

    with pytest.raises(ValueError, match="read-only") as caught:
        streaming.fit(network(), x, Y, transform=halved)
    assert caught.value.__notes__ == ["edcore: raised by the transform of x[0:1], of shape (1, 6) and dtype float32"]
    assert (x == X).all()


@pytest.mark.parametrize(
    ("x", "target", "options", "sentence"),
    [
        (X, Y[:-1], {}, r"target: given 529 rows; accepted: 530, "),
        (
            X.reshape(N, 2, 3),
            Y,
            {},
            r"x: given shape \(530, 2, 3\); accepted: shape \(samples, in_\). .* transform=",
        ),
        (X, Y[:, None], {}, r"target: given shape \(530, 1\); accepted: shape \(530,\). .* target_transform="),
        (X[:0], Y[:0], {}, r"x: given shape \(0, 6\); accepted: .* one row."),
        (X.tolist(), Y, {}, "x: given list; accepted: an array "),
        (X, None, {}, "target: given NoneType; accepted: an array"),
        (X, Y, {"epochs": -1}, "epochs: given -1"),
        (X, Y, {"batch_size": 0}, "batch_size: given 0"),
        (X, Y, {"buffer_size": 0}, "buffer_size: given 0"),
        (X, Y, {"prefetch": None}, "prefetch: given None"),
        (X, Y, {"shuffle": 1}, "shuffle: given 1"),
        (X.astype(str), Y, {}, "x: given dtype <U"),
        (X, Y, {"target_transform": lambda rows: rows + 1}, r"target\[0:1\]: given values from 1\."),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_learnt(x, target, options, sentence):
    ed = network(in_=FEATURES)
    before = bits(ed)
    with pytest.raises(InputError, match=sentence):
        streaming.train(ed, x, target, **options)
    assert bits(ed) == before


def test_other_features_and_columns_are_refused():
    with pytest.raises(InputError, match=r"x: given shape \(1, 6\); accepted: shape \(batch, 5\)"):
        streaming.fit(network(in_=5), X, Y)
    with pytest.raises(InputError, match=r"shape \(530, 3\). .* target_transform=lambda rows: numpy.eye\(3\)"):
        streaming.fit(network(heads=3), X, Y)
    with pytest.raises(InputError, match=r"ed: given ndarray; accepted: an edcore.ED"):
        streaming.fit(X, X, Y)


def spoilt(array, value):
    array = array.copy()
    array[317] = value
    return array


@pytest.mark.parametrize(
    ("x", "target", "sentence"),
    [
        (spoilt(X, math.nan), Y, r"x\[312:318\]: given 6 NaN or infinite values, the first at \[5, 0\]"),
        (spoilt(X.astype(float), 1e300), Y, r"x\[312:318\]: given values too large for float32"),
        (X, spoilt(Y, 3), r"target\[312:318\]: given values from .* to 3.0; accepted: 0 to 1"),
    ],
)
@pytest.mark.parametrize("prefetch", [0, 1, 5])
def test_a_bad_part_is_named_and_the_network_keeps_what_it_learnt_before(x, target, sentence, prefetch):
    ed = network()
    with pytest.raises(InputError, match=sentence) as caught:
        streaming.fit(ed, x, target, shuffle=False, prefetch=prefetch, **SMALL)
    (note,) = caught.value.__notes__
    assert note.endswith("(Progress(epoch=1, batch=18, batches=34)).")
    assert bits(ed) == bits(network().fit(X[:288], Y[:288], batch_size=16, shuffle=False))
    assert ed.epochs.tolist() == [0]


def test_a_transform_that_loses_rows_is_refused():
    with pytest.raises(InputError, match=r"x\[0:6\]: given shape \(5, 6\); accepted: shape \(6, 6\)"):
        streaming.fit(network(), X, Y, transform=lambda rows: rows[: max(1, len(rows) - 1)], shuffle=False, **SMALL)


def test_a_masked_dask_array_is_refused(tmp_path):
    masked = pytest.importorskip("dask.array").from_array(np.ma.masked_greater(X, 0.5), chunks=100)
    with pytest.raises(InputError, match="a masked array"):
        streaming.fit(network(), masked, Y)


def test_unknown_chunks_are_refused(tmp_path):
    x = dask(tmp_path, X)
    with pytest.raises(InputError, match=r"x: given .* shape \(nan, 6\); .* x.compute_chunk_sizes\(\)"):
        streaming.fit(network(), x[x[:, 0] > 0.5], Y)


def test_a_file_that_was_cut(tmp_path):
    x = memmap(tmp_path, X)
    os.truncate(tmp_path / "array", 4096)
    for array in (x, x[3:], np.asarray(x)):
        with pytest.raises(DataFileError, match="^x: .* 4,096 bytes.* 12,720 "):
            streaming.fit(network(), array, Y[: len(array)])


def test_memory_that_is_mapped_without_a_file():
    shared = np.ndarray(X.shape, X.dtype, mmap.mmap(-1, X.nbytes))
    shared[:] = X
    assert bits(streaming.fit(network(), shared, Y, **SMALL)) == bits(streaming.fit(network(), X, Y, **SMALL))


def test_a_chunk_that_was_cut(tmp_path):
    x = zarr(tmp_path, X, compressors=None)
    chunk = max((path for path in (tmp_path / "array.zarr").rglob("*") if path.is_file()), key=lambda path: path.name)
    os.truncate(tmp_path / "array.zarr" / "c" / "8" / "0", 100)
    assert chunk.exists()
    with pytest.raises(DataFileError, match=r"x\[\d+:\d+\]: it cannot be read \("):
        streaming.fit(network(), x, Y, **SMALL)


def test_a_missing_chunk_is_warned_of(tmp_path):
    x = zarr(tmp_path, X)
    (tmp_path / "array.zarr" / "c" / "8" / "0").unlink()
    with pytest.warns(UserWarning, match="^x: 1 of 14 chunks .*fill_value"):
        streaming.fit(network(), x, Y, **SMALL)


def test_a_missing_chunk_of_nan_is_refused(tmp_path):
    x = zarr(tmp_path, X, fill_value=math.nan)
    (tmp_path / "array.zarr" / "c" / "8" / "0").unlink()
    with pytest.warns(UserWarning, match="1 of 14"), pytest.raises(InputError, match=r"x\[\d+:\d+\]: given 240 NaN"):
        streaming.fit(network(), x, Y, **SMALL)


def test_a_file_that_was_closed(tmp_path):
    x = h5py(tmp_path, X)
    x.file.close()
    with pytest.raises(DataFileError, match="x: it cannot be read"):
        streaming.fit(network(), x, Y)


def failing(at, error):
    def called(rows):
        if rows.stop >= at:
            raise error

    return Chunked(X, 40, called)


def test_an_error_of_a_library_names_the_rows():
    with pytest.raises(DataFileError, match=r"x\[280:320\]: it cannot be read \(RuntimeError: no server\)") as caught:
        streaming.fit(network(), failing(300, RuntimeError("no server")), Y, shuffle=False, **SMALL)
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_too_little_memory_is_named():
    with pytest.raises(OutOfMemoryError, match=r"x\[280:320\]: 40 rows .*buffer_size"):
        streaming.fit(network(), failing(300, MemoryError()), Y, shuffle=False, **SMALL)


def reading():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("edcore-read")]


def test_no_thread_is_left():
    streaming.fit(network(), X, Y, **SMALL)
    assert not reading()
    run = streaming.train(network(), X, Y, **SMALL)
    next(run)
    assert reading()
    run.close()
    assert not reading()
    with pytest.raises(InputError):
        streaming.fit(network(), spoilt(X, math.inf), Y, **SMALL)
    assert not reading()


def test_ctrl_c_stops_both():
    """The signal comes from the reading thread, while the main one learns or waits."""
    main = threading.main_thread().ident

    def called(rows):
        if rows.stop == 400:
            signal.pthread_kill(main, signal.SIGINT)

    ed, given = network(), []
    with pytest.raises(KeyboardInterrupt):
        given.extend(streaming.train(ed, Chunked(X, 100, called), Y, shuffle=False, **SMALL))
    assert not reading()
    assert ed.epochs.tolist() == [0]
    learnt = [
        bits(network(in_=FEATURES)),
        *(bits(network().fit(X[:n], Y[:n], batch_size=16, shuffle=False)) for n in (96, 192, 288, 384)),
    ]
    assert bits(ed) in learnt[len(given) : len(given) + 2]


def peak(n, learn):
    """Return the most memory that was allocated while rows with no storage of their own were learnt."""
    x = np.broadcast_to(np.float32(0.5), (n, 500))
    target = np.broadcast_to(np.float32(0.5), n)
    ed = network(in_=500)
    tracemalloc.start()
    try:
        learn(ed, x, target)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("prefetch", [0, 2])
def test_memory_does_not_grow_with_the_data(prefetch):
    rows = 2048
    buffer = rows * 500 * 4

    def streamed(ed, x, target):
        streaming.fit(ed, x, target, batch_size=32, buffer_size=rows, prefetch=prefetch)

    small, large = peak(4 * rows, streamed), peak(16 * rows, streamed)
    assert large < small + buffer / 4
    assert large < (prefetch + 2.5) * buffer  # the one that is learnt, with the backend's copy, and those ahead


def test_memory_of_fit_does_grow():
    small, large = (peak(rows, lambda ed, x, target: ed.fit(x, target)) for rows in (4096, 16384))
    assert large > 3 * small


@KINDS
@pytest.mark.parametrize("heads", [1, 3])
def test_predict(tmp_path, stored, heads):
    ed = network(in_=FEATURES, heads=heads)
    shape = (N,) if heads == 1 else (N, heads)
    out = np.memmap(tmp_path / "out", np.float32, "w+", shape=shape)
    streaming.predict(ed, stored(tmp_path, X), out, buffer_size=100)
    np.testing.assert_allclose(out, ed.predict(X), rtol=1e-6)


def test_predict_into_zarr(tmp_path):
    ed, out = network(in_=FEATURES), zarr(tmp_path, np.zeros(N, np.float32))
    streaming.predict(ed, X, out, buffer_size=100, transform=lambda rows: rows / 2)
    np.testing.assert_allclose(out[:], ed.predict(X / 2), rtol=1e-6)


@pytest.mark.parametrize(
    ("out", "given"), [(np.empty((N, 1)), r"shape \(530, 1\)"), (np.empty(3), r"shape \(3,\)"), (None, "NoneType")]
)
def test_predict_refuses_another_out(out, given):
    with pytest.raises(InputError, match=rf"out: given {given}; accepted: .*\(530,\).*float32"):
        streaming.predict(network(), X, out)


def go_through(run, then):
    """Call a function with the progress after each block."""
    for progress in run:
        then(progress)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("prefetch", [0, 2])
def test_chunks_that_are_lost_in_a_pass_are_not_learnt(tmp_path, zarr_format, prefetch):
    x, ed, learnt = zarr(tmp_path, X, zarr_format=zarr_format), network(), [0]

    def lose(progress):
        learnt.append(progress.batch * 16)
        if len(learnt) == 2:
            shutil.rmtree(tmp_path / "array.zarr")

    run = streaming.train(ed, x, Y, epochs=2, shuffle=False, prefetch=prefetch, **SMALL)
    # A reader ahead may be counting them while they go.
    told = (
        r"^x: (\d+ of the 14 chunks that were in its store are gone.* 0\.0\. Put|it cannot be read \(FileNotFoundError)"
    )
    with pytest.raises(DataFileError, match=told):
        go_through(run, lose)
    assert learnt[1] == 80
    assert bits(ed) == bits(network().fit(X[: learnt[-1]], Y[: learnt[-1]], batch_size=16, shuffle=False))


def test_a_chunk_that_is_lost_between_two_passes_is_not_learnt(tmp_path):
    target, ed = zarr(tmp_path, Y), network()

    def lose(progress):
        if progress.batch == progress.batches:
            (tmp_path / "array.zarr" / "c" / "8").unlink()

    run = streaming.train(ed, X, target, epochs=2, prefetch=0, **SMALL)
    with pytest.raises(DataFileError, match="^target: 1 of the 14 chunks"):
        go_through(run, lose)
    assert bits(ed) == bits(streaming.fit(network(), X, Y, **SMALL))


def test_chunks_of_fill_values_that_were_never_there_are_learnt(tmp_path):
    x = X.copy()
    x[80:160] = 0
    with pytest.warns(UserWarning, match="^x: 2 of 14 chunks"):
        ed = streaming.fit(network(), zarr(tmp_path, x), Y, epochs=2, shuffle=False, **SMALL)
    assert bits(ed) == bits(network().fit(x, Y, epochs=2, batch_size=16, shuffle=False))


def changed_at_second_read(array, change):
    """Return an array that `change` spoils in place once a row has been read twice."""
    seen = [0]

    def called(rows):
        seen[0] += rows.stop == len(array)
        if seen[0] == 2 and rows.stop > 300:
            change(array)

    return Chunked(array, 40, called)


@pytest.mark.parametrize(
    ("x", "target", "sentence"),
    [
        (lambda rows: rows.__setitem__(529, math.nan), None, r"x\[520:530\]: given 6 NaN"),
        (None, lambda rows: rows.__setitem__(529, -1), r"target\[\d+:530\]: given values from -1"),
        (lambda rows: rows.resize((1060, 3), refcheck=False), None, r"x\[\d+:\d+\]: given shape \(\d+, 3\)"),
    ],
)
def test_data_that_change_in_a_later_pass_are_checked_again(x, target, sentence):
    x = changed_at_second_read(X.copy(), x) if x else Chunked(X, 40)
    target = changed_at_second_read(Y.copy(), target) if target else Y
    with pytest.raises((InputError, DataFileError), match=sentence):
        streaming.fit(network(), x, target, epochs=3, shuffle=False, prefetch=0, **SMALL)


def test_a_file_that_is_cut_or_replaced_in_a_pass(tmp_path):
    x, ed = memmap(tmp_path, X), network()
    run = streaming.train(ed, x, Y, shuffle=False, prefetch=0, **SMALL)
    with pytest.raises(DataFileError, match="^x: its file has 4,096 bytes"):
        go_through(run, lambda progress: os.truncate(tmp_path / "array", 4096))
    assert bits(ed) == bits(network().fit(X[:96], Y[:96], batch_size=16, shuffle=False))
    np.save(tmp_path / "x.npy", X)
    ed, x = network(), np.load(tmp_path / "x.npy", mmap_mode="r")
    for _ in streaming.train(ed, x, Y, shuffle=False, prefetch=0, **SMALL):
        np.save(tmp_path / "new.npy", X * 0)
        os.replace(tmp_path / "new.npy", tmp_path / "x.npy")  # what is mapped stays
    assert bits(ed) == bits(network().fit(X, Y, batch_size=16, shuffle=False))


def test_an_h5py_dataset_that_shrinks_in_a_pass(tmp_path):
    file = pytest.importorskip("h5py").File(tmp_path / "array.h5", "w")
    x = file.create_dataset("array", data=X, chunks=(30, FEATURES), maxshape=(None, FEATURES))
    run = streaming.train(network(), x, Y, shuffle=False, prefetch=0, **SMALL)
    with pytest.raises(DataFileError, match=r"x\[\d+:\d+\]: given an array of shape .* expected"):
        go_through(run, lambda progress: x.resize(200, axis=0))


def test_a_block_that_was_read_ahead_is_not_the_users_memory():
    x, ed, read = X.copy(), network(), threading.Event()
    called = Chunked(x, 40, lambda rows: rows.stop == N and read.set())

    def spoil(progress):
        read.wait()  # nine buffers are more than there are
        x[:] = 0

    go_through(streaming.train(ed, called, Y, shuffle=False, prefetch=9, **SMALL), spoil)
    assert bits(ed) == bits(network().fit(X, Y, batch_size=16, shuffle=False))


def test_a_series_is_read_by_its_places():
    y = pytest.importorskip("pandas").Series(Y, index=np.arange(N)[::-1] + 0.0)
    assert bits(streaming.fit(network(), X, y, **SMALL)) == bits(streaming.fit(network(), X, Y, **SMALL))


READ_ONLY = np.zeros(N, np.float32)
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(
    ("out", "given"),
    [
        *((np.zeros(N, dtype), f"dtype {dtype}") for dtype in ("uint8", "int64", "bool", "complex64", "object")),
        (np.zeros(N, "<U9"), "dtype <U9"),
        (np.zeros(N, "M8[s]"), "dtype datetime64"),
        (np.ma.zeros(N), "a masked array, shape"),
        (READ_ONLY, "a ndarray that cannot be written"),
    ],
)
def test_predict_refuses_an_out_that_cannot_take_the_outputs(out, given):
    before = out.copy()
    with pytest.raises(InputError, match=rf"^out: given {given}.*; accepted: an array of NumPy, Zarr or h5py"):
        streaming.predict(network(), X, out)
    assert (before == out).all()


def test_predict_refuses_an_out_of_a_library_that_it_cannot_write(tmp_path):
    h5py(tmp_path, np.zeros(N, np.float32)).file.close()
    with (
        pytest.importorskip("h5py").File(tmp_path / "array.h5") as file,
        pytest.raises(InputError, match=r"^out: given a Dataset that cannot be written"),
    ):
        streaming.predict(network(), X, file["array"])
    for library, words in (("torch", "Tensor; .*numpy"), ("jax.numpy", "that cannot be written")):
        with pytest.raises(InputError, match=rf"^out: given .*{words}"):
            streaming.predict(network(), X, pytest.importorskip(library).zeros(N))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", "longdouble"])
def test_predict_into_any_float(dtype):
    out, ed = np.zeros(2 * N, dtype)[::-2], network()
    streaming.predict(ed, X, out, buffer_size=100)
    np.testing.assert_array_equal(out, ed.predict(X).astype(dtype))


def test_predict_refuses_a_float_that_cannot_hold_an_output():
    ed = ED(in_=FEATURES, hidden_width=4, output_activation="linear", seed=0)
    ed.load_weights({key: value * 1e6 for key, value in ed.weights.items()})
    with pytest.raises(InputError, match="^out: given float16 for an output of size "):
        streaming.predict(ed, X, np.zeros(N, np.float16))


def test_predict_refuses_to_overwrite_x(tmp_path):
    table = np.concatenate([X, Y[:, None]], axis=1)
    whole = memmap(tmp_path, table)
    again = np.memmap(tmp_path / "array", np.float32, "r+", shape=table.shape)
    stored = h5py(tmp_path, X)
    for ed, x, out in (
        (network(), X, X[::-1, 0]),
        (network(heads=FEATURES), X, X),
        (network(heads=FEATURES), stored, stored.file["array"]),
        (network(heads=7), whole, again),
    ):
        before = np.array(x)
        with pytest.raises(InputError, match="^out: given memory that x uses too"):
            streaming.predict(ed, x, out)
        assert (np.array(x) == before).all()
    ed = network()
    streaming.predict(ed, table[:, :-1], table[:, -1])  # two columns of one table have no value in common
    np.testing.assert_array_equal(table[:, -1], ed.predict(X))


class Interrupted(ED):
    """A network whose second call of `fit` is interrupted, before it learns or when it has learnt."""

    def fit(self, *arguments, **options):
        self._calls = getattr(self, "_calls", 0) + 1
        if (self._calls, self._late) == (2, False):
            raise KeyboardInterrupt
        super().fit(*arguments, **options)
        if (self._calls, self._late) == (2, True):
            raise KeyboardInterrupt
        return self


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("rows", [8, 16])  # of 24 samples; the second block ends the pass, or does not
def test_an_interrupted_run_goes_on_to_the_same_bits(late, rows):
    x, target = np.random.default_rng(0).random((24, 3)), np.random.default_rng(1).random(24)
    options = {"epochs": 2, "batch_size": 4, "buffer_size": rows, "prefetch": 0}
    undisturbed = streaming.fit(ED(3, hidden_width=2, seed=1, backend="numpy"), x, target, **options)
    ed = Interrupted(3, hidden_width=2, seed=1, backend="numpy")
    ed._late, seen = late, []
    with pytest.raises(KeyboardInterrupt):
        seen.extend(streaming.train(ed, x, target, **options))
    assert len(seen) == 1 + late
    assert ed.epochs.tolist() == [int(seen[-1].batch == seen[-1].batches)]
    rest = options | {"epochs": 2 - int(ed.epochs[0])}
    seen.extend(streaming.train(ed, x, target, after=seen[-1], **rest))
    assert [(one.epoch, one.batch) for one in seen] == sorted({(one.epoch, one.batch) for one in seen})
    assert ed.epochs.tolist() == [2]
    for key, value in undisturbed.weights.items():
        np.testing.assert_array_equal(ed.weights[key], value)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda ed, x, y: streaming.train(ed, x, y[:2]),
        lambda ed, x, y: streaming.train(ed, x, y * 99),
        lambda ed, x, y: streaming.train(ed, x, y, batch_size=0),
        lambda ed, x, y: streaming.train(ed, x, y, after=3),
        lambda ed, x, y: streaming.train(ed, x, y, buffer_size=0),
        lambda ed, x, y: streaming.predict(ed, x, np.zeros(3)),
        lambda ed, x, y: streaming.predict(ed, x, np.zeros(5, int)),
    ],
)
def test_a_refused_call_does_not_bind_the_network(wrong):
    ed, x = ED(seed=1), np.random.default_rng(0).random((5, 3))
    with pytest.raises(InputError):
        wrong(ed, x, x[:, 0])
    assert not ed.is_bound
    assert ed.predict(x[:, :2]).shape == (5,)


def test_what_is_no_network_is_refused():
    x = np.zeros((5, 3))
    for wrong in ("x", None, ED):
        for call in (streaming.train, streaming.fit, fit_heads, diagnose):
            with pytest.raises(InputError, match="^ed: given"):
                call(wrong, x, x[:, 0])


def test_outputs_that_would_all_be_one_number_are_refused():
    x, ed = np.random.default_rng(0).random((50, 3)), ED(seed=1)
    one = np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), (50,), (0,))
    with pytest.raises(InputError, match="^out: given an array whose rows are one row"):
        streaming.predict(ed, x, one)


def test_transforms_that_are_none_or_end():
    x = np.random.default_rng(0).random((50, 3))
    for name in ("transform", "target_transform"):
        with pytest.raises(InputError, match=f"^{name}: given 3"):
            streaming.train(ED(seed=1), x, x[:, 0], **{name: 3})
    rest = iter([1])
    with pytest.raises(DataFileError, match=r"x\[0:50\].* StopIteration"):
        streaming.fit(ED(seed=1), x, x[:, 0], transform=lambda rows: rows * next(rest))
