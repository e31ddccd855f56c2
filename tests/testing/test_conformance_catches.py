"""The suite catches backends with a planted fault, each with the checks that are there for it.

Those of `test_findings.py` have their first check there.
"""

import pytest

from edcore.testing import iter_checks, parametrize_with_backend_checks
from faulty_backends import (
    CellsOfTheStreamsAreSwapped,
    DividesByInfinity,
    EmptyOutputsAreFloat64,
    FailsOnAnEmptyBatch,
    FitDropsTheLastBatch,
    FitForgetsTheErrors,
    FitIgnoresWhoLearns,
    FitMeansByTheWholeBatch,
    FitRepeatsTheFirstOrder,
    Float32Sums,
    ForgetsALayerOfADeepStack,
    ForgetsCentring,
    ForgetsTheFloor,
    HeadsMixed,
    LayerErrorsAreNotCentred,
    LayerErrorsAreShifted,
    LayersInTheOrderOfTheirNames,
    LinearIsSigmoid,
    NewActivationLearnsAsSigmoid,
    NoReason,
    OneHotByCategory,
    OnlineAsBatch,
    OutputsShareTheTracesMemory,
    ProbeGivesNoReason,
    SoftmaxOfAllHeads,
    SoftmaxOfBothStreams,
    SoftmaxOverflows,
    Sound,
    SplitWithoutSplitting,
    StoppedHeadsLearnOn,
    TaughtAsTheInputLayer,
    TaughtInBlocks,
    WeightsByTheirPlaceInTheOrder,
    WrongSignInOneStream,
)

CAUGHT = [
    (WrongSignInOneStream, "check_update_split"),
    (Float32Sums, "check_update_split"),
    (Float32Sums, "check_trajectory"),
    (DividesByInfinity, "check_rms_of_huge_sums"),
    (ForgetsALayerOfADeepStack, "check_deep_stack"),
    (OutputsShareTheTracesMemory, "check_results_stay"),
    (FitMeansByTheWholeBatch, "check_fit"),
    (FitRepeatsTheFirstOrder, "check_fit"),
    (FitRepeatsTheFirstOrder, "check_fit_online"),
    (WeightsByTheirPlaceInTheOrder, "check_fit_weights"),
    (FitForgetsTheErrors, "check_fit_stops"),
    (StoppedHeadsLearnOn, "check_fit_stops"),
    (FitIgnoresWhoLearns, "check_fit_stops"),
    (EmptyOutputsAreFloat64, "check_empty_batch"),
    (SplitWithoutSplitting, "check_split_keeps_signs"),
    (HeadsMixed, "check_heads_are_independent"),
    (ForgetsTheFloor, "check_floor"),
    (SoftmaxOfAllHeads, "check_softmax"),
    (SoftmaxOfBothStreams, "check_softmax"),
    (SoftmaxOverflows, "check_softmax"),
    (ForgetsCentring, "check_variants"),
    (LinearIsSigmoid, "check_variants_fit"),
    (LayerErrorsAreShifted, "check_layer_errors"),
    (LayerErrorsAreNotCentred, "check_layer_errors"),
    (CellsOfTheStreamsAreSwapped, "check_layer_errors"),
    (NewActivationLearnsAsSigmoid, "check_new_activation"),
    (OneHotByCategory, "check_one_hot"),
    (LayersInTheOrderOfTheirNames, "check_widths"),
    (TaughtAsTheInputLayer, "check_widths"),
    (TaughtInBlocks, "check_variants"),
    (OnlineAsBatch, "check_fit_online"),
    (FitDropsTheLastBatch, "check_fit"),
    (NoReason, "check_oversize_gives_a_reason"),
    (ProbeGivesNoReason, "check_probe_never_raises"),
]


@pytest.mark.parametrize(
    ("faulty", "name"), [pytest.param(*pair, id="-".join((pair[0].__name__, pair[1]))) for pair in CAUGHT]
)
def test_fault_is_caught(faulty, name):
    with pytest.raises((AssertionError, ValueError, ZeroDivisionError)):
        dict(iter_checks())[name](faulty())


@parametrize_with_backend_checks([Sound()])
def test_the_backend_without_a_fault_passes(backend, check):
    check(backend)


@parametrize_with_backend_checks([FailsOnAnEmptyBatch()], expected_failures={"check_empty_batch": "zero rows"})
def test_expected_failures(backend, check):
    check(backend)


def test_expected_failure_of_an_unknown_check():
    with pytest.raises(ValueError, match=r"expected_failures: given 'check_fowrard'; .*Did you mean 'check_forward'\?"):
        parametrize_with_backend_checks(["loop"], expected_failures={"check_fowrard": "a typing error"})
