"""Machine code is read as nvdisasm prints it, and the model of its cycles does what its rules say."""

import shutil
from dataclasses import replace

import pytest

from benchmarks.cuda_registers import assembled, nvdisasm_path, ptxas_path
from benchmarks.cycle_model import H100, LONG, RTX_3070, SHORT, predicted
from benchmarks.sass import Instruction, Layer, disassembled, hidden_layer

LISTING = """
	.section	.text.walk,"ax",@progbits
walk:
.text.walk:
        /*0000*/                   MOV R1, R2 ;                         /* 0x0000000200017202 */
                                                                        /* 0x000fe40000000f00 */
.L_x_1:
        /*0010*/                   LDS.128 R4, [R3] ;                   /* 0x0000000003047984 */
                                                                        /* 0x000e280000000c00 */
        /*0020*/              @!P0 FFMA R5, R4, R6, RZ ;                /* 0x0000000604057223 */
                                                                        /* 0x001fe200000000ff */
        /*0030*/               @P1 BRA `(.L_x_1) ;                      /* 0xfffffffc00f81947 */
                                                                        /* 0x000fea000383ffff */
"""

PTX = """
.version 7.0
.target sm_75
.address_size 64
.visible .entry walk(.param .u64 to, .param .u32 turns, .param .u32 rare)
{
    .reg .f32 %f<9>; .reg .b32 %r<5>; .reg .pred %p<3>; .reg .b64 %rd<3>;
    ld.param.u64 %rd1, [to]; ld.param.u32 %r1, [turns]; ld.param.u32 %r2, [rare];
    mov.f32 %f1, 0f3F800000;
    mov.u32 %r3, %tid.x; mul.wide.u32 %rd2, %r3, 64; add.s64 %rd1, %rd1, %rd2;
    ld.global.f32 %f2, [%rd1]; ld.global.f32 %f3, [%rd1+4];
FIRST:
    fma.rn.f32 %f1, %f1, %f2, %f3;
    add.s32 %r2, %r2, -1; setp.ne.s32 %p1, %r2, 0;
    @%p1 bra FIRST;
    ld.param.u32 %r2, [rare];
AGAIN:
    .pragma "nounroll";
    setp.ne.s32 %p2, %r1, %r2;
    @%p2 bra REST;
    bar.sync 0;
    RARE
REST:
    LAYERS
    add.s32 %r1, %r1, -1; setp.ne.s32 %p1, %r1, 0;
    @%p1 bra AGAIN;
    st.global.f32 [%rd1], %f1;
    ret;
}
"""

LAYER = """
    fma.rn.f32 %f1, %f1, %f2, %f3; fma.rn.f32 %f1, %f1, %f2, %f3; fma.rn.f32 %f1, %f1, %f2, %f3;
    ex2.approx.ftz.f32 %f1, %f1;
    shfl.sync.bfly.b32 %f4, %f1, 4, 31, -1; add.f32 %f1, %f1, %f4;
    bar.sync 0;
"""


@pytest.fixture
def nvdisasm_of(tmp_path):
    """Return what prints a listing as nvdisasm does."""

    def made(listing):
        if shutil.which("sh") is None:
            pytest.skip("there is no shell here")
        script = tmp_path / "nvdisasm"
        script.write_text(f"#!/bin/sh\ncat <<'END'\n{listing}END\n")
        script.chmod(0o755)
        return str(script)

    return made


def test_control_bits(nvdisasm_of):
    move, load, product, branch = disassembled(b"", nvdisasm_of(LISTING))["walk"]
    assert [each.stall for each in (move, load, product, branch)] == [2, 4, 1, 5]
    assert (load.name, load.opcode, load.sets_until_written, load.waits_for) == ("LDS", "LDS.128", 0, ())
    assert (product.predicate, product.waits_for, product.sets_until_written) == ("@!P0", (0,), 7)
    assert (branch.target, branch.predicate) == (1, "@P1")


def test_no_loop_is_said(nvdisasm_of):
    instructions = disassembled(b"", nvdisasm_of(LISTING))["walk"][:3]
    with pytest.raises(ValueError, match="no loop"):
        hidden_layer(instructions, 1)


@pytest.mark.parametrize("layers", [1, 2])
def test_the_loop_of_a_compiled_kernel(layers):
    ptxas, nvdisasm = ptxas_path(), nvdisasm_path()
    if not ptxas or not nvdisasm:
        pytest.skip("ptxas and nvdisasm are neither on the PATH nor in packages of a CUDA toolkit")
    rare = "mul.f32 %f2, %f2, %f3;" * 40
    needs = assembled(PTX.replace("LAYERS", LAYER * layers).replace("RARE", rare), (7, 5), ptxas)
    layer = hidden_layer(disassembled(needs.code, nvdisasm)["walk"], 3)
    # Not the first loop, which has no activation; and not the way with a barrier that a layer does not need.
    assert layer.layers == layers
    assert {kind: layer.kinds[kind] for kind in ("FFMA, DFMA", "SHFL", "BAR", "STS")} == {
        "FFMA, DFMA": 3, "SHFL": 1, "BAR": 1, "STS": 0,
    }  # fmt: skip
    assert layer.instructions * layers == len(layer.path) == sum(layer.kinds.values()) * layers
    assert layer.stalls >= layer.instructions


def instruction(opcode, stall=1, sets=7, waits=(), predicate=""):
    return Instruction(predicate, opcode, "", stall, sets, 7, waits)


def cycles(*path, card=H100):
    return predicted(Layer(len(path), {}, 0, path, 1), card, 1, 1).chain


def test_without_waits_the_stalls_are_the_cycles():
    path = instruction("IADD3", 4), instruction("IMAD", 2), instruction("LDS", 3, predicate="@!PT")
    assert cycles(*path) == (9, 9 + LONG.jump - SHORT.jump)


def test_an_instruction_waits_for_the_barriers_that_it_names():
    load, use = instruction("LDS", sets=2), instruction("FADD", waits=(2,))
    assert cycles(load, use) == (SHORT.shared + 1 + SHORT.jump, LONG.shared + 1 + LONG.jump)
    assert cycles(load, replace(use, waits_for=(3,)))[0] < SHORT.shared


def test_units_take_turns():
    products = [instruction("FFMA")] * 10
    assert cycles(*products)[0] == 10
    assert cycles(*products, card=replace(H100, lanes=16))[0] == 20
    loads = [instruction("LDS.128", sets=0)] * 10  # 512 bytes each, of four warps, where 128 go at once
    assert cycles(*loads, instruction("FADD", waits=(0,)))[1] >= 10 * 512 * 4 / 128


def test_memory_sets_the_least():
    path = (instruction("IADD3", 10),)
    made = predicted(Layer(1, {}, 10, path, 1), RTX_3070, 32, 16384)
    assert made.into_multiprocessor == 256
    assert made.memory_each == pytest.approx(32 * made.memory_once)
    low, high = made.layer
    assert low == made.cache[0] > made.into_multiprocessor > made.chain[0]
    assert high == made.cache[1]
