"""Where edcore runs: forks, caches, threading layers, embedded interpreters, signals, installations (K11)."""

from world.row import Row

ROWS: list[Row] = []
