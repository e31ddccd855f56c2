"""Copies to shared memory that go on beside the threads (cp.async), in raw kernels: right ones, and planted faults."""

import numpy as np
import pytest

from emulated import MARKS, stand_in

pytestmark = MARKS

THREADS = 64

# A ring of three places, each with a value of each thread; `LAYERS` rows of x go through it, two ahead of the sum.
RING = r"""
#define COPY(to, from) \
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" \
                 :: "r"((unsigned)__cvta_generic_to_shared(to)), "l"(from) : "memory")
#define COMMIT asm volatile("cp.async.commit_group;" ::: "memory")
#define WAIT(n) asm volatile("cp.async.wait_group %0;" :: "n"(n) : "memory")
extern "C" __global__ void ring(const float *x, float *y, int rows) {
    __shared__ float s[3][64];
    const int i = threadIdx.x, other = i ^ OTHER;
    float sum = 0;
    for (int row = 0; row < 2; row++) { if (row < rows) COPY(&s[row][i], x + row * 64 + i); COMMIT; }
    for (int row = 0; row < rows; row++) {
        BEFORE
        sum += s[row % 3][other];
        BETWEEN
        if (row + 2 < rows) COPY(&s[(row + 2) % 3][i], x + (row + 2) * 64 + i);
        COMMIT;
    }
    y[i] = sum;
}
"""

# What stands before a row is read and between that and the next copy, and whose value is read.
RIGHT = {
    "of others": ("WAIT(1); __syncthreads();", "", 33),
    "of the warp": ("WAIT(1); __syncwarp();", "", 1),
    "of the thread, with no barrier": ("WAIT(1);", "", 0),
    "all waited for": ("WAIT(0); __syncthreads();", "", 33),
    "with a second barrier": ("WAIT(1); __syncthreads();", "__syncthreads();", 33),
}
FAULTS = {
    "no wait": ("__syncthreads();", "", 33, ""),
    "no wait, of the thread": ("", "", 0, ""),
    "a wait that leaves too many": ("WAIT(2); __syncthreads();", "", 33, ""),
    "no barrier": ("WAIT(1);", "", 33, "a load of what another thread stores"),
    "no barrier of the warp": ("WAIT(1);", "", 1, "a load of what another thread stores"),
    "the barrier before the wait": ("__syncthreads(); WAIT(1);", "", 33, "race in shared memory"),
}


def ring(monkeypatch, before, between, other, rows=7):
    """Return the sums that it computes, and those that are right."""
    cupy = stand_in(monkeypatch, 80)
    options = (f"-DBEFORE={before}", f"-DBETWEEN={between}", f"-DOTHER={other}")
    host = np.random.default_rng(0).random((rows, THREADS), np.float32)
    y = cupy.empty(THREADS, np.float32)
    kernel = cupy.RawModule(code=RING, options=options).get_function("ring")
    kernel((1,), (THREADS,), (cupy.asarray(host), y, np.int32(rows)))
    return cupy.asnumpy(y), host.sum(axis=0)[np.arange(THREADS) ^ other]


@pytest.mark.parametrize("name", RIGHT)
def test_a_ring_of_copies(monkeypatch, name):
    given, wanted = ring(monkeypatch, *RIGHT[name])
    np.testing.assert_allclose(given, wanted, rtol=1e-6)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_a_finding_or_nan(monkeypatch, name):
    from cuda_emulator.plugin import findings

    before, between, other, words = FAULTS[name]
    given, _ = ring(monkeypatch, before, between, other)
    found = findings()
    if words:
        assert any(words in finding and "ring" in finding for finding in found), found
    else:
        assert np.isnan(given).all()


def test_a_place_that_another_thread_still_reads_is_not_copied_to(monkeypatch):
    from cuda_emulator.plugin import findings

    # The place of the copy is the one that is read: without a barrier between, another thread may not have read it yet.
    again = "COPY(&s[row % 3][i], x + i); COMMIT; WAIT(0);"
    ring(monkeypatch, "WAIT(0); __syncthreads();", again, 33)
    assert any("a store to what another thread loads" in finding for finding in findings())
    ring(monkeypatch, "WAIT(0); __syncthreads();", f"__syncthreads(); {again}", 33)
    ring(monkeypatch, "WAIT(0);", again, 0)  # its value is read before its own copy begins


STORES = """
extern "C" __global__ void stores(float *x) {
    __shared__ float s[64];
    const int i = threadIdx.x;
    s[i] = i;
    BARRIER
    x[i] = s[i ^ OTHER];
}
"""


@pytest.mark.parametrize("capability", [75, 90])
@pytest.mark.parametrize(("other", "barrier"), [(33, "__syncthreads();"), (1, "__syncwarp();")])
def test_a_barrier_that_is_missing_is_found(monkeypatch, capability, other, barrier):
    from cuda_emulator.plugin import findings

    cupy = stand_in(monkeypatch, capability)
    for text in (barrier, ""):
        x, options = cupy.empty(THREADS, np.float32), (f"-DBARRIER={text}", f"-DOTHER={other}")
        cupy.RawModule(code=STORES, options=options).get_function("stores")((1,), (THREADS,), (x,))
        found = findings()
        assert bool(found) == (not text), found
        assert all(each.startswith("stores: race in shared memory") for each in found)
