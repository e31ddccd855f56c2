"""Backends with one planted fault each, for the conformance suite to find and to name."""

import dataclasses
import threading

import array_api_compat.numpy as xp
import numpy as np

from edcore.adapters.array_api import NUMPY, ArrayAPIBackend
from edcore.contract.backend import Availability, Backend, fills_errors, takes_weights
from edcore.contract.memory import Memory, fits
from edcore.core import method as core
from edcore.core.activations import ACTIVATIONS, SOFTMAX, softmax


class Sound(ArrayAPIBackend):
    """The numpy backend, in which each fault below is planted."""

    def __init__(self):
        super().__init__(xp, "cpu", NUMPY)


class WrongSignInOneStream(Sound):
    def update(self, network, rule, weights, trace, error):
        learned = super().update(network, rule, weights, trace, error)
        half = network.width
        change = learned["input.weight"] - weights["input.weight"]
        learned["input.weight"][..., half:] -= 2 * change[..., half:]
        return learned


class MissingMean(Sound):
    def update(self, network, rule, weights, trace, error):
        return super().update(network, dataclasses.replace(rule, reduction="sum"), weights, trace, error)


class TransposedHiddenLayer(Sound):
    def trace(self, network, weights, x):
        return super().trace(network, self._transposed(weights), x)

    def forward(self, network, weights, x):
        return super().forward(network, self._transposed(weights), x)

    def _transposed(self, weights):
        return {**weights, "hidden.weight": np.swapaxes(weights["hidden.weight"], -1, -2)}


class Float32Sums(Sound):
    def update(self, network, rule, weights, trace, error):
        single = tuple(core.Cells(*(part if part is None else part.astype(np.float32) for part in c)) for c in trace)
        old = {key: value.astype(np.float32) for key, value in weights.items()}
        new = super().update(network, rule, old, single, error.astype(np.float32))
        return {key: weights[key] + (new[key] - old[key]).astype(network.dtype) for key in weights}


class AddsSampleBySample(Sound):
    def update(self, network, rule, weights, trace, error):
        if rule.reduction == "mean" or rule.centred:
            return super().update(network, rule, weights, trace, error)
        for b in range(len(error)):
            one = tuple(core.Cells(*(part if part is None else part[:, b : b + 1] for part in c)) for c in trace)
            weights = super().update(network, rule, weights, one, error[b : b + 1])
        return weights


class DividesByInfinity(Sound):
    def forward(self, network, weights, x):
        outputs = super().forward(network, weights, x)
        nothing = {key: 0 * value if key.startswith("input") else value for key, value in weights.items()}
        return np.where(np.isnan(outputs), super().forward(network, nothing, x), outputs)


class ForwardInFloat32(Sound):
    def forward(self, network, weights, x):
        old = {key: value.astype(np.float32) for key, value in weights.items()}
        return super().forward(network, old, x.astype(np.float32)).astype(network.dtype)


class ForgetsALayerOfADeepStack(Sound):
    def update(self, network, rule, weights, trace, error):
        learned = super().update(network, rule, weights, trace, error)
        learned["hidden.weight"][:, 64:65] = weights["hidden.weight"][:, 64:65]
        return learned


class DropsRowsBeyondOneTile(Sound):
    def update(self, network, rule, weights, trace, error):
        kept = np.where(np.arange(len(error))[:, None] < 64, error, 0)
        return super().update(network, rule, weights, trace, kept)


class ForwardReturnsAReusedBuffer(Sound):
    buffers = None

    def forward(self, network, weights, x):
        outputs = super().forward(network, weights, x)
        if self.buffers is None or self.buffers.shape != outputs.shape or self.buffers.dtype != outputs.dtype:
            self.buffers = np.empty_like(outputs)
        self.buffers[...] = outputs
        return self.buffers


class TraceKeepsTheCallersX(Sound):
    def trace(self, network, weights, x):
        outputs, trace = super().trace(network, weights, x)
        return outputs, (x, trace)

    def update(self, network, rule, weights, trace, error):
        x, (_, *others) = trace
        x = core.expand_one_hot(network, x)
        inputs = core.Cells(np.concatenate([x, x], axis=-1)[None], None)
        return super().update(network, rule, weights, (inputs, *others), error)


class OutputsShareTheTracesMemory(Sound):
    def trace(self, network, weights, x):
        return core.trace(network, weights, x)


class FitMeansByTheWholeBatch(Sound):
    def fit(self, network, rule, weights, x, target, schedule):
        inner = Sound()
        inner.update = lambda network, rule, weights, trace, error: Sound.update(
            self, network, rule, weights, trace, (error * (len(error) / schedule.batch_size)).astype(error.dtype)
        )
        return inner.fit(network, rule, weights, x, target, schedule)


class FitRepeatsTheFirstOrder(Sound):
    def fit(self, network, rule, weights, x, target, schedule):
        first = np.broadcast_to(schedule.orders[:1], schedule.orders.shape)
        return super().fit(network, rule, weights, x, target, dataclasses.replace(schedule, orders=first))


class FitIgnoresWeights(Sound):
    @takes_weights
    def fit(self, network, rule, weights, x, target, schedule):
        return super().fit(network, rule, weights, x, target, dataclasses.replace(schedule, weights=None))


class WeightsByTheirPlaceInTheOrder(Sound):
    @takes_weights
    def fit(self, network, rule, weights, x, target, schedule):
        if schedule.weights is not None:
            schedule = dataclasses.replace(schedule, weights=schedule.weights[schedule.orders[0]])
        return super().fit(network, rule, weights, x, target, schedule)


class FitNeverStops(Sound):
    def fit(self, network, rule, weights, x, target, schedule):
        return super().fit(network, rule, weights, x, target, dataclasses.replace(schedule, tolerance=0.0))


class FitForgetsTheErrors(Sound):
    @fills_errors
    def fit(self, network, rule, weights, x, target, schedule):
        return super().fit(network, rule, weights, x, target, dataclasses.replace(schedule, errors=None))


class StoppedHeadsLearnOn(Sound):
    def fit(self, network, rule, weights, x, target, schedule):
        _, stopped = super().fit(network, rule, dict(weights), x, target, schedule)
        endless = dataclasses.replace(schedule, tolerance=0.0)
        return super().fit(network, rule, weights, x, target, endless)[0], stopped


class FitIgnoresWhoLearns(Sound):
    def fit(self, network, rule, weights, x, target, schedule):
        everyone = dataclasses.replace(schedule, learning=np.ones_like(schedule.learning))
        return super().fit(network, rule, weights, x, target, everyone)


class CopyIsTheWeights(Sound):
    def update(self, network, rule, weights, trace, error):
        for key, value in super().update(network, rule, weights, trace, error).items():
            weights[key][...] = value
        return weights


class MoreIsFreeThanThereIs(Sound):
    def memory(self):
        return Memory(2, 1)


class EmptyOutputsAreFloat64(Sound):
    def forward(self, network, weights, x):
        return super().forward(network, weights, x) if len(x) else np.zeros((0, network.heads))


class SplitWithoutSplitting(Sound):
    def update(self, network, rule, weights, trace, error):
        return super().update(network, dataclasses.replace(rule, error="signed"), weights, trace, error)


class ForgetsTheFloor(Sound):
    def update(self, network, rule, weights, trace, error):
        return super().update(network, dataclasses.replace(rule, floor=None), weights, trace, error)


class ForgetsCentring(Sound):
    def update(self, network, rule, weights, trace, error):
        return super().update(network, dataclasses.replace(rule, centred=False), weights, trace, error)


class ForgetsRms(Sound):
    def trace(self, network, weights, x):
        return super().trace(dataclasses.replace(network, rms=False), weights, x)

    def forward(self, network, weights, x):
        return super().forward(dataclasses.replace(network, rms=False), weights, x)


class BiasCellsAreOne(Sound):
    def trace(self, network, weights, x):
        return super().trace(dataclasses.replace(network, bias=1.0), weights, x)

    def forward(self, network, weights, x):
        return super().forward(dataclasses.replace(network, bias=1.0), weights, x)


class AlwaysSigmoid(Sound):
    def trace(self, network, weights, x):
        return super().trace(dataclasses.replace(network, activation="sigmoid"), weights, x)

    def forward(self, network, weights, x):
        return super().forward(dataclasses.replace(network, activation="sigmoid"), weights, x)


class NewActivationIsSigmoid(Sound):
    """Take any activation that is not the library's own for the sigmoid, as a branch without a last word does."""

    def _known(self, network):
        names = ("activation", "output_activation")
        new = {name: "sigmoid" for name in names if getattr(network, name) not in (*ACTIVATIONS, SOFTMAX)}
        return dataclasses.replace(network, **new)

    def trace(self, network, weights, x):
        return super().trace(self._known(network), weights, x)

    def forward(self, network, weights, x):
        return super().forward(self._known(network), weights, x)

    def update(self, network, rule, weights, trace, error):
        return super().update(self._known(network), rule, weights, trace, error)


class NewActivationLearnsAsSigmoid(NewActivationIsSigmoid):
    trace, forward = Sound.trace, Sound.forward


class OneHotByCategory(Sound):
    """Number the inputs by their category first, not by their column."""

    def forward(self, network, weights, x):
        return super().forward(*self._expanded(network, weights, x))

    def trace(self, network, weights, x):
        return super().trace(*self._expanded(network, weights, x))

    def update(self, network, rule, weights, trace, error):
        return super().update(dataclasses.replace(network, one_hot=0), rule, weights, trace, error)

    def _expanded(self, network, weights, x):
        if not network.one_hot:
            return network, weights, x
        inputs = np.eye(network.one_hot, dtype=x.dtype)[x.astype(int)].swapaxes(1, 2).reshape(len(x), network.in_)
        return dataclasses.replace(network, one_hot=0), weights, inputs


class LayersInTheOrderOfTheirNames(Sound):
    """Take hidden layers as files list them: hidden.10 before hidden.2."""

    has_several_widths = True

    def trace(self, network, weights, x):
        return super().trace(network, self._sorted(weights), x)

    def forward(self, network, weights, x):
        return super().forward(network, self._sorted(weights), x)

    def _sorted(self, weights):
        found = dict(weights)
        for part in ("weight", "bias"):
            keys = [key for key in weights if key.endswith(part) and key.count(".") == 2]
            found |= {key: weights[other] for key, other in zip(keys, sorted(keys), strict=True)}
        return found


class TaughtAsTheInputLayer(Sound):
    """Teach cell j of each layer as cell j of the input layer, which may have another width."""

    has_several_widths = True

    def update(self, network, rule, weights, trace, error):
        by_head = error.reshape(len(error), network.heads, network.outputs).swapaxes(0, 1)
        cells = [j % network.widths[0] % network.outputs for j in range(2 * network.widest)]
        own = [by_head[..., cells[: 2 * width]] for width in network.widths]
        return core.update_layers(network, rule, weights, trace, [*own, error])


class LayersLearnFromTheOutputsError(Sound):
    def update_layers(self, network, rule, weights, trace, errors):
        return super().update_layers(network, rule, weights, trace, [errors[-1]] * len(errors))


class LayerErrorsAreShifted(Sound):
    def update_layers(self, network, rule, weights, trace, errors):
        given = list(errors)
        if network.depth and all(error.ndim == 2 for error in given):
            given[1], given[0] = given[0], given[1]
        return super().update_layers(network, rule, weights, trace, given)


class LayerErrorsAreNotCentred(Sound):
    def update_layers(self, network, rule, weights, trace, errors):
        return super().update_layers(network, dataclasses.replace(rule, centred=False), weights, trace, errors)


class CellsOfTheStreamsAreSwapped(Sound):
    def update_layers(self, network, rule, weights, trace, errors):
        given = [e if e.ndim == 2 else np.roll(e, e.shape[-1] // 2, axis=-1) for e in errors]
        return super().update_layers(network, rule, weights, trace, given)


class LinearIsSigmoid(Sound):
    def trace(self, network, weights, x):
        return super().trace(dataclasses.replace(network, output_activation="sigmoid"), weights, x)

    def forward(self, network, weights, x):
        return super().forward(dataclasses.replace(network, output_activation="sigmoid"), weights, x)


class OwnSoftmax(Sound):
    """Sound, with a softmax of its own over the sums (heads, batch, cells) of the output cells."""

    def trace(self, network, weights, x):
        if network.output_activation != SOFTMAX:
            return super().trace(network, weights, x)
        _, trace = super().trace(network, weights, x)
        with np.errstate(all="ignore"):
            read = self.softmax(trace[-1].y, network.outputs)[..., : network.outputs]
        return read.swapaxes(0, 1).reshape(len(x), network.columns), trace

    def forward(self, network, weights, x):
        return self.trace(network, weights, x)[0]


class SoftmaxOverflows(OwnSoftmax):
    def softmax(self, sums, outputs):
        exponentials = np.exp(sums[..., :outputs])
        return exponentials / exponentials.sum(axis=-1, keepdims=True)


class SoftmaxOfAllHeads(OwnSoftmax):
    def softmax(self, sums, outputs):
        most = sums[..., :outputs].max(axis=(0, 2), keepdims=True)
        exponentials = np.exp(sums[..., :outputs] - most)
        return exponentials / exponentials.sum(axis=(0, 2), keepdims=True)


class SoftmaxOfBothStreams(OwnSoftmax):
    def softmax(self, sums, outputs):
        return softmax(sums)


class SoftmaxIsLinear(OwnSoftmax):
    def softmax(self, sums, outputs):
        return sums


class TaughtInBlocks(Sound):
    def update(self, network, rule, weights, trace, error):
        """Teach the first cells by the first output, and so on, in place of j mod outputs."""
        order = np.argsort(np.argsort(np.arange(network.width) % network.outputs, kind="stable"))
        both = np.concatenate([order, network.width + order])

        def moved(cells):
            return cells._replace(y=cells.y[..., both])

        def sorted_(weights, way):
            inner = {"input.weight": (0, 1), "input.bias": (0, 1), "hidden.weight": (1, 1), "hidden.bias": (0, 1)}
            inner["output.weight"], inner["output.bias"] = (1, 0), (0, 0)
            out = {}
            for key, (rows, columns) in inner.items():
                value = weights[key][..., way] if columns else weights[key]
                out[key] = value[..., way, :] if rows else value
            return out

        if network.outputs == 1 or network.rms:
            return super().update(network, rule, weights, trace, error)
        first, *inner, last = trace
        mixed = (first, *map(moved, inner), last)
        return sorted_(super().update(network, rule, sorted_(weights, both), mixed, error), np.argsort(both))


class HeadsMixed(Sound):
    def update(self, network, rule, weights, trace, error):
        by_head = error.reshape(len(error), network.heads, network.outputs)
        mixed = np.repeat(by_head.mean(axis=1, keepdims=True), network.heads, axis=1).reshape(error.shape)
        return super().update(network, rule, weights, trace, mixed)


class ForgottenOutputRate(Sound):
    def update(self, network, rule, weights, trace, error):
        return super().update(network, dataclasses.replace(rule, alpha_output=rule.alpha), weights, trace, error)


class OnlineAsBatch(Sound):
    def fit(self, network, rule, weights, x, target, schedule):
        return super().fit(network, dataclasses.replace(rule, order="batch"), weights, x, target, schedule)


class FitDropsTheLastBatch(Sound):
    def fit(self, network, rule, weights, x, target, schedule):
        size = rule.samples_per_update(schedule.batch_size)
        whole = schedule.orders[:, : max(1, (len(x) - 1) // size * size)]
        return super().fit(network, rule, weights, x, target, dataclasses.replace(schedule, orders=whole))


class SharesMemory(Sound):
    def from_host(self, weights):
        return weights


class WritesToItsInput(Sound):
    def update(self, network, rule, weights, trace, error):
        error *= 1
        return super().update(network, rule, weights, trace, error)


class NotDeterministic(Sound):
    calls = 0

    def update(self, network, rule, weights, trace, error):
        learned = super().update(network, rule, weights, trace, error)
        self.calls += 1
        nudge = 1 + self.calls % 2 * np.finfo(network.dtype).eps
        return {**learned, "input.weight": learned["input.weight"] * nudge}


class NudgesWeights(Sound):
    def update(self, network, rule, weights, trace, error):
        learned = super().update(network, rule, weights, trace, error)
        return {**learned, "hidden.bias": learned["hidden.bias"] * (1 + np.finfo(network.dtype).eps)}


class NoReason(Sound):
    def supports(self, network, rule):
        return True


class ProbeRaises(Sound):
    def __init__(self):
        super().__init__()
        self.info = dataclasses.replace(NUMPY, probe=lambda device: 1 / 0)


class ProbeGivesNoReason(Sound):
    def __init__(self):
        super().__init__()
        self.info = dataclasses.replace(NUMPY, probe=lambda device: Availability(device == "cpu"))


class FailsOnAnEmptyBatch(Sound):
    def forward(self, network, weights, x):
        if not len(x):
            raise ValueError("zero rows")
        return super().forward(network, weights, x)


class TakesWhatItDoesNotKnow(Sound):
    def supports(self, network, rule):
        return fits(network, self.memory())


class SlopeInG(Sound):
    def update(self, network, rule, weights, trace, error):
        factor = 2 / network.u0 if network.activation == "sigmoid" else 1.0
        output_factor = 2 / network.u0 if network.output_activation == "sigmoid" else 1.0
        rates = {"alpha": rule.alpha * factor, "alpha_output": rule.alpha_output * output_factor}
        return super().update(network, dataclasses.replace(rule, **rates), weights, trace, error)


class RatesSwapped(Sound):
    def update(self, network, rule, weights, trace, error):
        swapped = dataclasses.replace(rule, alpha=rule.alpha_output, alpha_output=rule.alpha)
        return super().update(network, swapped, weights, trace, error)


class WrongSign(Sound):
    def update(self, network, rule, weights, trace, error):
        return super().update(network, dataclasses.replace(rule, floor=None), weights, trace, -error)


class BiasesNotUpdated(Sound):
    def update(self, network, rule, weights, trace, error):
        learned = super().update(network, rule, weights, trace, error)
        return learned | {key: value for key, value in weights.items() if key.endswith("bias")}


class OutputsAreFloat64(Sound):
    def forward(self, network, weights, x):
        return super().forward(network, weights, x).astype(np.float64)


class OutputsAreFlat(Sound):
    def forward(self, network, weights, x):
        return super().forward(network, weights, x)[:, 0]


class SlopeOfOne(Sound):
    def trace(self, network, weights, x):
        return super().trace(dataclasses.replace(network, u0=2.0), weights, x)

    def forward(self, network, weights, x):
        return super().forward(dataclasses.replace(network, u0=2.0), weights, x)


class HeadsInReverse(Sound):
    def trace(self, network, weights, x):
        outputs, trace = super().trace(network, weights, x)
        return np.ascontiguousarray(outputs.reshape(len(x), network.heads, -1)[:, ::-1].reshape(outputs.shape)), trace

    def forward(self, network, weights, x):
        return self.trace(network, weights, x)[0] if len(x) else super().forward(network, weights, x)


class MeanTwice(Sound):
    def update(self, network, rule, weights, trace, error):
        return super().update(network, rule, weights, trace, error / np.asarray(len(error), error.dtype))


class FailsForSeveralHeads(Sound):
    def update(self, network, rule, weights, trace, error):
        if network.heads > 1:
            raise IndexError("head 1 is out of bounds")
        return super().update(network, rule, weights, trace, error)


class TransposedEverywhere(Sound):
    """z = x W.T, which fails where a layer's weights are not square, and is wrong where they are."""

    def trace(self, network, weights, x):
        flipped = {key: value.swapaxes(-1, -2) if "weight" in key else value for key, value in weights.items()}
        for layer in network.layers:
            np.zeros(len(layer.source_signs)) @ flipped[f"{layer.name}.weight"][layer.where(0)]
        return super().trace(network, flipped, x)


class UpdateReturnsNone(Sound):
    def update(self, network, rule, weights, trace, error):
        super().update(network, rule, weights, trace, error)


class HasNoToHost(Sound):
    to_host = Backend.to_host


class WeightsAreTheCallers(Sound):
    """No copy is made: an update writes into the weights that the caller gave."""

    def from_host(self, weights):
        return weights

    to_host = from_host

    def copy(self, weights):
        return weights

    def update(self, network, rule, weights, trace, error):
        for key, value in super().update(network, rule, weights, trace, error).items():
            weights[key][...] = value
        return weights


class KeepsWeightsByShape(Sound):
    """Its forward pass is compiled for a shape, with the numbers of the first network that had it."""

    def __init__(self):
        super().__init__()
        self.kept = {}

    def forward(self, network, weights, x):
        shape = len(x), *(value.shape for value in weights.values()), x.dtype.str
        return super().forward(network, self.kept.setdefault(shape, weights), x)


class KeepsByIdentity(Sound):
    """It moves an array to its device once, and does not see that the caller writes other numbers to it."""

    def __init__(self):
        super().__init__()
        self.kept = {}

    def trace(self, network, weights, x):
        _, copied = self.kept.setdefault((id(x), x.shape, x.dtype.str), (x, x.copy()))
        return super().trace(network, weights, copied)


class RightOnceForAShape(Sound):
    def __init__(self):
        super().__init__()
        self.seen = set()

    def forward(self, network, weights, x):
        outputs = super().forward(network, weights, x)
        shape = network, len(x)
        factor = 2 if shape in self.seen else 1
        self.seen.add(shape)
        return outputs * np.asarray(factor, outputs.dtype)


class WrongOffTheMainThread(Sound):
    def forward(self, network, weights, x):
        outputs = super().forward(network, weights, x)
        return outputs if threading.current_thread() is threading.main_thread() else outputs * 0


class FailsOffTheMainThread(Sound):
    def update(self, network, rule, weights, trace, error):
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("no context is current")
        return super().update(network, rule, weights, trace, error)
