"""Public attributes are checked when they are set, or cannot be set: no object becomes another one unseen."""

import contextlib
import copy
import pickle

import numpy as np
import pytest

import edcore
from edcore import ED, EDCoreError, Initial, Network, Rule
from edcore.arguments import ReadOnly
from edcore.errors import AttributeRefusedError
from edcore.kaneko import Parameters, Program
from edcore.sweep import Results, Sweep
from edcore.training import History, Progress, train

DATA = edcore.datasets.xor()


def history():
    ed = ED(2, hidden_width=2, seed=1, backend="numpy")
    return History.of(train(ed, DATA, epochs=3, batch_size=2))


OBJECTS = {
    "ED": lambda: ED(2, hidden_width=2, seed=1, backend="numpy"),
    "Network": lambda: Network(2),
    "Rule": Rule,
    "Initial": Initial,
    "Preset": lambda: edcore.PRESETS["kaneko"],
    "Dataset": lambda: DATA,
    "History": history,
    "Progress": lambda: history().latest,
    "Sweep": lambda: Sweep({"dataset": "xor", "width": 2}, {"alpha": [0.1, 0.2]}, seeds=2),
    "Results": lambda: Results("rows.csv", Sweep({"dataset": "xor", "width": 2})),
    "Parameters": lambda: Parameters(inputs=2),
    "Program": lambda: Program(Parameters(inputs=2, hidden=2)),
    "Diagnosis": lambda: edcore.diagnostics.diagnose(ED(2, hidden_width=2, seed=1), DATA.x_train, DATA.y_train),
}


class Careless:
    def __init__(self):
        self.size = 1


def settable(thing):
    """Return the public attributes of an object that take any value, or can be deleted."""
    names = [name for name in dir(type(thing)) + list(getattr(thing, "__dict__", ())) if name[0] != "_"]
    found = set()
    for name in names:
        with contextlib.suppress(
            AttributeError, EDCoreError, TypeError
        ):  # a frozen class with slots may raise the last
            setattr(thing, name, object())
            found.add(name)
        with contextlib.suppress(
            AttributeError, EDCoreError, TypeError
        ):  # a frozen class with slots may raise the last
            delattr(thing, name)
            found.add(name)
    return found


@pytest.mark.parametrize("name", OBJECTS)
def test_public_attributes_take_no_other_value(name):
    thing = OBJECTS[name]()
    before = pickle.dumps(thing) if name != "Results" else vars(thing).copy()
    assert settable(thing) == set()
    assert before == (pickle.dumps(thing) if name != "Results" else vars(thing))


def test_what_takes_any_value_is_seen():
    assert settable(Careless()) == {"size"}


def test_mappings_of_public_objects_cannot_be_changed():
    sweep = Sweep({"dataset": "xor", "width": 2}, {"alpha": [0.1, 0.2]})
    for mapping in (edcore.PRESETS, edcore.PRESETS["kaneko"].network, sweep.train, sweep.grid, sweep.points[0]):
        with pytest.raises(TypeError, match="does not support item assignment"):
            mapping["width"] = 64
    for again in (pickle.loads(pickle.dumps(sweep)), copy.deepcopy(sweep)):
        assert (again.train, again.grid, again.seeds, again.points) == (
            sweep.train, sweep.grid, sweep.seeds, sweep.points
        )  # fmt: skip
    with pytest.raises(ValueError, match="read-only"):
        history().errors[0] = 1


def test_the_refusal_says_what_to_do():
    class Walk(ReadOnly):
        def __init__(self):
            self._set(steps=3)

    walk = Walk()
    with pytest.raises(AttributeRefusedError, match=r"Walk.steps cannot be set. Make another Walk with"):
        walk.steps = 4
    with pytest.raises(AttributeRefusedError, match="Walk.steps cannot be deleted"):
        del walk.steps
    assert walk.steps == 3


@pytest.mark.parametrize("wrong", [3, None, "batch", (1, 2)])
def test_a_history_takes_progress_alone(wrong):
    with pytest.raises(EDCoreError, match="progress: given"):
        History().add(wrong)
    with pytest.raises(EDCoreError, match="progress: given"):
        History.of([wrong])
    assert isinstance(history().latest, Progress)


def test_masked_epochs_are_refused():
    ed = ED(2, seed=1)
    with pytest.raises(EDCoreError, match="epochs: given masked"):
        ed.epochs = np.ma.masked_array([1], [True])
    assert ed.epochs.tolist() == [0]
