"""The kernels of narrow networks, of edcore_cupy, on drawn networks and rules of all kinds: outputs and one update."""

import numpy as np
import pytest

from edcore import Network, Rule
from edcore.core.activations import ACTIVATIONS
from edcore.testing.checks.oracle import compare_forward, compare_update
from edcore.testing.strategies import drawn_case
from emulated import MARKS, load_cupy

pytestmark = MARKS


def drawn(seed):
    """Return a case: small sizes are as likely as large ones."""
    random = np.random.default_rng(seed)

    def pick(*values):
        return values[random.integers(len(values))]

    def size(most):
        return int(random.integers(1, most + 1)) if random.random() < 0.5 else round(most ** random.random())

    width = size(128)
    outputs = 1 if random.random() < 0.6 else min(width, size(12))
    network = Network(
        in_=size(200),
        width=width,
        depth=int(random.integers(0, 21 if width < 40 else 5)),
        heads=int(random.integers(1, 6)),
        u0=float(pick(0.4, 1, 2)),
        n_bias=int(pick(1, 2)),
        dtype=pick("float32", "float64"),
        outputs=outputs,
        activation=pick("sigmoid", *ACTIVATIONS),
        output_activation=pick("sigmoid", *ACTIVATIONS),
        rms=bool(random.random() < 0.35),
        bias=float(pick(1, 0.8)),
        inhibitory_output=bool(random.random() < 0.6),
    )
    rule = Rule(
        error="split" if outputs == 1 and random.random() < 0.4 else "signed",
        alpha=float(pick(0.8, 0.1)),
        alpha_output=float(pick(1, 0.3)),
        reduction=pick("mean", "sum"),
        centred=bool(random.random() < 0.3),
        floor=pick(None, 0.0, 0.05),
    )
    scale = float(pick(1, 0.3, 4)) / np.sqrt(2 * width)
    return drawn_case(network, rule, size(70), scale, seed=seed)


def compare(monkeypatch, capability, case):
    """Compare the outputs and an update with the oracle's, on GPUs of a compute capability."""
    backend = load_cupy(monkeypatch, capability)
    with np.errstate(all="ignore"):
        compare_forward(backend, case)
        compare_update(backend, case)


@pytest.mark.slow
@pytest.mark.parametrize("capability", [75, 90])
@pytest.mark.parametrize("seed", range(20))
def test_drawn_networks(monkeypatch, capability, seed):
    compare(monkeypatch, capability, drawn(seed))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_slopes_behind_an_odd_number_of_outputs(monkeypatch, dtype):
    network = Network(2, 3, 1, 1, dtype=dtype, outputs=3, rms=True, inhibitory_output=False)
    compare(monkeypatch, 90, drawn_case(network, Rule(), 3, 1.0, seed=0))


@pytest.mark.parametrize(("width", "batch"), [(32, 130), (101, 22)], ids=["many blocks", "wide blocks"])
def test_blocks_fit_the_shared_memory_of_turing(monkeypatch, width, batch):
    compare(monkeypatch, 75, drawn_case(Network(2, width, 1, 2), Rule(), batch, 0.1, seed=0))
