"""Raw CUDA C++ with bulk copies and mbarriers, as for an H100: a ring of two stages, right and with planted faults."""

import numpy as np
import pytest

from cuda_emulator.test_emulator import kernel, run
from emulated import MARKS

pytestmark = MARKS

START = r"""
#define EXPECTED 128
__shared__ __align__(8) unsigned long long full[2], empty[2];
__shared__ __align__(16) float ring[2][32];
auto at = [](const void *p) { return (unsigned)__cvta_generic_to_shared(p); };
auto wait = [&](unsigned long long *bar, int phase) {
    asm volatile("{\n.reg .pred p;\nW_%=:\nmbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n@!p bra W_%=;\n}"
                 ::"r"(at(bar)), "r"(phase) : "memory");
};
auto fetch = [&](int stage, const float *from) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;"
                 ::"r"(at(&full[stage])), "n"(EXPECTED) : "memory");
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], 128, [%2];"
                 ::"r"(at(ring[stage])), "l"(from), "r"(at(&full[stage])) : "memory");
};
if (i == 0) {
    for (int k = 0; k < 2; k++) {
        asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(at(&full[k])));
        asm volatile("mbarrier.init.shared::cta.b64 [%0], 32;" ::"r"(at(&empty[k])));
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__syncthreads();
"""

# The second warp's first lane fetches 4 parts of 32 values, two ahead; the first warp makes 2 x + 1 of each.
RING = (
    START
    + r"""
for (int k = 0; k < 4; k++) {
    int stage = k & 1, phase = k >> 1;
    if (i < 32) {
        wait(&full[stage], phase);
        x[32 * k + i] = 2 * ring[stage][i] + 1;
        asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(at(&empty[stage])) : "memory");
    } else if (i == 32) {
        if (k >= 2) wait(&empty[stage], phase ^ 1);
        fetch(stage, x + 32 * k);
    }
}
"""
)

ONE = (
    START
    + r"""
if (i == 0) fetch(0, x);
wait(&full[0], 0);
x[64 + i] = ring[0][i % 32];
"""
)


@pytest.fixture
def emulator():
    pytest.importorskip("numba_cuda", reason="the package numba-cuda is not installed")
    from cuda_emulator import plugin

    return plugin


@pytest.fixture
def x(emulator):
    from edcore_numba.gpu.compiler import cuda

    return cuda.to_device(np.arange(128, dtype=np.float32))


def test_a_ring_of_two_stages(x, emulator):
    run(kernel(RING), x)
    assert emulator.findings() == []
    np.testing.assert_array_equal(x.copy_to_host(), 2 * np.arange(128) + 1)


def test_who_does_not_wait_for_a_copy_reads_nan(x, emulator):
    run(kernel(ONE), x)
    np.testing.assert_array_equal(x.copy_to_host()[64:], np.arange(64) % 32)
    assert emulator.findings() == []
    run(kernel(ONE.replace("wait(&full[0], 0);", "")), x)
    assert np.isnan(x.copy_to_host()[64:]).all()


@pytest.mark.parametrize(
    ("right", "faulty", "words"),
    [
        ("if (k >= 2) wait(&empty[stage], phase ^ 1);", "", "more arrivals than an mbarrier has left"),
        ("#define EXPECTED 128", "#define EXPECTED 144", "waits for ever"),
    ],
    ids=["a stage that is not empty", "bytes that nobody copies"],
)
def test_what_goes_wrong_at_an_mbarrier_is_named(x, emulator, right, faulty, words):
    assert right in RING
    with pytest.raises(Exception, match="LAUNCH_FAILED"):
        run(kernel(RING.replace(right, faulty)), x)
    (found,) = emulator.findings()
    assert words in found
    assert "mbarrier." in found
