"""Who decides which backend runs, and each sentence that says why one does not."""

import dataclasses
import logging
import re
import threading
from importlib.util import find_spec

import pytest

import edcore
from edcore import ED, use_backend
from edcore.adapters.array_api import NUMPY
from edcore.contract.backend import Availability
from edcore.dispatch.choose import choose_backend, make_request
from edcore.dispatch.registry import register
from edcore.errors import BackendUnavailableError, InputError

X = [[0.0, 1.0]]


@pytest.fixture(autouse=True)
def _fresh(fresh_registry):
    pass


def fake(name, priority=0, ok=True, reason="it has no driver", **changes):
    """Register a backend like numpy under another name."""
    info = dataclasses.replace(NUMPY, name=name, priority=priority, **changes)
    if not ok:
        info = dataclasses.replace(info, probe=lambda device: Availability(False, reason))
    register(info)
    return info


def only(*infos):
    """Leave no other backend for ``auto``."""
    for name, info in list(edcore.dispatch.registry.installed().items()):
        register(dataclasses.replace(info, priority=0, name=name))
    for info in infos:
        register(info)


def test_instance_wins_over_all(monkeypatch):
    instance = choose_backend(make_request("loop", None), edcore.Network(in_=2), edcore.Rule())
    monkeypatch.setenv("EDCORE_BACKEND", "numpy")
    with use_backend("numpy"):
        ed = ED(2, backend=instance)
    assert ed.backend == "loop"
    ed(X)
    assert ed._backend is instance


def test_name_wins_over_context_and_environment(monkeypatch):
    monkeypatch.setenv("EDCORE_BACKEND", "numpy")
    with use_backend("numpy"):
        assert ED(2, backend="loop").backend == "loop"


def test_context_wins_over_environment_and_ends(monkeypatch):
    monkeypatch.setenv("EDCORE_BACKEND", "numpy")
    with use_backend("loop"):
        inner = ED(2)
        with use_backend("array_api_strict"):
            innermost = make_request("auto", None).backend
        assert ED(2).backend == "loop"
    assert innermost == "array_api_strict"
    assert inner.backend == "loop"
    assert inner(X).shape == (1,)  # an object keeps the backend with which it was made
    assert ED(2).backend == "numpy"


def test_context_of_an_instance_and_of_auto(monkeypatch):
    instance = choose_backend(make_request("loop", None), edcore.Network(in_=2), edcore.Rule())
    with use_backend(instance):
        assert ED(2).backend == "loop"
    monkeypatch.setenv("EDCORE_BACKEND", "loop")
    with use_backend("auto"):
        assert ED(2).backend == "auto"


def test_context_is_each_threads_own():
    seen = []
    with use_backend("loop"):
        thread = threading.Thread(target=lambda: seen.append(ED(2).backend))
        thread.start()
        thread.join()
    assert seen == ["auto"]


def test_environment(monkeypatch):
    monkeypatch.setenv("EDCORE_BACKEND", "loop")
    assert ED(2).backend == "loop"
    monkeypatch.setenv("EDCORE_BACKEND", "")
    assert ED(2).backend == "auto"


def test_unknown_names_are_refused_wherever_they_come_from(monkeypatch):
    with pytest.raises(
        InputError, match=r"backend: given 'nunpy'; accepted: 'array_api_strict', 'auto', .*Did you mean 'numpy'\?"
    ):
        ED(2, backend="nunpy")
    with (
        pytest.raises(InputError, match="use_backend: given 'xyz'; .* `edcore info` lists the backends"),
        use_backend("xyz"),
    ):
        pass
    with (
        pytest.raises(InputError, match="use_backend: given 3; accepted: a backend's name, 'auto', or a Backend"),
        use_backend(3),
    ):
        pass
    monkeypatch.setenv("EDCORE_BACKEND", "xyz")
    with pytest.raises(InputError, match="EDCORE_BACKEND: given 'xyz'; accepted: "):
        ED(2)


def by_argument(monkeypatch):
    ED(2, backend="dead")


def by_context(monkeypatch):
    with use_backend("dead"):
        ED(2)


def by_environment(monkeypatch):
    monkeypatch.setenv("EDCORE_BACKEND", "dead")
    ED(2)


@pytest.mark.parametrize(
    ("ask", "who"),
    [
        (by_argument, "backend='dead'"),
        (by_context, r"use_backend\('dead'\)"),
        (by_environment, "the environment variable EDCORE_BACKEND=dead"),
    ],
)
def test_named_backend_that_cannot_run_is_an_error_and_never_a_fallback(monkeypatch, ask, who):
    fake("dead", ok=False, install="pip install dead")
    sentence = f"{who} cannot run here: it has no driver. Nothing else was tried. Its packages are installed by: pip"
    with pytest.raises(BackendUnavailableError, match=sentence):
        ask(monkeypatch)


def test_named_backend_that_fails_to_load():
    fake("dead", load=lambda device: 1 / 0)
    with pytest.raises(
        BackendUnavailableError, match=r"it failed to load \(ZeroDivisionError\('division by zero'\)\)\. Nothing"
    ):
        ED(2, backend="dead")


def test_named_backend_that_does_not_support_the_network():
    class Narrow(type(choose_backend(make_request("numpy", None), edcore.Network(in_=1), edcore.Rule()))):
        def supports(self, network, rule):
            return "it takes a width of 1 only"

    import array_api_compat.numpy as xp

    fake("narrow", load=lambda device: Narrow(xp))
    message = "backend='narrow' cannot run this network: it takes a width of 1 only. Nothing else was tried."
    with pytest.raises(BackendUnavailableError, match=message):
        ED(2, backend="narrow")
    with pytest.raises(BackendUnavailableError, match=r"the given backend 'numpy' cannot run this network: it takes"):
        ED(2, backend=Narrow(xp))


def test_name_is_refused_when_it_is_given_and_not_at_the_first_call():
    fake("dead", ok=False)
    with pytest.raises(BackendUnavailableError):
        ED(backend="dead")


def test_device_that_the_backend_does_not_have():
    with pytest.raises(InputError, match="device: given 'cuda'; accepted: a device of numpy: cpu"):
        ED(2, backend="numpy", device="cuda")
    with pytest.raises(
        BackendUnavailableError, match="backend='numpy' cannot run here: the processor is one device, 'cpu'"
    ):
        ED(2, backend="numpy", device="cpu:1")


def test_device_beside_an_instance():
    instance = choose_backend(make_request("loop", None), edcore.Network(in_=2), edcore.Rule())
    assert ED(2, backend=instance, device="cpu").device == "cpu"
    with pytest.raises(InputError, match="device: given 'cuda'; accepted: 'cpu', where the given backend is"):
        ED(2, backend=instance, device="cuda")


def test_auto_waits_for_the_first_x():
    only(NUMPY)
    ed = ED(2)
    assert (ed.backend, ed.device) == ("auto", None)
    ed(X)
    assert (ed.backend, ed.device) == ("numpy", "cpu")


@pytest.mark.skipif(find_spec("numba") is None, reason="Numba is not installed")
def test_auto_takes_numba_where_there_is_no_gpu():
    if any("cuda" in state.devices for state in edcore.list_backends()):
        pytest.skip("there is a GPU")
    ed = ED(2)
    ed(X)
    assert (ed.backend, ed.device) == ("numba", "cpu")


def test_auto_takes_the_best_that_is_ready_and_logs_why_each_other_was_passed_over(caplog):
    only(
        fake("gpu", priority=90, ok=False),
        fake(
            "tpu",
            priority=80,
            device_types=("tpu",),
            probe=lambda device: Availability(True),
            load=lambda device: 1 / 0,
        ),
        fake("best", priority=70),
        fake("second", priority=60),
    )
    ed = ED(2)
    with caplog.at_level(logging.INFO, logger="edcore"):
        ed(X)
    assert ed.backend == "best"
    assert caplog.messages == [
        "auto: gpu passed over: it has no driver",
        "auto: tpu passed over: it failed to load (ZeroDivisionError('division by zero'))",
        "auto: best on cpu",
    ]


def test_auto_never_takes_what_is_used_only_when_asked_for():
    only(fake("gpu", priority=5, ok=False))
    message = (
        "auto: no backend can run .* gpu: it has no driver; .*loop: it is used only when asked for, as backend='loop'"
    )
    with pytest.raises(BackendUnavailableError, match=message):
        ED(2)(X)


def test_auto_on_a_device():
    only(fake("gpu", priority=90, device_types=("cuda",), ok=False), fake("cpu", priority=80))
    assert ED(2, device="cpu")(X).shape == (1,)
    message = (
        r"no backend can run this network on device='cuda:1'. gpu: it has no driver; cpu: it does not compute on cuda;"
    )
    with pytest.raises(BackendUnavailableError, match=message):
        ED(2, device="cuda:1")(X)


def test_auto_passes_over_what_does_not_support_the_network(caplog):
    message = r"auto: no backend can run this network. .*numpy: its weights and their update need"
    with pytest.raises(BackendUnavailableError, match=message):
        ED(2, 10**6, 10**6)(X)


class Small(type(NUMPY.load(None))):
    """A backend that supports no more than so many cells on a GPU."""

    def __init__(self, device):
        super().__init__(NUMPY.load(None).namespace, "cpu", NUMPY)
        self.device = "cuda:0" if device in (None, "cuda") else device

    def supports(self, network, rule):
        narrow = network.width <= 8 or self.device == "cpu"
        return True if narrow else "its shared memory holds no more than 8 cells"


def small(probe=lambda device: Availability(True)):
    fake("small", priority=99, device_types=("cuda", "cudasim", "cpu"), load=Small, probe=probe)


@pytest.mark.parametrize("backend", ["auto", "small"])
@pytest.mark.parametrize(("width", "device"), [(8, "cuda:0"), (9, "cpu")])
def test_a_network_that_one_device_does_not_support_goes_to_another(backend, width, device):
    small()
    ed = ED(2, width, backend=backend)
    ed(X)
    assert (ed.backend, ed.device) == ("small", device)


def test_another_device_that_is_not_ready_or_not_asked_for_is_not_tried(caplog):
    caplog.set_level(logging.INFO, "edcore")
    only(NUMPY)
    small(probe=lambda device: Availability(device != "cpu", "it has no processor"))
    ed = ED(2, 9)
    ed(X)
    assert ed.backend == "numpy"
    assert "auto: small on cuda passed over: its shared memory holds no more than 8 cells" in caplog.messages
    small()
    message = "backend='small' cannot run this network: its shared memory holds no more than 8 cells"
    with pytest.raises(BackendUnavailableError, match=message):
        ED(2, 9, backend="small", device="cuda")


def test_auto_never_takes_the_simulator(caplog):
    class Simulator(type(choose_backend(make_request("numpy", None), edcore.Network(in_=1), edcore.Rule()))):
        device = "cudasim"

        def __init__(self):
            pass

    fake("simulated", priority=99, load=lambda device: Simulator())
    with caplog.at_level(logging.INFO, logger="edcore"):
        ed = ED(2)
        ed(X)
    assert ed.backend in ("numba", "numpy")
    assert "auto: simulated passed over: a simulator is used only when asked for" in caplog.messages


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"load": lambda device: None}, "it failed to load .*load returned None, which is no Backend"),
        ({"probe": lambda device: True}, "its probe returned True"),
    ],
)
def test_faulty_plugin_is_passed_over(caplog, fault, reason):
    fake("faulty", priority=99, **fault)
    with caplog.at_level(logging.INFO, logger="edcore"):
        ED(2)(X)
    assert re.search(f"auto: faulty passed over: {reason}", caplog.text)
    assert {status.name: status for status in edcore.list_backends()}["faulty"].ready is ("load" in fault)
    with pytest.raises(BackendUnavailableError, match=reason):
        ED(2, backend="faulty")


def test_backend_that_cannot_say_what_it_supports():
    class Silent(type(choose_backend(make_request("numpy", None), edcore.Network(in_=1), edcore.Rule()))):
        def supports(self, network, rule):
            raise RuntimeError("no answer")

    import array_api_compat.numpy as xp

    fake("silent", priority=99, load=lambda device: Silent(xp))
    ED(2)(X)
    with pytest.raises(BackendUnavailableError, match=r"supports.. failed \(RuntimeError\('no answer'\)\)"):
        ED(2, backend="silent")


def test_auto_that_follows_x_says_why_its_library_cannot_run_there():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    message = "auto, which follows x to torch, cannot run here: PyTorch sees no CUDA device here, so there is no 'cuda'"
    with pytest.raises(BackendUnavailableError, match=message):
        ED(2, device="cuda")(torch.zeros((1, 2)))


def test_auto_follows_x(caplog):
    strict = pytest.importorskip("array_api_strict")
    ed = ED(2)
    with caplog.at_level(logging.INFO, logger="edcore"):
        ed(strict.asarray(X, device=strict.Device("device1")))
    assert (ed.backend, ed.device) == ("array_api_strict", "device1")
    assert caplog.messages == ["auto: array_api_strict on device1, as x is an array of array_api_strict"]
    ed = ED(2, device="device2")
    assert ed(strict.asarray(X)).device == strict.Device("CPU_DEVICE")
    assert ed.device == "device2"


def test_auto_follows_x_into_a_library_that_no_backend_is_registered_for(fresh_registry):
    strict = pytest.importorskip("array_api_strict")
    del edcore.dispatch.registry.installed()["array_api_strict"]
    ed = ED(2)
    ed(strict.asarray(X))
    assert (ed.backend, ed.device) == ("array_api_strict", "cpu")
    with pytest.raises(InputError, match="device: given 'mps'; accepted: 'cpu', where x is"):
        ED(2, device="mps")(strict.asarray(X))


def test_auto_follows_x_and_says_what_the_library_lacks():
    strict = pytest.importorskip("array_api_strict")
    x = strict.asarray(X, device=strict.Device("no_float64"), dtype=strict.float32)
    with pytest.raises(InputError, match="dtype: given 'float64'; accepted: what the device of x has"):
        ED(2, dtype="float64")(x)


def test_unknown_device_string():
    with pytest.raises(InputError, match="device: given 'cuda:x'; accepted: None or a device string"):
        ED(2, device="cuda:x")
