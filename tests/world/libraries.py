"""Other libraries' arrays and errors: each is taken, or refused in a sentence of edcore's (K12)."""

from world.row import Row

ROWS: list[Row] = []
