"""Memory: what is asked for is counted before it is claimed, within the limits of containers (K10)."""

from world.row import Row

ROWS: list[Row] = []
