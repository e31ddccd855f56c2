"""The kernels of narrow networks, of edcore_cupy, as machine code: no GPU is needed."""

import pytest

from benchmarks import raw_kernels
from benchmarks.cuda_registers import ARTICLE, assembled_kernels, nvdisasm_path, ptxas_path, raw_chain
from edcore import Network, Rule
from edcore.arguments import DTYPES

MOST_INSTRUCTIONS = 240
"""Of a hidden layer of width 32 in float32."""

REGISTERS = 65_536
"""Of a multiprocessor, for all threads of a block."""


@pytest.fixture(scope="module")
def ptxas():
    if reason := raw_kernels.why_not():
        pytest.skip(reason)
    path = ptxas_path() or pytest.skip("ptxas is neither on the PATH nor in the package nvidia-cuda-nvcc")
    try:
        raw_chain((9, 0), path)
    except RuntimeError as error:  # older than NVRTC
        pytest.skip(str(error))
    return path


@pytest.mark.parametrize("capability", raw_kernels.GPUS)
def test_a_hidden_layer_of_the_article_takes_few_instructions(ptxas, capability):
    nvdisasm = nvdisasm_path() or pytest.skip("nvdisasm is neither on the PATH nor in the package nvidia-cuda-nvdisasm")
    chain = raw_chain(capability, ptxas)
    assert 4 * ARTICLE.width**2 * chain.rows / chain.threads <= chain.layer(nvdisasm).instructions <= MOST_INSTRUCTIONS


VARIANTS = [
    (32, 64, {}, Rule()),
    (128, 64, {}, Rule(error="split")),
    (1, 4, {}, Rule(error="split", floor=1e-4)),
    (8, 4096, {"rms": True, "activation": "relu"}, Rule()),
    (48, 4096, {"activation": "linear", "inhibitory_output": False}, Rule(floor=1e-4)),
    (17, 64, {"rms": True, "activation": "tanh", "outputs": 10, "n_bias": 2, "bias": 0.8}, Rule()),
    (100, 1, {"rms": True, "activation": "relu6", "output_activation": "linear"}, Rule()),
]
CASES = [
    # All of them on the newest GPU and the oldest; on those between, what their registers and shared memory are for.
    *((capability, dtype, *one) for capability in ((9, 0), (7, 5)) for dtype in DTYPES for one in VARIANTS),
    *((capability, "float32", *one) for capability in ((8, 6), (8, 0)) for one in VARIANTS[:2]),
]


@pytest.mark.parametrize(("capability", "dtype", "width", "batch", "fields", "rule"), CASES)
def test_all_stays_in_registers(ptxas, capability, dtype, width, batch, fields, rule):
    network = Network(20, width, dtype=dtype, **fields)
    for kernel in raw_kernels.kernels(network, batch, capability, rule):
        needs = assembled_kernels(raw_kernels.compiled(kernel, capability), capability, ptxas)[kernel.name]
        assert (needs.stack, needs.spill_stores, needs.spill_loads) == (0, 0, 0), f"{kernel.name}: {needs}"
        in_blocks = -(-needs.registers // 8) * 8 * -(-kernel.threads // 32) * 32
        assert in_blocks <= REGISTERS, f"{kernel.name}: {needs}"
