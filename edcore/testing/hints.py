"""What is likely wrong in a backend, and what to look at, by the name of the cause."""

from __future__ import annotations

from typing import NamedTuple


class Hint(NamedTuple):
    """What is wrong, in one line, and what to look at."""

    title: str
    advice: str


HINTS = {
    # The forward pass
    "bias_activity": Hint(
        "The activity of the bias cells is left out.",
        "Multiply the biases by network.bias in the sums, and take it as the bias cells' activity in the update.",
    ),
    "rms_forgotten": Hint(
        "network.rms is passed over: the sums are not divided by their root mean square.",
        "Divide the sums of each layer but the output layer by √(mean a² + 1e-5), or refuse rms=True in supports.",
    ),
    "u0_factor": Hint(
        "The sigmoid has another slope.", "f(z) = 1 / (1 + exp(−2 z / u0)): look at the factor 2 and at network.u0."
    ),
    "activation": Hint(
        "The hidden cells have another activation.",
        "Look up network.activation for the input layer and the hidden layers, and refuse in supports what you lack.",
    ),
    "output_activation": Hint(
        "The output cells have another activation.",
        "Look up network.output_activation for the output layer alone, and refuse in supports what you lack.",
    ),
    "softmax": Hint(
        "The softmax of the outputs is wrong.",
        "It is exp(z − max z) / Σ exp(z − max z) over the excitatory output cells of one head; or refuse it.",
    ),
    "transposed": Hint(
        "The hidden weights are transposed.", "They are sources by targets: z = x W, with x in rows. Look for a W.T."
    ),
    "bias_left_out": Hint("Biases are left out of the sums.", "Add the biases of each of the n_bias bias cells."),
    "one_stream": Hint(
        "The inhibitory input cells see no input.", "Both streams see x: the input cells are [x, x], 2 · in_ of them."
    ),
    "signs_twice": Hint(
        "The signs of the source cells are multiplied in twice.", "The weights have the signs folded in: z = x W."
    ),
    "layer_skipped": Hint("The last hidden layer is skipped.", "Look at the loop over the network.depth layers."),
    "layers_sorted": Hint(
        "Hidden layers come in the order of the letters of their names, with hidden.10 before hidden.2.",
        "Take them in the order of network.layers.",
    ),
    "layers_reversed": Hint("The hidden layers come in reverse.", "hidden.weight[:, 0] follows the input layer."),
    "heads_order": Hint("The heads' outputs are in another order.", "Columns are those of head 0, then of head 1 …"),
    "inhibitory_outputs": Hint(
        "The inhibitory output cells are returned.", "The outputs are the first network.outputs cells of each head."
    ),
    "outputs_order": Hint(
        "The columns are in another order.", "They are all outputs of head 0, then all of head 1 …, in errors too."
    ),
    "forward": Hint(
        "The outputs are wrong, in no usual way.", "Compare forward and trace with edcore/core/method.py, line by line."
    ),
    # One update
    "sign": Hint(
        "A change has the wrong sign.",
        "The error is target − output, and the change has the sign s_j of the target cell: + for the first half of a "
        "layer's cells, − for the second.",
    ),
    "mean_missing": Hint(
        "The changes are sums over the batch where means are asked for.",
        "Divide by the number of samples if rule.reduction is 'mean'.",
    ),
    "sum_missing": Hint(
        "The changes are means over the batch where sums are asked for.",
        "Do not divide by the number of samples if rule.reduction is 'sum'.",
    ),
    "mean_twice": Hint("The changes are divided by the batch twice.", "Divide once, the error or the sum."),
    "rates": Hint(
        "The learning rates are mixed up.",
        "rule.alpha_output is for the output layer, rule.alpha for the input layer and the hidden layers.",
    ),
    "derivative_factor": Hint(
        "The derivative of the sigmoid has the factor 2 / u0.",
        "The method's g is y (1 − y), without 2 / u0: see edcore.core.activations.",
    ),
    "derivative_missing": Hint("The factor g(y) is left out.", "Each change has the g of its target cell: y (1 − y)."),
    "rms_slope": Hint(
        "Under rms, g lacks the factor of the division by the root.", "g has the factor (1/r) (1 − a² / (n r²))."
    ),
    "split_missing": Hint(
        "The split rule is computed as the signed rule.",
        "If rule.error is 'split', excitatory sources learn from max(e, 0) and inhibitory ones from min(e, 0).",
    ),
    "split_always": Hint("The signed rule is computed as the split rule.", "Look up rule.error."),
    "split_by_target": Hint(
        "The split rule splits by the sign of the target cell.", "It is the source cell's sign, also of a bias cell."
    ),
    "split_reversed": Hint(
        "The split rule has its halves in each other's place.",
        "Excitatory sources learn from max(e, 0), inhibitory ones from min(e, 0).",
    ),
    "centring_forgotten": Hint(
        "rule.centred is passed over.",
        "Subtract from each column of the error its mean over the batch, or refuse centred=True in supports.",
    ),
    "floor_forgotten": Hint(
        "rule.floor is passed over.",
        "After an update, each weight is s_i s_j · max(s_i s_j W, floor); or refuse a floor in supports.",
    ),
    "floor_on_biases": Hint("The floor is applied to the biases.", "It is for the weights alone."),
    "floor": Hint(
        "After an update, a weight is below the floor.", "Each weight is s_i s_j · max(s_i s_j W, rule.floor)."
    ),
    "heads_mixed": Hint(
        "A head learns from the errors of other heads.", "Head h learns from columns h · outputs … of the error alone."
    ),
    "teachers": Hint(
        "The hidden cells learn from the wrong outputs.",
        "Cell j of a stream learns from output j mod outputs: use layer.teachers.",
    ),
    "not_updated": Hint("Some weights are not updated.", "Every layer learns, with its biases, in each update."),
    "update_transposed": Hint("The changes are transposed.", "They are sources by targets: xᵀ δ, and not δᵀ x."),
    "scaled": Hint("All changes have a wrong factor.", "Look at the learning rates, the mean, and g."),
    "scaled_partly": Hint("Some changes have a wrong factor.", "Look at the arrays and cells named below."),
    "update": Hint(
        "An update is wrong, in no usual way.", "Compare update with edcore/core/method.py: source, error, g and sign."
    ),
    "zero_error": Hint(
        "An error of 0 changes weights.", "Add the change to the weights; do not decay, scale or round them."
    ),
    "negative_inputs": Hint("Inputs below 0 give wrong results.", "Do not take the inputs for activities of 0 … 1."),
    "split_signs": Hint("Under the split rule, weights shrink or change signs.", "Look at the split and at its signs."),
    # Precision and sizes
    "float32_sums": Hint(
        "A float64 network is computed in float32.", "Look for a buffer, a constant or a cast of another dtype."
    ),
    "low_precision": Hint(
        "The numbers are right in their first digits only.",
        "Switch off TF32, bfloat16, fast-math and approximations of exp; sum in float32 at least.",
    ),
    "added_one_by_one": Hint(
        "Samples are added to the weights one by one, and small changes are lost.",
        "Sum over the batch first, and add the sum to the weights once.",
    ),
    "rms_overflow": Hint(
        "Under rms, squares that overflow give a finite wrong answer.", "a / ∞ is 0: let such sums give NaN."
    ),
    "size": Hint(
        "It is wrong from a certain size on.",
        "Look at the limits of tiles, blocks and buffers, and at what is left over.",
    ),
    # Arrays and memory
    "shape": Hint("An array has another shape.", "Outputs are (batch, heads · outputs); weights keep their shapes."),
    "dtype": Hint("An array has another dtype.", "Outputs and weights have network.dtype: look for a cast to float64."),
    "keys": Hint("Weights lack some of their keys.", "to_host returns all arrays of network.weight_shapes."),
    "empty_batch": Hint(
        "forward fails for an empty batch.", "Return outputs of shape (0, heads · outputs) in network.dtype."
    ),
    "layout": Hint(
        "The results depend on how an input lies in memory.",
        "Inputs may be strided or read-only: read them by strides, or copy them with np.array(x, order='C').",
    ),
    "fit_layout": Hint(
        "fit depends on how its samples or orders lie in memory.",
        "x, target and schedule.orders may be strided, read-only or views with strides of 0: copy them if need be.",
    ),
    "writes_inputs": Hint(
        "It writes to its inputs.", "x, error and target are the caller's: copy before += and the like."
    ),
    "round_trip": Hint("Weights come back changed.", "to_host undoes from_host, bit for bit: order, signs, dtype."),
    "from_host_shares": Hint("from_host keeps the caller's memory.", "Return a copy of the arrays."),
    "to_host_shares": Hint("to_host hands out the backend's memory.", "Return a copy of the arrays."),
    "copy_shares": Hint(
        "A copy shares memory with its original.",
        "If update writes to its weights, copy must return arrays of their own.",
    ),
    "copy_differs": Hint("A copy learns something else than its original.", "copy must keep all that update reads."),
    "results_change": Hint(
        "Results change later: they share memory with a buffer, with the trace or with the caller's x.",
        "Copy what you return, and what the trace keeps of x, unless you never write to it again.",
    ),
    "not_deterministic": Hint(
        "The same call gives other bits.",
        "Look for state that is kept between calls, memory that is not initialised, random numbers, and sums in the "
        "order in which threads end.",
    ),
    "second_call": Hint(
        "The first call of a shape is right, and the second is wrong.",
        "Look at what is kept from the first call: a buffer that is not cleared, a compiled function, a counter.",
    ),
    "cached": Hint(
        "A later call of the same shape is given what was cached for an earlier one.",
        "A cache by shape or by id(array) must hold no numbers: pass weights, x, u0 and learning rates at each call.",
    ),
    "second_thread": Hint(
        "It fails, or computes something else, in a second thread.",
        "Make streams, contexts, devices and other thread-local state in each thread, or set them in each call.",
    ),
    # Runs
    "no_epochs": Hint("A run of no epochs changes weights.", "fit learns once for each row of schedule.orders."),
    "last_batch": Hint("The last batch of an epoch, which is smaller, is dropped.", "It is learnt like the others."),
    "mean_by_batch_size": Hint(
        "The mean of the last batch is over batch_size.", "Divide by the number of samples that the batch has."
    ),
    "orders": Hint("schedule.orders is passed over.", "Row e of it is the order of the samples in epoch e."),
    "online_as_batch": Hint(
        "An online rule learns in batches.", "Go by rule.samples_per_update(schedule.batch_size): 1 if it is online."
    ),
    "batch_as_online": Hint("A run learns sample by sample.", "Go by rule.samples_per_update(schedule.batch_size)."),
    "whole_epoch": Hint("A run learns once in each epoch.", "Go by rule.samples_per_update(schedule.batch_size)."),
    "epochs": Hint("A run has another number of epochs.", "It has one for each row of schedule.orders."),
    "sample_weights": Hint(
        "The weights of samples are passed over, or another sample's are taken.",
        "schedule.weights[row] is the weight of row of x, at any place in the order; or drop the mark takes_weights.",
    ),
    "stops": Hint(
        "Heads do not stop when they should.",
        "A head stops after the first epoch whose sum of abs(error), before each step, is below schedule.tolerance.",
    ),
    "stopped_heads": Hint("A head that has stopped learns on.", "Give it an error of 0 from the next epoch on."),
    "learning_mask": Hint("Heads learn that should not.", "Only the heads of schedule.learning learn."),
    "errors_filled": Hint(
        "schedule.errors is not filled in.", "Write the sum of abs(error) of each epoch and head, or drop fills_errors."
    ),
    "fit": Hint(
        "A run is wrong where single updates are right.",
        "Compare fit with Backend.fit: one trace and one update for each batch of edcore.contract.steps.batches.",
    ),
    # What a researcher adds
    "new_activation": Hint(
        "An activation that was registered is computed as another one.",
        "Take its f and g from edcore.core.activations.FUNCTIONS, or refuse its name in supports.",
    ),
    "widths": Hint(
        "Layers of several widths are wrong.",
        "Layer n has network.widths[n] cells per stream and weights of its own, see network.layers; or refuse them.",
    ),
    "one_hot": Hint(
        "Categories are not computed as the inputs that they stand for.",
        "Where network.one_hot is K, input K · c + k is 1 if x[:, c] is k, else 0: see edcore.core.expand_one_hot.",
    ),
    "layer_errors": Hint(
        "update_layers is wrong where update is right.",
        "Layer n learns from errors[n]: (batch, columns) as in update, or one for each cell, (heads, batch, cells).",
    ),
    # The contract
    "members": Hint("A member of the contract is missing or wrong.", "Subclass edcore.contract.Backend, and see §2."),
    "no_precision": Hint("It supports no small network.", "supports(Network(in_=1, width=1), Rule()) must be True."),
    "no_reason": Hint("supports gives neither True nor a reason.", "Return True, or a sentence without its full stop."),
    "memory": Hint("memory is wrong.", "Return edcore.contract.memory.Memory(free, total) in bytes."),
    "probe": Hint(
        "The probe raises, gives no reason, or refuses its own device.",
        "Return Availability(False, reason) for what cannot run here, and catch what a library raises.",
    ),
    "oversize": Hint(
        "A network that fits nowhere is accepted.", "End supports with `return fits(network, self.memory())`."
    ),
    "unknown_accepted": Hint(
        "supports accepts what the backend cannot know.", "Begin supports with `known(network, rule)` or `classic`."
    ),
    "initial": Hint("A seed gives other initial weights.", "Keep those that from_host is given; draw none."),
    "exception": Hint("It raises an exception.", "Look at the line named below."),
    "shapes_differ": Hint(
        "Shapes do not fit.",
        "Look at the line named below. Weights are sources by targets, z = x W with x in rows: is there a W.T? "
        "The input cells are [x, x], 2 · in_ of them.",
    ),
    "returns_nothing": Hint("A method returns None.", "It is not written, or its return is missing."),
    "unusable": Hint(
        "What a call returned cannot be used.", "Return what the contract says: weights, an array, or a pair of them."
    ),
    "unknown": Hint("A promise of the contract is broken.", "The message and the check's docstring say which."),
}
"""The causes that the suite can name."""

BY_CHECK = {
    "check_protocol": "members",
    "check_probe_never_raises": "probe",
    "check_oversize_gives_a_reason": "oversize",
    "check_unknown_is_refused": "unknown_accepted",
    "check_host_round_trip": "round_trip",
    "check_copy": "not_updated",
    "check_same_seed_same_weights": "initial",
    "check_small_increments_of_large_weights": "added_one_by_one",
    "check_rms_of_huge_sums": "rms_overflow",
    "check_negative_inputs": "negative_inputs",
    "check_zero_error_leaves_every_bit": "zero_error",
    "check_split_keeps_signs": "split_signs",
    "check_floor": "floor",
    "check_softmax": "softmax",
    "check_heads_are_independent": "heads_mixed",
    "check_empty_batch": "empty_batch",
    "check_any_memory_layout": "layout",
    "check_same_call_same_bits": "not_deterministic",
    "check_results_stay": "results_change",
    "check_second_call": "second_call",
    "check_second_thread": "second_thread",
    "check_fit_weights": "sample_weights",
    "check_fit_stops": "stops",
    "check_trajectory": "update",
    "check_new_activation": "new_activation",
    "check_layer_errors": "layer_errors",
    "check_one_hot": "one_hot",
    "check_widths": "widths",
}
"""The cause of a failed check where its error names none, and a single step of its case is right."""
