"""Each row of the table of the world's inputs that is fast; `python tests/world` runs the others too."""

import pytest

from world import ROWS


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if not row.slow])
def test_an_input_of_the_world(name):
    if missing := ROWS[name].missing:
        pytest.skip(f"not here: {', '.join(missing)}")
    ROWS[name].check()
