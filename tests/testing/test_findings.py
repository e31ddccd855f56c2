"""What the suite says of a wrong backend: one finding for each cause, with the right hint."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import faulty_backends as faulty
from edcore import Network, Rule
from edcore.errors import UnknownNameError
from edcore.testing import iter_checks, parametrize_with_backend_checks, report
from edcore.testing.diagnosis import UNDETERMINED
from edcore.testing.hints import BY_CHECK, HINTS
from edcore.testing.strategies import drawn_case
from edcore.testing.suspects.forward import forward_suspects
from edcore.testing.suspects.run import fit_suspects
from edcore.testing.suspects.update import update_suspects

FAULTS = [
    # the forward pass
    (faulty.TransposedHiddenLayer, "transposed", "check_forward", ""),
    (faulty.SlopeOfOne, "u0_factor", "check_forward", "exp(−z)"),
    (faulty.HeadsInReverse, "heads_order", "check_forward", ""),
    (faulty.OutputsAreFloat64, "dtype", "check_forward", ""),
    (faulty.OutputsAreFlat, "shape", "check_forward", ""),
    (faulty.ForwardInFloat32, "float32_sums", "check_forward", "in forward alone"),
    (faulty.ForgetsRms, "rms_forgotten", "check_variants", ""),
    (faulty.BiasCellsAreOne, "bias_activity", "check_presets", ""),
    (faulty.AlwaysSigmoid, "activation", "check_variants", "sigmoid"),
    (faulty.LinearIsSigmoid, "output_activation", "check_variants", "sigmoid"),
    (faulty.SoftmaxOverflows, "softmax", "check_softmax", "not subtracted"),
    (faulty.SoftmaxOfAllHeads, "softmax", "check_softmax", "all heads"),
    (faulty.SoftmaxOfBothStreams, "softmax", "check_softmax", "both streams"),
    (faulty.SoftmaxIsLinear, "softmax", "check_softmax", "are the sums"),
    # one update
    (faulty.WrongSign, "sign", "check_update_signed", ""),
    (faulty.WrongSignInOneStream, "sign", "check_update_signed", "input.weight of inhibitory cells"),
    (faulty.MissingMean, "mean_missing", "check_update_signed", ""),
    (faulty.MeanTwice, "mean_twice", "check_update_signed", ""),
    (faulty.RatesSwapped, "rates", "check_update_signed", "other's place"),
    (faulty.ForgottenOutputRate, "rates", "check_update_signed", "with alpha"),
    (faulty.SlopeInG, "derivative_factor", "check_update_signed", ""),
    (faulty.BiasesNotUpdated, "not_updated", "check_update_signed", "the biases"),
    (faulty.SplitWithoutSplitting, "split_missing", "check_update_split", ""),
    (faulty.HeadsMixed, "heads_mixed", "check_update_signed", ""),
    (faulty.TaughtInBlocks, "teachers", "check_presets", "in blocks"),
    (faulty.ForgetsTheFloor, "floor_forgotten", "check_presets", ""),
    (faulty.ForgetsCentring, "centring_forgotten", "check_presets", ""),
    (faulty.Float32Sums, "float32_sums", "check_update_signed", ""),
    (faulty.AddsSampleBySample, "added_one_by_one", "check_small_increments_of_large_weights", ""),
    (faulty.NudgesWeights, "zero_error", "check_zero_error_leaves_every_bit", ""),
    (faulty.FailsForSeveralHeads, "exception", "check_update_signed", ""),
    # sizes
    (faulty.DropsRowsBeyondOneTile, "size", "check_sizes_beyond_one_tile", ""),
    # arrays and memory
    (faulty.FailsOnAnEmptyBatch, "empty_batch", "check_empty_batch", ""),
    (faulty.WritesToItsInput, "writes_inputs", "check_any_memory_layout", ""),
    (faulty.ForwardReturnsAReusedBuffer, "results_change", "check_results_stay", ""),
    (faulty.TraceKeepsTheCallersX, "results_change", "check_results_stay", ""),
    (faulty.CopyIsTheWeights, "copy_shares", "check_copy", ""),
    (faulty.SharesMemory, "from_host_shares", "check_host_round_trip", ""),
    # calls again
    (faulty.NotDeterministic, "not_deterministic", "check_same_call_same_bits", ""),
    (faulty.RightOnceForAShape, "second_call", "check_second_call", ""),
    (faulty.KeepsWeightsByShape, "cached", "check_second_call", ""),
    (faulty.KeepsByIdentity, "cached", "check_second_call", ""),
    (faulty.WrongOffTheMainThread, "second_thread", "check_second_thread", ""),
    (faulty.FailsOffTheMainThread, "second_thread", "check_second_thread", ""),
    # runs
    (faulty.FitDropsTheLastBatch, "last_batch", "check_presets", ""),
    (faulty.FitMeansByTheWholeBatch, "mean_by_batch_size", "check_presets", ""),
    (faulty.FitRepeatsTheFirstOrder, "orders", "check_presets", "order of the first"),
    (faulty.OnlineAsBatch, "online_as_batch", "check_presets", ""),
    (faulty.FitIgnoresWeights, "sample_weights", "check_fit_weights", "passed over"),
    (faulty.FitNeverStops, "stops", "check_fit_stops", ""),
    # what a researcher adds
    (faulty.NewActivationIsSigmoid, "new_activation", "check_new_activation", ""),
    (faulty.OneHotByCategory, "one_hot", "check_one_hot", ""),
    (faulty.LayersInTheOrderOfTheirNames, "layers_sorted", "check_widths", "hidden.10"),
    (faulty.TaughtAsTheInputLayer, "teachers", "check_widths", "in all layers"),
    (faulty.LayersLearnFromTheOutputsError, "layer_errors", "check_layer_errors", ""),
    # the contract
    (faulty.MoreIsFreeThanThereIs, "memory", "check_protocol", ""),
    (faulty.ProbeRaises, "probe", "check_probe_never_raises", ""),
    (faulty.TakesWhatItDoesNotKnow, "unknown_accepted", "check_unknown_is_refused", ""),
]


RARE = (faulty.ForwardInFloat32, faulty.Float32Sums, faulty.FitNeverStops)


@pytest.mark.parametrize(
    ("fault", "cause", "first", "detail"), [pytest.param(*row, id=row[0].__name__) for row in FAULTS]
)
def test_a_fault_is_one_finding_with_its_hint(fault, cause, first, detail):
    # Some are too rare for the few examples of a quick run.
    found = report(fault(), [first] if fault in RARE else None, quick=fault not in RARE)
    assert [finding.cause for finding in found.findings] == [cause]
    finding = found.findings[0]
    assert first in finding.checks
    assert detail in finding.title
    assert (finding.advice, finding.title.startswith(HINTS[cause].title[:-1]) or cause == "exception") == (
        HINTS[cause].advice,
        True,
    )
    assert {*finding.checks, *finding.perhaps} == found.failed.keys()


def numbers(fault, name="check_update_signed"):
    """Return the diagnosis of a check that fails."""
    return report(fault(), [name], quick=True).findings[0].diagnosis


@pytest.mark.parametrize(
    ("fault", "ratio"),
    [
        (faulty.WrongSign, -1),
        (faulty.MissingMean, 2),  # the batch of the simplest case
        (faulty.MeanTwice, 1 / 2),
        (faulty.BiasesNotUpdated, 0),
        (faulty.SlopeInG, 2 / 0.4),
        (faulty.RatesSwapped, 1.0 / 0.8),
    ],
)
def test_the_ratio_of_the_change(fault, ratio):
    found = numbers(fault)
    assert found.ratio == pytest.approx(ratio, rel=0.02, abs=1e-6)
    change, right = found.place.got - found.before, found.place.expected - found.before
    assert change / right == pytest.approx(found.ratio)


def test_the_ratios_of_arrays():
    found = numbers(faulty.WrongSignInOneStream)
    assert found.ratios.pop("input.weight of inhibitory cells") == pytest.approx(-1, rel=0.02)
    assert list(found.ratios.values()) == pytest.approx([1] * 7, rel=0.02)


def test_the_simplest_case_can_be_pasted_and_fails():
    finding = report(faulty.MissingMean(), ["check_presets"], quick=True).findings[0]
    case = eval(finding.case, {"Network": Network, "Rule": Rule, "drawn_case": drawn_case})
    assert finding.case == "drawn_case(Network(in_=1, width=1, depth=0), Rule(), batch=2, scale=1.0, seed=0)"
    assert finding.passes_with == ("batch=1",)
    backend = faulty.MissingMean()
    _, trace = backend.trace(case.network, case.weights, case.x)
    learned = backend.update(case.network, case.rule, case.weights, trace, case.error)
    place = finding.diagnosis.place
    assert learned[place.what][place.index] == place.got


def test_the_size_from_which_on_it_fails():
    finding = report(faulty.DropsRowsBeyondOneTile(), ["check_sizes_beyond_one_tile"]).findings[0]
    assert "batch=65" in finding.case
    assert "batch=64" in finding.passes_with


def test_an_exception_has_its_file_and_line():
    finding = report(faulty.FailsForSeveralHeads(), ["check_update_signed"], quick=True).findings[0]
    source = finding.diagnosis.source
    assert (source.type, source.message, source.call) == ("IndexError", "head 1 is out of bounds", "update")
    line = Path(faulty.__file__).read_text().splitlines()[source.line - 1]
    assert os.path.samefile(source.file, faulty.__file__)
    assert "raise IndexError" in line
    assert finding.passes_with == ("heads=1",)
    assert finding.title == "update raises IndexError: head 1 is out of bounds"


@pytest.mark.parametrize(
    ("fault", "cause", "title"),
    [
        (faulty.TransposedEverywhere, "shapes_differ", "trace raises ValueError: matmul"),
        (faulty.UpdateReturnsNone, "returns_nothing", "A method returns None: update."),
        (faulty.HasNoToHost, "returns_nothing", "A method returns None: to_host."),
        (faulty.WeightsAreTheCallers, "from_host_shares", "from_host keeps the caller's memory."),
    ],
)
def test_a_fault_that_breaks_nearly_all_is_one_finding(fault, cause, title):
    found = report(fault(), quick=True)
    assert len(found.failed) > 8
    assert [finding.cause for finding in found.findings] == [cause]
    assert found.findings[0].title.startswith(title)
    assert found.findings[0].advice == HINTS[cause].advice
    size = "in_=1, width=2" if cause == "shapes_differ" else "in_=1, width=1"  # 2 by 2 weights can be transposed
    assert f"Network({size}, depth=0)" in found.findings[0].case


def test_an_exception_of_a_library_has_the_line_of_the_backend():
    class Library(faulty.Sound):
        def forward(self, network, weights, x):
            return np.linalg.inv(x[0])

    source = report(Library(), ["check_forward"], quick=True).findings[0].diagnosis.source
    assert os.path.samefile(source.file, __file__)
    assert source.function == "forward"


def test_two_causes_are_two_findings_and_the_simplest_comes_first():
    class Both(faulty.MissingMean, faulty.FailsOnAnEmptyBatch):
        pass

    found = report(Both(), ["check_empty_batch", "check_update_signed"], quick=True)
    assert [finding.cause for finding in found.findings] == ["mean_missing", "empty_batch"]
    lines = found.text().splitlines()
    assert lines[0] == "Start here: check_update_signed"
    assert lines[-1] == "Then check_empty_batch: forward fails for an empty batch."
    assert sum(line.startswith("Then") for line in found.text(verbose=True).splitlines()) == 1


def test_a_sound_backend_has_no_findings():
    found = report(faulty.Sound(), ["check_forward", "check_second_call", "check_second_thread"])
    assert found.passed == ("check_forward", "check_second_call", "check_second_thread")
    assert (found.failed, found.findings) == ({}, ())


def test_an_unknown_check():
    with pytest.raises(UnknownNameError, match=r"check: given 'check_foward'.*Did you mean 'check_forward'"):
        report(faulty.Sound(), ["check_foward"])


def test_a_failure_under_pytest_has_the_hint():
    mark = parametrize_with_backend_checks([faulty.WrongSign()], quick=True)
    backend, check = next(one.values for one in mark.args[1] if one.id.endswith("check_update_signed"))
    with pytest.raises(AssertionError) as caught:
        check(backend)
    assert HINTS["sign"].title in caught.value.__notes__


def test_each_cause_has_a_hint():
    suspects = [*forward_suspects(), *update_suspects()]
    orders = np.array([[0, 1, 2], [2, 1, 0]])
    causes = {one.cause for one in suspects} | {cause for cause, *_ in fit_suspects(Rule(), orders, 2)}
    assert causes | set(BY_CHECK.values()) | set(UNDETERMINED) <= HINTS.keys()
    assert BY_CHECK.keys() <= dict(iter_checks()).keys()


PROGRAM = """
import sys
sys.path[:0] = [{folder!r}]
import faulty_backends
from edcore.testing import report
print(report(faulty_backends.MissingMean(), ["check_update_signed"], quick=True).text())
"""


def test_under_python_without_assertions():
    program = PROGRAM.format(folder=os.path.dirname(faulty.__file__))
    done = subprocess.run([sys.executable, "-O", "-c", program], capture_output=True, text=True, check=True)
    assert HINTS["mean_missing"].title in done.stdout
