"""The suite catches backends with a planted fault, each with the checks that are there for it."""

import pytest

from edcore.testing import iter_checks, parametrize_with_backend_checks
from faulty_backends import (
    AddsSampleBySample,
    AlwaysSigmoid,
    BiasCellsAreOne,
    CellsOfTheStreamsAreSwapped,
    CopyIsTheWeights,
    DividesByInfinity,
    DropsRowsBeyondOneTile,
    EmptyOutputsAreFloat64,
    FailsOnAnEmptyBatch,
    FitDropsTheLastBatch,
    FitForgetsTheErrors,
    FitIgnoresWeights,
    FitIgnoresWhoLearns,
    FitMeansByTheWholeBatch,
    FitNeverStops,
    FitRepeatsTheFirstOrder,
    Float32Sums,
    ForgetsALayerOfADeepStack,
    ForgetsCentring,
    ForgetsRms,
    ForgetsTheFloor,
    ForgottenOutputRate,
    ForwardInFloat32,
    ForwardReturnsAReusedBuffer,
    HeadsMixed,
    LayerErrorsAreNotCentred,
    LayerErrorsAreShifted,
    LayersLearnFromTheOutputsError,
    LinearIsSigmoid,
    MissingMean,
    MoreIsFreeThanThereIs,
    NewActivationIsSigmoid,
    NewActivationLearnsAsSigmoid,
    NoReason,
    NotDeterministic,
    NudgesWeights,
    OnlineAsBatch,
    OutputsShareTheTracesMemory,
    ProbeGivesNoReason,
    ProbeRaises,
    SharesMemory,
    Sound,
    SplitWithoutSplitting,
    StoppedHeadsLearnOn,
    TakesWhatItDoesNotKnow,
    TaughtInBlocks,
    TraceKeepsTheCallersX,
    TransposedHiddenLayer,
    WeightsByTheirPlaceInTheOrder,
    WritesToItsInput,
    WrongSignInOneStream,
)

CAUGHT = [
    (TakesWhatItDoesNotKnow, "check_unknown_is_refused"),
    (WrongSignInOneStream, "check_update_signed"),
    (WrongSignInOneStream, "check_update_split"),
    (MissingMean, "check_update_signed"),
    (TransposedHiddenLayer, "check_forward"),
    (Float32Sums, "check_update_signed"),
    (Float32Sums, "check_update_split"),
    (Float32Sums, "check_trajectory"),
    (AddsSampleBySample, "check_small_increments_of_large_weights"),
    (DividesByInfinity, "check_rms_of_huge_sums"),
    (ForwardInFloat32, "check_forward"),
    (ForgetsALayerOfADeepStack, "check_deep_stack"),
    (DropsRowsBeyondOneTile, "check_sizes_beyond_one_tile"),
    (ForwardReturnsAReusedBuffer, "check_results_stay"),
    (TraceKeepsTheCallersX, "check_results_stay"),
    (OutputsShareTheTracesMemory, "check_results_stay"),
    (FitMeansByTheWholeBatch, "check_fit"),
    (FitRepeatsTheFirstOrder, "check_fit"),
    (FitRepeatsTheFirstOrder, "check_fit_online"),
    (FitIgnoresWeights, "check_fit_weights"),
    (WeightsByTheirPlaceInTheOrder, "check_fit_weights"),
    (FitNeverStops, "check_fit_stops"),
    (FitForgetsTheErrors, "check_fit_stops"),
    (StoppedHeadsLearnOn, "check_fit_stops"),
    (FitIgnoresWhoLearns, "check_fit_stops"),
    (CopyIsTheWeights, "check_copy"),
    (MoreIsFreeThanThereIs, "check_protocol"),
    (EmptyOutputsAreFloat64, "check_empty_batch"),
    (SplitWithoutSplitting, "check_update_split"),
    (SplitWithoutSplitting, "check_split_keeps_signs"),
    (HeadsMixed, "check_heads_are_independent"),
    (ForgetsTheFloor, "check_floor"),
    (ForgetsCentring, "check_variants"),
    (ForgetsRms, "check_variants"),
    (BiasCellsAreOne, "check_presets"),
    (AlwaysSigmoid, "check_variants"),
    (LinearIsSigmoid, "check_variants_fit"),
    (LayersLearnFromTheOutputsError, "check_layer_errors"),
    (LayerErrorsAreShifted, "check_layer_errors"),
    (LayerErrorsAreNotCentred, "check_layer_errors"),
    (CellsOfTheStreamsAreSwapped, "check_layer_errors"),
    (NewActivationIsSigmoid, "check_new_activation"),
    (NewActivationLearnsAsSigmoid, "check_new_activation"),
    (TaughtInBlocks, "check_variants"),
    (TaughtInBlocks, "check_presets"),
    (ForgottenOutputRate, "check_update_signed"),
    (OnlineAsBatch, "check_fit_online"),
    (FitDropsTheLastBatch, "check_fit"),
    (SharesMemory, "check_host_round_trip"),
    (WritesToItsInput, "check_any_memory_layout"),
    (NotDeterministic, "check_same_call_same_bits"),
    (NudgesWeights, "check_zero_error_leaves_every_bit"),
    (NoReason, "check_oversize_gives_a_reason"),
    (ProbeRaises, "check_probe_never_raises"),
    (ProbeGivesNoReason, "check_probe_never_raises"),
    (FailsOnAnEmptyBatch, "check_empty_batch"),
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
