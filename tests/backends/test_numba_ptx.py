"""The CUDA kernels compile without a GPU, in the types that are meant, and stay in registers."""

import re

import pytest

from benchmarks.cuda_registers import (
    ARTICLE,
    CAPABILITIES,
    FOR_ONE_WIDTH,
    assembled,
    compiled,
    kernels,
    numba_chain,
    nvdisasm_path,
    ptxas_path,
    why_not,
)
from edcore import Network

HOPPER = CAPABILITIES[0]

REGISTERS = 65_536
"""Of a multiprocessor, for all threads of a block."""

MOST_INSTRUCTIONS = 150
"""Instructions of a warp for a hidden layer of the article's network; 64 of them are its products."""

IN_FLOAT64 = ("error_sums", "centre")
"""Kernels that add up many errors."""


@pytest.fixture(scope="module", autouse=True)
def toolkit():
    # Numba's own compiler for CUDA is given up, and minutes with both would be too long.
    pytest.importorskip("numba_cuda", reason="the package numba-cuda is not installed")
    if reason := why_not():
        pytest.fail(reason)


@pytest.fixture(scope="module")
def ptxas():
    path = ptxas_path() or pytest.skip("ptxas is neither on the PATH nor in the package nvidia-cuda-nvcc")
    try:
        assembled(compiled(next(kernels(Network(1, 1))), HOPPER), HOPPER, path)
    except RuntimeError as error:  # older than the NVVM that Numba found
        pytest.skip(str(error))
    return path


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_kernel_becomes_ptx_with_everything_in_registers(dtype, capability):
    for kernel in kernels(Network(1, 32, n_bias=2, dtype=dtype)):
        ptx = compiled(kernel, capability)
        assert f".target sm_{capability[0]}{capability[1]}" in ptx
        assert not re.search(r"\b(ld|st)\.local\b", ptx), f"{kernel.name} keeps something outside of registers"
        if dtype == "float32" and kernel.name not in IN_FLOAT64:
            assert ".f64" not in ptx, f"{kernel.name} computes in float64"
        if kernel.name in FOR_ONE_WIDTH:  # a sigmoid's reciprocal takes half of a division's instructions
            assert "div.rn." not in ptx, f"{kernel.name} divides"


@pytest.mark.parametrize(
    "fields",
    [
        {"activation": "relu", "rms": True},
        {"activation": "tanh", "output_activation": "linear", "outputs": 3},
        {"activation": "relu6", "output_activation": "relu", "outputs": 10, "rms": True, "bias": 0.8, "n_bias": 2},
        {"activation": "linear", "inhibitory_output": False},
    ],
)
def test_every_variant_stays_in_registers_too(fields):
    for kernel in kernels(Network(1, 32, **fields), floor=1e-4):
        ptx = compiled(kernel, HOPPER)
        assert not re.search(r"\b(ld|st)\.local\b", ptx), f"{kernel.name} keeps something outside of registers"
        if kernel.name not in IN_FLOAT64:
            assert ".f64" not in ptx, f"{kernel.name} computes in float64"


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_width_32_in_float32_needs_no_stack_and_spills_nothing(ptxas, capability):
    for kernel in kernels(Network(1, 32)):
        needs = assembled(compiled(kernel, capability), capability, ptxas)
        assert (needs.stack, needs.spill_stores, needs.spill_loads) == (0, 0, 0), f"{kernel.name}: {needs}"
        if capability == HOPPER and kernel.name.startswith("update"):
            # Four blocks at once on a multiprocessor: some compute while others wait for memory.
            assert needs.registers <= 128, f"{kernel.name}: {needs}"


@pytest.mark.parametrize("capability", [(9, 0), (8, 0), (7, 5)])
def test_a_hidden_layer_of_the_articles_network_takes_few_instructions(ptxas, capability):
    nvdisasm = nvdisasm_path() or pytest.skip("nvdisasm is neither on the PATH nor in the package nvidia-cuda-nvdisasm")
    chain = numba_chain(capability, ptxas)
    needs = chain.needs
    assert (needs.stack, needs.spill_stores, needs.spill_loads) == (0, 0, 0), needs
    layer = chain.layer(nvdisasm)
    assert 4 * ARTICLE.width**2 * chain.rows / chain.threads <= layer.instructions <= MOST_INSTRUCTIONS
    assert layer.kinds["BAR"] == 1


@pytest.mark.parametrize(("width", "dtype"), [(17, "float32"), (512, "float64")])
@pytest.mark.parametrize("fields", [{}, {"activation": "tanh", "outputs": 10, "rms": True}])
def test_a_block_of_any_width_finds_enough_registers(ptxas, width, dtype, fields):
    for kernel in kernels(Network(1, width, dtype=dtype, **fields), floor=1e-4 if fields else None):
        needs = assembled(compiled(kernel, HOPPER), HOPPER, ptxas)
        in_blocks = -(-needs.registers // 8) * 8 * -(-kernel.threads // 32) * 32
        assert in_blocks <= REGISTERS, f"{kernel.name}: {needs}"
