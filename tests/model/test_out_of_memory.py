"""Too little memory: what is said, whatever a library raises, and that nothing is lost."""

import re

import numpy as np
import pytest

from edcore import ED, Network
from edcore.adapters.array_api import NUMPY, ArrayAPIBackend
from edcore.contract.memory import Memory, needed
from edcore.errors import OutOfMemoryError

MIB = 2**20
X, Y = np.ones((8, 4), np.float32), np.ones(8, np.float32)


class cupy:  # noqa: N801 -- errors are told apart by their names
    class OutOfMemoryError(MemoryError):
        pass


ERRORS = [
    MemoryError(),
    cupy.OutOfMemoryError("Out of memory allocating 268,435,456 bytes (allocated so far: 0 bytes)."),
    RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 139.80 GiB"),
    RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB)"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
    ValueError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 17179869184 bytes."),
    RuntimeError("[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY"),
]


class Short(ArrayAPIBackend):
    """A backend on a device with little memory, that fails where it is told to."""

    def __init__(self, free=MIB, total=2**40):
        super().__init__(NUMPY.load(None).namespace, "cpu", NUMPY)
        self.device = "cuda:1"
        self.has, self.fails, self.error = Memory(free, total), None, None

    def memory(self):
        return self.has

    def fail(self, call):
        if call == self.fails:
            raise self.error

    def from_host(self, weights):
        self.fail("from_host")
        return super().from_host(weights)

    def forward(self, *arguments):
        self.fail("predict")
        return super().forward(*arguments)

    def trace(self, *arguments):
        self.fail("trace")
        return super().trace(*arguments)

    def update(self, *arguments):
        self.fail("update")
        return super().update(*arguments)


CALLS = {
    "predict": lambda ed: ed.predict(X),
    "trace": lambda ed: ed(X),
    "update": lambda ed: ed.step(X, Y),
    "fit": lambda ed: ed.fit(X, Y, batch_size=8),
}


@pytest.mark.parametrize(
    ("error", "call"), [(error, "trace") for error in ERRORS] + [(ERRORS[0], call) for call in CALLS]
)
def test_what_libraries_raise_says_what_is_needed_and_what_would_fit(error, call):
    backend = Short(free=100_000)
    ed = ED(4, 1000, 1, backend=backend)
    start = ed.weights
    backend.fails, backend.error = "trace" if call == "fit" else call, error
    samples = ", 8 samples 0.2 KiB" if call == "fit" else ""
    # A sample has 2·4 input cells, 2·1000·2 hidden ones, 2 outputs, of 4 bytes each, and as many δ: 32,080 bytes.
    sentence = (
        "cuda:1 is out of memory: the weights need 15.4 MiB, the activities of a batch of 8 125.3 KiB more"
        f"{samples}, and 97.7 KiB are left. A batch of 3 would fit."
    )
    with pytest.raises(OutOfMemoryError, match=re.escape(sentence)) as raised:
        CALLS[call](ed)
    assert raised.value.__cause__ is error
    assert isinstance(raised.value, MemoryError)
    backend.fails = None
    for key, value in ed.weights.items():
        assert (value == start[key]).all()
    assert ed.predict(X).shape == (8,)


def test_inference_holds_two_layers_however_deep_the_network_is():
    backend = Short(free=100)
    ed = ED(4, 10, 1000, backend=backend)
    backend.fails, backend.error = "predict", MemoryError()
    # 2·4 input cells, 2·10·2 hidden ones and 2 outputs, of 4 bytes each.
    with pytest.raises(OutOfMemoryError, match=r"the activities of a batch of 8 1.6 KiB more"):
        ed.predict(X)


def test_memory_that_others_have_is_said_to_be_theirs():
    backend = Short(free=MIB)
    ed = ED(4, 1000, 1, backend=backend)
    backend.fails, backend.error = "trace", MemoryError()
    with pytest.raises(OutOfMemoryError, match=r"1.0 MiB are left. Other arrays or programs have the rest: free it"):
        ed(X)


def test_no_batch_fits():
    backend = Short(free=0)
    ed = ED(4, 1000, 1, backend=backend)
    backend.fails, backend.error = "trace", MemoryError()
    with pytest.raises(OutOfMemoryError, match=r"0.0 KiB are left. A smaller network would fit, but no smaller batch"):
        ed(X)


def test_weights_that_do_not_fit():
    backend = Short()
    backend.fails, backend.error = "from_host", MemoryError()
    with pytest.raises(OutOfMemoryError, match=r"weights need 15.4 MiB, .* Other arrays or programs have the rest"):
        ED(4, 1000, 1, backend=backend)


@pytest.mark.parametrize("call", ["trace", "update", "fit"])
def test_a_batch_beyond_the_whole_memory_is_refused_before_it_is_tried(call):
    network = Network(4, 1000, 1)
    backend = Short(total=3 * needed(network) + 1)
    ed = ED(4, 1000, 1, backend=backend)
    backend.has = Memory(0, needed(network, 7))
    ed._most = 7
    backend.fails, backend.error = "trace", AssertionError("it was tried")
    with pytest.raises(OutOfMemoryError, match=r"cuda:1 is too small: .* and it has 15.5 MiB. A batch of 7 would fit"):
        CALLS[call](ed)


def test_the_largest_batch_is_that_of_the_devices_memory():
    network = Network(4, 10, 1000)
    size = needed(network, 1) - needed(network, 0)
    ed = ED(4, 10, 1000, backend=Short(total=3 * needed(network)))
    largest = 2 * needed(network) // size
    ed(np.ones((largest, 4), np.float32))
    with pytest.raises(
        OutOfMemoryError, match=f"the activities of a batch of {largest + 1:,} .* A batch of {largest:,} would fit"
    ):
        ed(np.ones((largest + 1, 4), np.float32))


def test_other_errors_are_left_as_they_are():
    backend = Short()
    ed = ED(4, backend=backend)
    backend.fails, backend.error = "trace", RuntimeError("cudaErrorIllegalAddress")
    with pytest.raises(RuntimeError, match="^cudaErrorIllegalAddress$"):
        ed(X)


def test_bytes_that_are_needed():
    network = Network(3, width=5, depth=7, heads=2, dtype="float64")
    assert needed(network) == 8 * network.parameters
    assert needed(network, 11) - needed(network) == 11 * 8 * (6 + 2 * (10 * 8 + 2))
