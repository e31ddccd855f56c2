"""PTX modules: memory, parameters, functions, what threads do together; kernels of module.ptx."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cuda_emulator.build import c_compiler
from cuda_emulator.harness import FaultError, Kernels

MODULE = Path(__file__).with_name("module.ptx")


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    if c_compiler() is None:
        pytest.skip("there is no C compiler here")
    return Kernels(MODULE.read_text(), tmp_path_factory.mktemp("kernels"))


def test_kernels_are_described(kernels: Kernels) -> None:
    names = "structs variables calls atomics warp warp_more part_of_a_warp copies accepted pipeline faults"
    assert [*kernels.kernels] == names.split()
    structs, variables = kernels.kernels["structs"], kernels.kernels["variables"]
    assert [tuple(structs.parameters[i]) for i in range(structs.parameter_count)] == [(0, 8), (8, 24), (32, 1)]
    assert structs.parameter_bytes == 33
    assert (variables.static_shared, variables.dynamic_shared, variables.max_threads) == (88, 128, 128)
    assert kernels.kernels["atomics"].max_threads == 0
    assert {name: (each.bytes, each.constant) for name, each in kernels.variables.items()} == {
        "table": (16, 1),
        "counter": (4, 0),
        "half": (16, 0),
    }


def test_struct_parameters(kernels: Kernels) -> None:
    out, given = np.zeros(5, np.float32), np.zeros((), [("a", np.float32, 3), ("pad", np.uint32), ("d", np.float64)])
    given["a"], given["d"] = [1.5, 2.5, -3.5], 0.1
    kernels.run("structs", out, given.tobytes(), np.int8(-7))
    np.testing.assert_array_equal(out, np.float32([2.5, 1.5, -3.5, 0.1, -7]))


def test_variables_of_all_spaces(kernels: Kernels) -> None:
    out = np.zeros(12, np.float32)
    words = out.view(np.uint32)
    kernels.run("variables", out, dynamic=16)
    assert out[:3].tolist() == [2.5, 7, 0.25]
    assert words[4:8].tolist() == [64, 128, 12, 1]
    assert out[8] == 7
    assert np.isnan(out[10])  # local memory that nobody has written
    assert words[11] == 0
    kernels.run("variables", out, dynamic=16)
    assert out[1] == 12  # the counter counts on


@pytest.mark.parametrize(("n", "rest"), [(0, [16, 77, 100]), (1, [16, 77, 101]), (2, [15, 77, 102])])
def test_functions_scopes_and_lists_of_labels(kernels: Kernels, n: int, rest: list[int]) -> None:
    out = np.full(5, 21, np.uint32)
    kernels.run("calls", out, np.uint32(n))
    assert out[[0, 2, 3, 4]].tolist() == [42, *rest]
    assert out.view(np.float32)[1] == 6 + n


def test_a_jump_beyond_the_list_is_a_fault(kernels: Kernels) -> None:
    with pytest.raises(FaultError, match=r"beyond its list of labels: line \d+: brx.idx.uni"):
        kernels.run("calls", np.zeros(5, np.uint32), np.uint32(3))


def test_atomics(kernels: Kernels) -> None:
    out = np.zeros(12, np.uint32)
    out[2], out[5] = 50, 3
    out[8] = 5
    kernels.run("atomics", out, threads=33)
    assert out[:7].tolist() == [32 * 33 // 2, 32, 0, 33 % 10, (-33) % 10, 77, 32]
    assert out[7:8].view(np.float32)[0] == 32 * 33 // 2
    assert out[8:10].view(np.uint64)[0] == 5 ^ 3
    assert out[10:12].view(np.float64)[0] == 32 * 33 // 2


def test_warp(kernels: Kernels) -> None:
    out = np.zeros((32, 16), np.uint32)
    kernels.run("warp", out, threads=32)
    lane = np.arange(32)
    square = lane**2
    wanted = {
        "up": np.where(lane >= 2, (lane - 2) ** 2, square),
        "down": np.where(lane + 3 <= 31, (lane + 3) ** 2, square),
        "butterfly": (lane ^ 16) ** 2,
        "index in segments": (lane // 8 * 8 + 1) ** 2,
        "inside": lane >= 2,
        "ballot": 0xFFFFFFFF ^ 0x3F,
        "any": 1,
        "all": 0,
        "match": 0x11111111 << (lane & 3),
        "sum": 31 * 16,
        "least": 2**32 - 4,
        "elected": lane == 0,
        "counted by the barrier": 26,
    }
    for column, (name, values) in enumerate(wanted.items()):
        np.testing.assert_array_equal(out[:, column], values, name)


def test_half_warps_and_reductions(kernels: Kernels) -> None:
    out = np.zeros((32, 16), np.uint32)
    kernels.run("warp_more", out, threads=32)
    lane = np.arange(32)
    low, mask = lane < 16, np.where(lane < 16, 0xFFFF, 0xFFFF0000)
    wanted = {
        "greatest": np.where(low, 15, 31),
        "or": np.where(low, 15, 31),
        "and": np.where(low, 0, 16),
        "uniform": 1,
        "all match": mask,
        "all match, predicate": 1,
        "not all match": 0,
        "down beyond the segment": lane,
        "lanes below": (1 << lane) - 1,
        "lanes from here on": 2**32 - (1 << lane),
        "barrier, and": 0,
        "barrier, or": 1,
        "active": 1,
    }
    for column, (name, values) in enumerate(wanted.items()):
        np.testing.assert_array_equal(out[:, column], values, name)


def test_a_warp_that_is_not_full(kernels: Kernels) -> None:
    out = np.zeros((32, 16), np.uint32)
    kernels.run("part_of_a_warp", out, threads=20)
    present = np.full(20, (1 << 20) - 1 - (1 << 7))
    present[7] = 0  # that has ended
    some = present > 0
    for column, values in enumerate([present, some, some, np.where(some, 20 * 19 // 2 - 7, 0), present, some]):
        np.testing.assert_array_equal(out[:20, column], values)
    with pytest.raises(FaultError, match="a lane that does not take part: .*shfl.sync.down"):
        kernels.run("warp", np.zeros((32, 16), np.uint32), threads=20)


def aligned(values: Any) -> np.ndarray:
    """Return an array of words whose address is a multiple of 16, as bulk copies need it."""
    memory = np.zeros(len(values) + 4, np.uint32)
    start = -memory.ctypes.data // 4 % 4
    memory[start : start + len(values)] = values
    return memory[start : start + len(values)]


def test_copies_of_one_thread(kernels: Kernels) -> None:
    given, out = aligned(np.arange(100, 116)), aligned(np.zeros(20))
    kernels.run("copies", out, given)
    assert out[:12].tolist() == [100, 101, 102, 103, 104, 0, 0, 0, 108, 9, 7, 8]
    assert out[12:16].tolist() == [0, 0, 1, 107]
    nothing = 2**32 - 1
    assert out[16:].tolist() == [nothing, 100, nothing, 100]


def test_what_has_no_effect_is_accepted(kernels: Kernels) -> None:
    out = np.uint32([5, 0, 0])
    kernels.run("accepted", out)
    assert out.tolist() == [5, 15, 15]


def test_bulk_copies_and_mbarriers(kernels: Kernels) -> None:
    given, out = aligned(np.arange(32)), np.zeros(32, np.uint32)
    kernels.run("pipeline", out, given, threads=16, dynamic=64)
    np.testing.assert_array_equal(out, given)


@pytest.mark.parametrize(
    "words",
    [
        r"an address outside local memory: line \d+: @%p0 st.local.u32",
        r"not aligned: line \d+: @%p1 ld.local.v2.f32",
        r"trap: line \d+: @%p2 trap",
        r"(out of bounds|misaligned): line \d+: @%p3 ld.global.v4.f32",
        r"a lane that does not take part: line \d+: @%p4 shfl.sync.idx.b32",
        r"out of bounds: line \d+: @%p5 st.shared.u32",
        r"more arrivals than an mbarrier has left: line \d+: @%p6 mbarrier.arrive",
        r"no multiples of 16: line \d+: @%p7 cp.async.bulk",
        r"outside the parameters: line \d+: @%p8 ld.param.u64",
        r"a store to a parameter: line \d+: @%p9 st.u32",
        r"nobody has initialised: line \d+: @%p10 mbarrier.arrive",
    ],
)
def test_faults_name_their_instruction(kernels: Kernels, words: str) -> None:
    which = int(re.search(r"%p(\d+)", words)[1])
    with pytest.raises(FaultError, match=words):
        kernels.run("faults", np.zeros(5, np.float32), np.uint32(which))
