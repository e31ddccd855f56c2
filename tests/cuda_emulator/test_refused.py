"""What the translator does not know is refused, and named."""

from __future__ import annotations

import re

import pytest

from cuda_emulator.ptx import PtxError
from cuda_emulator.translate import translate

HEAD = ".version 9.0\n.target sm_90a\n.address_size 64\n"

BODY = (
    HEAD
    + """
.global .align 4 .f32 x;
.extern .func (.param .b32 r) vprintf(.param .b64 a, .param .b64 b);
.visible .entry k(.param .u64 p)
{{
.reg .b16 %rs<9>; .reg .b32 %r<9>; .reg .b64 %rd<9>; .reg .f32 %f<9>; .reg .f64 %fd<9>; .reg .pred %q<9>;
.param .b64 a; .param .b32 c; .local .b8 depot[8]; .shared .f32 s;
{}
ret;
}}
"""
)

REFUSED = {
    "an instruction": "vadd.u32.u32.u32 %r1, %r2, %r3, %r4;",
    "a matrix product": "wgmma.fence.sync.aligned;",
    "no instruction": "%r1 = %r2;",
    "a carry of 16 bits": "add.cc.u16 %rs1, %rs2, %rs3;",
    "a carry of a product without a sum": "mul.lo.cc.u32 %r1, %r2, %r3;",
    "a rounding": "add.rna.f32 %f1, %f2, %f3;",
    "no rounding": "div.f32 %f1, %f2, %f3;",
    "no rounding of a conversion": "cvt.f32.f64 %f1, %fd1;",
    "a type": "add.f16 %rs1, %rs2, %rs3;",
    "a packed type": "add.f32x2 %rd1, %rd2, %rd3;",
    "bits as a number": "add.b32 %r1, %r2, %r3;",
    "no part of a product": "mul.s32 %r1, %r2, %r3;",
    "a saturated product": "mad.hi.sat.s32 %r1, %r2, %r3, %r4;",
    "three operands of a minimum": "min.f32 %f1, %f2, %f3, %f4;",
    "an approximation in double": "ex2.approx.f64 %fd1, %fd2;",
    "a mode of prmt": "prmt.b32.f4e %r1, %r2, %r3, %r4;",
    "a register": "mov.u32 %r1, %r9;",
    "a special register": "mov.u32 %r1, %smid;",
    "a clock": "mov.u64 %rd1, %clock64;",
    "a narrower register": "add.u32 %r1, %r2, %rs1;",
    "a wider register": "add.u32 %r1, %r2, %rd1;",
    "a wider result": "add.u32 %rd1, %r2, %r3;",
    "a predicate as a number": "add.u32 %r1, %q1, %r3;",
    "a number as a predicate": "@%r1 bra $L; $L: mov.u32 %r1, 0;",
    "a whole number for a float": "add.f32 %f1, %f2, 1;",
    "a double for a float": "add.f32 %f1, %f2, 0d3FF0000000000000;",
    "a number out of range": "add.u16 %rs1, %rs2, 65536;",
    "a comparison of bits": "setp.lt.b32 %q1, %r1, %r2;",
    "an unsigned comparison": "setp.hi.s32 %q1, %r1, %r2;",
    "two predicates without an operation": "setp.lt.s32 %q1, %r1, %r2, %q2;",
    "a label": "bra $NOWHERE;",
    "a list of labels": "brx.idx %r1, nowhere;",
    "a function of the driver": "call.uni (c), vprintf, (a, a);",
    "a function by its address": "call (c), %rd1, (a);",
    "cache policies": "ld.global.L2::cache_hint.f32 %f1, [%rd1], %rd2;",
    "a vector of eight": "ld.global.v8.f32 {%f1, %f2, %f3, %f4, %f5, %f6, %f7, %f8}, [%rd1];",
    "a vector of three": "ld.global.v4.f32 {%f1, %f2, %f3}, [%rd1];",
    "a vector of 32 bytes": "ld.global.v4.f64 {%fd1, %fd2, %fd3, %fd4}, [%rd1];",
    "a short address": "ld.global.f32 %f1, [%r1];",
    "a short address of a variable": "mov.u32 %r1, x;",
    "another space": "ld.shared.f32 %f1, [x];",
    "a parameter's end": "ld.param.f64 %fd1, [p+8];",
    "a parameter's alignment": "ld.param.f32 %f1, [p+2];",
    "a store to a parameter": "st.param.u32 [p], %r1;",
    "a store to a constant": "st.const.u32 [%rd1], %r1;",
    "an atomic type": "atom.global.add.f16x2 %r1, [%rd1], %r2;",
    "an atomic operation": "atom.global.nand.b32 %r1, [%rd1], %r2;",
    "atomics on vectors": "red.global.v2.f32.add [%rd1], {%f1, %f2};",
    "a shuffle without sync": "shfl.up.b32 %r1, %r2, 1, 0;",
    "a vote without sync": "vote.all.pred %q1, %q2;",
    "a barrier of a cluster": "barrier.cluster.arrive;",
    "a tensor copy": "cp.async.bulk.tensor.1d.global.shared::cta.bulk_group [%rd1, {%r2}], [%r3];",
    "a copy to a cluster": (
        "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%r1], [%r2], 16, [%r3];"
    ),
    "an arrival that does not complete": "mbarrier.arrive.noComplete.shared::cta.b64 %rd1, [%r1], 2;",
    "a directive": ".alias x, y;",
    "registers of a type": ".reg .f16 %h<3>;",
    "a bracket": "ld.global.f32 %f1, [%rd1;",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_known_is_refused(name: str) -> None:
    text = REFUSED[name]
    own = " ".join(text.split(";")[0].split())
    with pytest.raises(PtxError) as caught:
        translate(BODY.format(text))
    assert "line 11: " in str(caught.value)
    assert own in str(caught.value)


OTHERS = {
    ".extern .global .align 4 .b8 elsewhere[4];": "a variable of this kind is not known",
    ".global .align 4 .b8 few[2] = {1, 2, 3};": "more values than places",
    ".global .texref t;": "is not known",
    ".global .attribute(.managed) .align 4 .u32 both;": "is not known",
    ".global .u64 pointer[1] = {x};": "the value x is not known",
    ".func f() { cp.async.wait_all; ret; }": "only a kernel",
    ".func f() { exit; }": "only a kernel",
    ".func f(.param .b32 a) { .reg .b64 %r; mov.u64 %r, a; ret; }": "the address of a function's parameter",
    ".func f(.param .b32 a) { ret; } .visible .entry l() { call.uni f; ret; }": "f has 1 results and parameters",
    ".func f(.param .b32 a) { ret; } .visible .entry l() { .param .b64 b; call f, (b); ret; }": "b is not what f takes",
    ".visible .func (.reg .u32 r) f(.reg .u32 a) { ret; }": "is not known",
    ".visible .entry l(.param .u64 p) .reqnctapercluster 2, 1, 1 { ret; }": ".reqnctapercluster is not known",
}


@pytest.mark.parametrize("text", OTHERS)
def test_declarations_and_functions_that_are_not_known_are_refused(text: str) -> None:
    with pytest.raises(PtxError, match=f"line 14: .*{re.escape(OTHERS[text])}"):
        translate(BODY.format("") + text)


def test_text_that_is_no_module_is_refused() -> None:
    with pytest.raises(PtxError, match="no kernel"):
        translate(HEAD)
    with pytest.raises(PtxError, match="32: addresses have 64 bits"):
        translate(HEAD.replace("64", "32"))
    with pytest.raises(PtxError, match="does not end"):
        translate(BODY.format("").rstrip().rstrip("}"))
    loop = ".func f() { call.uni g; ret; } .func g() { call.uni f; ret; }"
    with pytest.raises(PtxError, match="f, g: recursion"):
        translate(BODY.format("") + loop)
