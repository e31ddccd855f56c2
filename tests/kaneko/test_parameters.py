"""The parameters of Kaneko's program: its teachers, and the values that it refuses."""

import dataclasses
import math
import tracemalloc

import numpy as np
import pytest

from edcore.errors import InputError
from edcore.kaneko import Parameters, Program, Rand, layered_weights, run
from edcore.kaneko.parameters import needed

XOR = {"inputs": 2}
NAMES = "'parity', 'mirror', 'random', 'real', 'one'"
TARGETS = f"{NAMES}, or targets from 0 to 1, patterns × outputs:"


def test_targets_are_kept_as_tuples_and_parameters_can_be_compared():
    p = Parameters(**XOR, teacher=np.array([0, 0.25, 0.5, 1]))
    assert p.teacher == ((0.0,), (0.25,), (0.5,), (1.0,))
    assert p == Parameters(**XOR, teacher=[[0], [0.25], [0.5], [1]])
    assert hash(p) == hash(dataclasses.replace(p))
    assert Parameters(f3=True) == Parameters(f3=1)


def test_parity_at_every_output():
    assert Parameters(inputs=3, patterns=5, outputs=2).target_values.T.tolist() == [[0, 1, 1, 0, 1]] * 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seed": -1}, "seed: given -1; accepted: a whole number from 0 to 4294967295."),
        ({"seed": 2**32}, "seed: given 4294967296; accepted: a whole number from 0 to 4294967295."),
        ({"seed": 2**130}, "seed: given a number of 131 bits; accepted: a whole number from 0 to 4294967295."),
        ({"seed": None}, "seed: given None; accepted: a whole number from 0 to 4294967295."),
        ({"inputs": 0}, "inputs: given 0; accepted: a whole number of at least 1."),
        ({"outputs": 0}, "outputs: given 0; "),
        ({"hidden": 0}, "hidden: given 0; "),
        ({"hidden2": -1}, "hidden2: given -1; "),
        ({"steps": 0}, "steps: given 0; "),
        ({"epochs": 0}, "epochs: given 0; "),
        ({"hidden": 2.5}, "hidden: given 2.5; "),
        (
            {"patterns": 17},
            "patterns: given 17; accepted: at most 2^inputs = 16.",
        ),
        ({"patterns": 0}, "patterns: given 0; accepted: a whole number of at least 1."),
        ({"inputs": 21}, "patterns: given no number; accepted: a number of patterns"),
        ({"hidden2": 2}, "steps: given 2; accepted: 3 or more with a second group of 2."),
        ({"steps": 1}, "steps: given 1; accepted: 2 or more with f6 and f7."),
        ({"f6": 2}, "f6: given 2; accepted: 1 or 0."),
        ({"f10": "1"}, "f10: given '1'; accepted: 1 or 0."),
        ({"u0": 0}, "u0: given 0; accepted: a finite number above 0."),
        ({"u1": -1}, "u1: given -1; accepted: a finite number of at least 0."),
        ({"alpha": math.nan}, "alpha: given nan; "),
        ({"beta": math.inf}, "beta: given inf; "),
        ({"weight_range": -0.1}, "weight_range: given -0.1; "),
        ({"threshold_range": "1"}, "threshold_range: given '1'; "),
        ({"tolerance": -1}, "tolerance: given -1; "),
        ({"teacher": "party"}, f"teacher: given 'party'; accepted: {TARGETS} 16 × 1."),
        ({"teacher": [0, 1]}, f"teacher: given 2 targets; accepted: {TARGETS} 16 × 1."),
        ({"teacher": [[0], [0, 1]]}, "teacher: given [[0], [0, 1]]; "),
        ({"teacher": [0] * 16, "outputs": 2}, f"teacher: given 16 targets; accepted: {TARGETS} 16 × 2."),
        ({"teacher": [[0]] * 15}, f"teacher: given 15 × 1 targets; accepted: {TARGETS} 16 × 1."),
        ({"teacher": [2] * 16}, "teacher: given a value outside 0 to 1; "),
        ({"teacher": [math.nan] * 16}, "teacher: given a value outside 0 to 1; "),
    ],
)
def test_what_no_run_can_depend_on_is_refused(changes, sentence):
    with pytest.raises(InputError) as refusal:
        Parameters(**changes)
    assert str(refusal.value).startswith(sentence)


# Teachers


def column(teacher, **changes):
    return Parameters(teacher=teacher, **changes).target_values[:, 0].tolist()


def test_a_mirror_reads_the_same_from_both_ends():
    assert column("mirror", inputs=3) == [1, 0, 1, 0, 0, 1, 0, 1]
    assert column("mirror", inputs=1) == [1, 1]


# The first draws after srand(1) are .9383 .0886 .2777 .6915 .7793 .8335 .5386 .0492.


def test_random_targets_are_1_for_draws_above_a_half():
    assert column("random", inputs=3) == [1, 0, 0, 1, 1, 1, 1, 0]


def test_a_draw_of_exactly_a_half_is_not_above_it():
    assert Rand(35703).r() == 0.5
    assert column("random", seed=35703, inputs=1)[0] == 0
    assert column("parity", seed=35703, inputs=1, random_inputs=True)[0] == 0


def test_real_targets_are_the_draws():
    assert column("real", inputs=2) == [0.9383, 0.0886, 0.2777, 0.6915]


def test_the_last_draw_of_one_counts():
    assert column("one", inputs=2) == [0, 0, 1, 0]  # 4 · .6915 = 2.8


def test_outputs_of_the_kind_one_never_take_the_same_pattern():
    # Pattern 0 draws .9383 and .0886, so patterns 1 and 0; pattern 1 draws .2777 and .6915, so patterns 0 and 1.
    assert Parameters(inputs=1, outputs=2, teacher="one").target_values.tolist() == [[1, 0], [0, 1]]
    for seed in range(1, 40):
        targets = Parameters(inputs=2, outputs=4, teacher="one", seed=seed).target_values
        assert targets.sum(axis=0).tolist() == targets.sum(axis=1).tolist() == [1, 1, 1, 1]


def test_random_inputs_are_drawn_before_the_targets_of_their_pattern():
    p = Parameters(inputs=2, patterns=2, random_inputs=True, outputs=2, teacher=["parity", "real"])
    assert p.input_values.tolist() == [[0.9383, 0.0886], [0.6915, 0.7793]]
    assert p.target_values.tolist() == [[1, 0.2777], [0, 0.8335]]


def test_random_inputs_can_have_more_patterns_than_there_are_bits():
    p = Parameters(inputs=1, patterns=5, random_inputs=True)
    assert p.input_values[:, 0].tolist() == [0.9383, 0.0886, 0.2777, 0.6915, 0.7793]
    assert p.target_values[:, 0].tolist() == [1, 0, 0, 1, 1]


def test_weights_are_drawn_after_the_targets():
    drawn, plain = Program(Parameters(**XOR, teacher="real")), Program(Parameters(**XOR))
    after = Rand(1)
    after.draws(4)
    assert drawn.weights[0, 0, 0] == after.r()
    assert plain.weights[0, 0, 0] == 0.9383


def test_a_kind_for_each_output():
    p = Parameters(**XOR, outputs=3, teacher=["parity", np.array([0, 0, 0.5, 1]), "mirror"])
    assert p.teacher == ("parity", (0.0, 0.0, 0.5, 1.0), "mirror")
    assert p.target_values.T.tolist() == [[0, 1, 1, 0], [0, 0, 0.5, 1], [1, 0, 0, 1]]
    assert hash(p) == hash(dataclasses.replace(p))


def test_the_same_kind_for_each_output_is_that_kind():
    assert Parameters(outputs=2, teacher=["real", "real"]) == Parameters(outputs=2, teacher="real")


def test_the_program_learns_the_targets_of_its_parameters():
    p = Parameters(inputs=3, outputs=2, teacher=["random", "real"], random_inputs=True, patterns=4, hidden=16)
    program = Program(p)
    while not program.stopped:
        epoch = program.advance()
    assert program.learnt
    np.testing.assert_allclose(epoch.outputs, p.target_values, atol=0.1)


ODD_TARGETS = [
    "0110",
    b"0110",
    ["0", "1", "1", "0"],
    [b"0", b"1", b"1", b"0"],
    np.array(["0", "1", "1", "0"]),
    np.array(["parity"]),
    np.ma.masked_array([0.0, 1, 1, 0], [0, 0, 0, 1]),
    np.array([0j, 1, 1, 0]),
    np.array([0, 1, 1, 0], "m8[s]"),
    [None, 1, 1, 0],
    {0: 0, 1: 1},
    (target for target in [0, 1, 1, 0]),
    0.5,
    None,
    True,
    "kaneko",
    "Parity",
    [],
]


@pytest.mark.parametrize("teacher", ODD_TARGETS, ids=lambda value: type(value).__name__)
def test_what_could_be_taken_for_targets_is_refused(teacher):
    with pytest.raises(InputError, match="^teacher: given "):
        Parameters(**XOR, teacher=teacher)


def test_an_array_that_cannot_be_read_is_refused():
    class Unreadable:
        def __array__(self, *arguments, **options):
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    with pytest.raises(InputError, match="^teacher: given .*Unreadable"):
        Parameters(teacher=Unreadable())


def test_truth_values_and_whole_numbers_are_targets():
    for dtype in ("?", "u1", ">i8", "f2", ">f4", "g"):
        assert Parameters(**XOR, teacher=np.array([0, 1, 1, 0], dtype)).teacher == ((0.0,), (1.0,), (1.0,), (0.0,))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"teacher": ["parity", "mirror"]},
            f"teacher: given 2 kinds of targets; accepted: one for each output (1 here): {NAMES}",
        ),
        (
            {"teacher": ["parity", "mirrr"], "outputs": 2},
            f"teacher: given 'mirrr'; accepted: {NAMES}, or a target from 0",
        ),
        (
            {"teacher": ["parity", [0, 1]], "outputs": 2},
            f"teacher: given 2 targets; accepted: {NAMES}, or a target from 0",
        ),
        ({"teacher": ["parity", True], "outputs": 2}, f"teacher: given True; accepted: {NAMES}, or a target from 0"),
        ({"teacher": ["parity", [0] * 15 + [2]], "outputs": 2}, "teacher: given a value outside 0 to 1; "),
        (
            {"teacher": "one", "outputs": 17},
            "teacher: given 'one' for 17 outputs; accepted: it for at most 16 outputs with 16 patterns. Each of these",
        ),
        (
            {"teacher": ["real"], "outputs": 2},
            "teacher: given 1 kind of targets; accepted: one for each output (2 here)",
        ),
        ({"random_inputs": "no"}, "random_inputs: given 'no'; accepted: True or False."),
        ({"random_inputs": 1}, "random_inputs: given 1; accepted: True or False."),
        ({"random_inputs": True, "inputs": 21}, "patterns: given no number; accepted: a number of patterns"),
    ],
)
def test_teachers_and_random_inputs_that_are_refused(changes, sentence):
    with pytest.raises(InputError) as refusal:
        Parameters(**changes)
    assert str(refusal.value).startswith(sentence)


# Odd values of everything


ODD = [
    *("1", "no", b"1", True, None, 1.5, -1, -0.5, math.nan, math.inf, 10**4000, 2**128, [1], np.array([1]), object),
    np.datetime64(1, "s"),
]
WHOLE = {"seed", "inputs", "patterns", "outputs", "hidden", "hidden2", "steps", "epochs"}
FLAGS = {"f3", "f6", "f7", "f10", "f11"}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Parameters) if field.name != "teacher"])
def test_odd_values_are_refused(name):
    if name in WHOLE:
        fine = [None] if name == "patterns" else []
    else:
        fine = [True] if name in FLAGS | {"random_inputs"} else [1.5]
    for value in ODD:
        if any(value is one for one in fine):
            Parameters(**{name: value})
            continue
        with pytest.raises(InputError) as refusal:
            Parameters(**{name: value})
        assert refusal.value.argument == name
        assert len(str(refusal.value)) < 400


@pytest.mark.parametrize("value", [2**40, 2**63 - 1, 2**63, 2**64, 2**127])
@pytest.mark.parametrize("name", ["inputs", "outputs", "hidden", "hidden2", "patterns"])
def test_what_does_not_fit_into_memory_is_refused_before_it_is_allocated(name, value):
    tracemalloc.start()
    with pytest.raises(InputError) as refusal:
        Parameters(**{"patterns": 3, "steps": 3, "random_inputs": True, name: value})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(refusal.value).startswith(f"{name}: given {value}; accepted: less, as the run needs ")
    assert peak < 2**20


def test_too_many_draws_are_refused_before_they_are_allocated():
    for n in (2**50, 2**64):
        with pytest.raises(InputError, match=f"^n: given {n}; accepted: as many numbers of 8 bytes as fit"):
            Rand(1).draws(n)
    with pytest.raises(InputError, match="^n: given -1; "):
        Rand(1).draws(-1)


def test_draws_of_several_blocks_are_single_draws():
    random, same = Rand(5), Rand(5)
    assert random.draws(150_000).tolist() == [same.r() for _ in range(150_000)]


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden": 300},
        {"hidden": 300, "f3": 0, "f6": 0},
        {"hidden": 100, "hidden2": 300, "steps": 3},
        {"outputs": 4000, "hidden": 2, "inputs": 2},
        {"outputs": 16, "hidden": 2, "inputs": 12, "teacher": "real", "random_inputs": True},
        {"inputs": 300, "patterns": 1000, "random_inputs": True},
        {"inputs": 300, "patterns": 300, "hidden": 50},
    ],
)
def test_a_run_takes_no_more_memory_than_was_counted(changes):
    p = Parameters(**changes)
    tracemalloc.start()
    program = Program(p)
    if p.patterns < 100:
        program.advance()
    program.result()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert needed(p) / 4 < peak < needed(p)


def test_what_is_no_program_is_refused():
    for wrong in ({}, "xor", Parameters, 4):
        with pytest.raises(
            InputError, match=r"^parameters: given .*; accepted: an instance of edcore\.kaneko\.Parameters"
        ):
            run(wrong)
        with pytest.raises(InputError, match=r"^program: given .*; accepted: an instance of edcore\.kaneko\.Program"):
            layered_weights(wrong)


def test_what_a_program_shows_cannot_change_it():
    program, other = Program(Parameters(**XOR)), Program(Parameters(**XOR))
    program.advance()
    program.errors.clear()
    program.wiring[:] = False
    program.weights[:] = 9
    for name in ("parameters", "errors", "wiring", "weights"):
        with pytest.raises(AttributeError):
            setattr(program, name, None)
    while not program.stopped:
        program.advance()
    while not other.stopped:
        other.advance()
    assert program.errors == other.errors
    np.testing.assert_array_equal(program.weights, other.weights)
