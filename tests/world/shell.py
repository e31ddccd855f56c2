"""What is typed and read: paths, tables, terminals, options of a wrong type, advice that helps."""

from world.row import Row

ROWS: list[Row] = []
