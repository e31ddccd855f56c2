"""The PyTorch backend: CUDA graphs and streams, with stand-ins for a GPU; PyTorch's tensors and modes."""

import contextlib
import logging
from types import SimpleNamespace

import pytest

import edcore
from edcore import Network, Rule
from edcore.adapters import InPlaceBackend
from edcore.arrays import exact, namespace_of
from edcore.core.activations import ACTIVATIONS
from edcore.testing.compare import same_bits
from edcore.testing.strategies import drawn_case
from edcore_torch import BACKEND

torch = pytest.importorskip("torch")
TorchDispatchMode = pytest.importorskip("torch.utils._python_dispatch").TorchDispatchMode
CUDA = SimpleNamespace(type="cuda")


@pytest.fixture(autouse=True)
def unused_devices(monkeypatch):
    """Forget what backends share of a device."""
    from edcore_torch import operations

    monkeypatch.setattr(operations, "_shared", {})


def operations(device):
    from edcore_torch.operations import TorchOperations

    return TorchOperations(device)


@pytest.fixture
def recording(monkeypatch):
    """What happened to a stand-in for CUDA graphs, in order."""
    happened = []

    class Graph:
        def replay(self):
            happened.append("replayed")

    @contextlib.contextmanager
    def graph(made, stream, capture_error_mode):
        assert isinstance(made, Graph)
        assert stream == ("stream", CUDA)
        assert capture_error_mode == "thread_local"
        happened.append("recording")
        yield
        happened.append("recorded")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: ("stream", device))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: ("the user's", device))

    @contextlib.contextmanager
    def stream(before):
        yield
        happened.append(("restored", before))

    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    return happened


def test_work_is_recorded_at_the_second_time_and_replayed_from_then_on(recording):
    play = operations(CUDA).runner()
    for _ in range(3):
        play(lambda: recording.append("done"))
    restored = ("restored", ("the user's", CUDA))
    assert recording == ["done", "recording", "done", "recorded", restored, "replayed", "replayed"]


def test_work_that_cannot_be_recorded_is_done_anew(recording, monkeypatch, caplog):
    @contextlib.contextmanager
    def refuse(*arguments, **options):
        yield
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "graph", refuse)
    stream_in_use = []

    @contextlib.contextmanager
    def stream(before):
        stream_in_use.append("another")
        try:
            yield
        finally:
            stream_in_use.append(before)

    monkeypatch.setattr(torch.cuda, "stream", stream)
    play = operations(CUDA).runner()
    with caplog.at_level(logging.INFO, "edcore"):
        for _ in range(3):
            play(lambda: recording.append("done"))
    assert recording == ["done"] * 4  # once for the recording that failed
    assert stream_in_use == ["another", ("the user's", CUDA)]
    assert len(caplog.records) == 1
    assert "not recorded as a CUDA graph: operation not permitted" in caplog.text


def test_the_device_of_the_network_is_the_current_one(monkeypatch):
    entered = []

    @contextlib.contextmanager
    def device(which):
        entered.append(which)
        yield

    monkeypatch.setattr(torch.cuda, "device", device)
    with exact("torch", torch.device("cpu")):
        assert entered == []
    with exact("torch", torch.device("cuda:1")):
        assert entered == [torch.device("cuda:1")]


def test_on_the_cpu_nothing_is_recorded(recording):
    play = operations(torch.device("cpu")).runner()
    for _ in range(3):
        play(lambda: recording.append("done"))
    assert recording == ["done"] * 3


def test_a_new_stream_waits_for_the_one_before(monkeypatch):
    class Stream:
        def __init__(self):
            self.waited_for = []

        def wait_stream(self, other):
            self.waited_for.append(other)

    first, second = Stream(), Stream()
    in_use = iter([first, first, second, second])
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: next(in_use))
    for ops in [operations(CUDA), operations(CUDA)] * 2:
        with ops.computing():
            pass
    assert (first.waited_for, second.waited_for) == ([], [first])


def test_all_of_a_device_is_recorded_on_one_stream(recording, monkeypatch):
    made, other = [], SimpleNamespace(type="cuda", index=1)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: made.append(device) or ("stream", CUDA))
    for device in (CUDA, other, CUDA):
        for _ in range(2):
            play = operations(device).runner()
            play(lambda: None)
            play(lambda: None)
    assert made == [CUDA, other]
    assert recording.count("recorded") == 6


def watched_backend(scales_biases=False):
    """Return a backend on the CPU that scales biases as on a GPU if asked to, and a list of what its passes call."""
    called = []

    class Watched(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, arguments=(), options=None):
            called.append((function, arguments, options or {}))
            return function(*arguments, **(options or {}))

    def watched(work):
        with Watched():
            work()

    cpu = torch.device("cpu")
    ops = operations(cpu)
    ops.runner = lambda: watched
    if scales_biases:
        ops.scales_biases = operations(CUDA).scales_biases
    return InPlaceBackend(namespace_of(torch), cpu, BACKEND, ops), called


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("rms", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_all_that_is_recorded_writes_into_given_memory(activation, rms, heads):
    network = Network(3, 4, 2, heads, outputs=3, activation=activation, output_activation="relu6", rms=rms, bias=0.8)
    case = drawn_case(network, Rule(), batch=5, scale=0.3, seed=1)
    backend, called = watched_backend(scales_biases=True)
    weights = backend.from_host(case.weights)
    backend.forward(network, weights, case.x)
    backend.trace(network, weights, case.x)
    assert called
    new = {str(one) for one, _, _ in called if not one._schema.is_mutable and not one.is_view}
    assert not new, "a graph would have to hold what these make"


@pytest.mark.parametrize("fields", [{"u0": 0.7, "bias": 0.8, "n_bias": 2}, {"activation": "tanh"}])
def test_for_one_head_on_a_gpu_a_layer_is_a_product_that_adds_its_bias_and_an_activation(fields):
    network = Network(3, 4, 5, **fields)
    case = drawn_case(network, Rule(), batch=5, scale=0.3, seed=1)
    (backend, called), (plain, _) = watched_backend(scales_biases=True), watched_backend()
    weights, expected = backend.from_host(case.weights), plain.from_host(case.weights)
    for _ in range(2):
        called.clear()
        outputs, trace = backend.trace(network, weights, case.x)
        known, known_trace = plain.trace(network, expected, case.x)
        torch.testing.assert_close(outputs, known, rtol=1e-6, atol=1e-6)
        kernels = [one for one in called if not one[0].is_view]
        layers = network.depth + 2
        assert len(kernels) == 3 + 2 * layers  # the biases of three stacks are scaled first
        products = [one for one in kernels if one[0] is torch.ops.aten.addmm.out]
        assert len(products) == layers
        for _, (bias, *_), options in products:
            assert bias.ndim == 1
            assert bias.is_contiguous()
            assert options.get("beta", 1) == 1
        backend.update(network, case.rule, weights, trace, case.error)
        plain.update(network, case.rule, expected, known_trace, case.error)


def test_on_the_cpu_and_for_several_heads_biases_are_not_scaled_beforehand():
    assert [operations(CUDA).scales_biases(heads) for heads in (1, 2)] == [True, False]
    assert not operations(torch.device("cpu")).scales_biases(1)


def test_a_part_of_the_weights_that_is_no_view_is_an_error():
    ops = operations(torch.device("cpu"))
    weight = torch.zeros(2, 3, 4, 4)[:, ::2]
    with pytest.raises(RuntimeError, match="view"):
        ops.accumulate(torch.ones(2, 2, 5, 4), torch.ones(2, 2, 5, 4), None, weight)


def test_training_in_inference_mode_goes_on_outside_it():
    data = edcore.datasets.xor()
    ed, plain = (edcore.ED(2, hidden_width=8, rule="split", seed=1, backend="torch") for _ in range(2))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        ed.step(data.x_train, data.y_train)
    ed.step(data.x_train, data.y_train)
    for _ in range(2):
        plain.step(data.x_train, data.y_train)
    same_bits(ed.weights, plain.weights, "of training in inference mode and under autocast")


def test_gradients_are_left_out():
    x = torch.ones((3, 2), requires_grad=True)
    ed = edcore.ED(2, hidden_width=4, seed=1, backend="torch")
    outputs = ed.step(x, torch.ones(3, requires_grad=True))
    assert isinstance(outputs, torch.Tensor)
    assert not outputs.requires_grad


def test_x_and_outputs_may_be_written_to():
    network = Network(in_=3, width=4, depth=2)
    case = drawn_case(network, Rule(), batch=5, scale=0.3, seed=1)
    backend = BACKEND.load(None)
    weights = backend.from_host(case.weights)
    x = torch.asarray(case.x.copy())
    outputs, trace = backend.trace(network, weights, x)
    before = outputs.numpy().copy()
    x.fill_(0.5)
    outputs.fill_(0.5)
    again, _ = backend.trace(network, backend.from_host(case.weights), torch.asarray(case.x.copy()))
    assert (again.numpy() == before).all()
    learned = backend.to_host(backend.update(network, case.rule, weights, trace, torch.asarray(case.error.copy())))
    other = backend.from_host(case.weights)
    _, trace = backend.trace(network, other, case.x)
    same_bits(learned, backend.to_host(backend.update(network, case.rule, other, trace, case.error)), "of both ways")
