"""Each row of the table of the world's inputs that is fast; `python tests/world` runs the others too."""

import pytest

from world import ROWS
from world.row import REFUSED, Row


def _with_needs(name):
    """Return the name of a row with what it needs, so that `-k "needs and torch"` picks those."""
    return f"{name} (needs {', '.join(ROWS[name].needs)})" if ROWS[name].needs else name


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if not row.slow], ids=_with_needs)
def test_an_input_of_the_world(name):
    if missing := ROWS[name].missing:
        pytest.skip(f"not here: {', '.join(missing)}")
    ROWS[name].check()


WRONG = [
    {"python": "1 + 1", "value": 3},
    {"python": "1 == 2"},
    {"python": "raise SystemExit\n1", "value": 1},
    {"python": "1 / 0"},
    {"python": "import warnings\nwarnings.warn('a')", "never": ("UserWarning",)},
    {"python": "print('\\x1b[2J')"},
    {"shell": "printf '\\233'"},
    {"python": "print('a')", "says": ("b",)},
    {"python": "print('a')", "never": ("a",)},
    {"python": "Rule('hebb')"},
    {"python": "Rule()", "ends": REFUSED, "says": ("rule",)},
    {"python": "Path('a').write_text('b')", "leaves": {"a": None}},
    {"python": "raise SystemExit(1)\n1", "alone": True},
    {"shell": "edcore inspect a"},
    {"shell": "true; false"},
    {"shell": "exec edcore inspect a"},
    {"shell": "sleep 9 & wait", "most": 0.2},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_row_that_ends_otherwise_fails(wrong):
    with pytest.raises(AssertionError):
        Row(name="wrong", **wrong).check()


@pytest.mark.parametrize(
    "untested",
    [
        {},
        {"python": "1", "shell": "edcore"},
        {"python": "Rule('hebb')", "ends": REFUSED},
        {"shell": "edcore train --widht 3", "ends": 2},
        {"shell": "edcore", "value": 1},
        {"python": "x = 1", "value": 1},
        {"python": "Rule('hebb')", "ends": REFUSED, "says": ("hebb",), "value": 1},
    ],
    ids=str,
)
def test_a_row_that_tests_nothing_is_none(untested):
    with pytest.raises(AssertionError):
        Row(name="untested", **untested)
