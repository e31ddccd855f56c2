"""The `kaneko` preset is the program of 1999: whole training runs, from the program's own initial weights."""

import numpy as np
import pytest

from edcore import ED
from edcore.kaneko import Parameters, Program, layered_weights

RUNS = [
    (Parameters(inputs=2, hidden=8, seed=1), 41),
    (Parameters(inputs=2, hidden=8, seed=2), 120),
    (Parameters(inputs=3, hidden=16, seed=2), 44),
]
"""With the epoch at which they stop, by the published program."""


def _finished(program):
    while not program.stopped:
        program.advance()
    return program


def _network(program, backend, rule="kaneko"):
    parameters = program.parameters
    ed = ED(parameters.inputs, parameters.hidden // 2, rule=rule, dtype="float64", backend=backend, seed=0)
    ed.load_weights(layered_weights(program))
    return ed


@pytest.mark.parametrize("backend", ["loop", "numpy", "numba"])
@pytest.mark.parametrize(("parameters", "epochs"), RUNS)
def test_a_whole_run_is_the_programs(backend, parameters, epochs):
    if backend == "numba":
        pytest.importorskip("numba")
    program = Program(parameters)
    ed = _network(program, backend)
    x, target = parameters.input_values, parameters.target_values[:, 0]
    ed.fit(x, target, epochs=parameters.epochs, shuffle=False, tolerance=parameters.tolerance)
    assert ed.epochs.tolist() == [epochs]
    expected = layered_weights(_finished(program))
    assert program.result().epochs == epochs
    for key, value in ed.weights.items():
        # Sums are in another order than the program's, and training amplifies what that rounds.
        np.testing.assert_allclose(value, expected[key], rtol=1e-8, err_msg=key)


def test_every_epochs_outputs_are_the_programs():
    program = Program(Parameters(inputs=2, hidden=4, seed=3))
    ed = _network(program, "numpy")
    x, target = program.parameters.input_values, program.parameters.target_values[:, 0]
    for _ in range(60):
        epoch = program.advance()
        np.testing.assert_allclose(ed.step(x, target), np.asarray(epoch.outputs)[:, 0], rtol=1e-9)


def test_several_outputs_are_heads():
    targets = ((0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.0, 0.0))
    program = Program(Parameters(inputs=2, hidden=6, outputs=2, teacher=targets, seed=4))
    ed = ED(2, 3, rule="kaneko", heads=2, dtype="float64", backend="numpy", seed=0)
    ed.load_weights(layered_weights(program))
    ed.fit(program.parameters.input_values, np.asarray(targets), epochs=20, shuffle=False)
    for _ in range(20):
        program.advance()
    for key, value in layered_weights(program).items():
        np.testing.assert_allclose(ed.weights[key], value, rtol=1e-9, err_msg=key)
