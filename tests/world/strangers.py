"""What strangers hand over: labels, names, downloads, and modules that hide a library (K13)."""

from world.row import Row

ROWS: list[Row] = []
