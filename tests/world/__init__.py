"""The world's inputs: one row for each thing that a user, a file or a machine has handed to edcore.

    pytest tests/world                       # the rows that are fast, as in each run of the suite
    python tests/world                       # all rows
    python tests/world memory fork           # those with one of the words in their names

A report of a bug begins as a row in one of the modules here; `row.py` says what a row is.
"""

from world import answers, deployment, earlier, fresh, libraries, memory, shell, strangers, taken

ROOMS = (memory, deployment, libraries, strangers, shell, earlier, fresh, answers, taken)
ROWS = {f"{room.__name__.split('.')[-1]}: {row.name}": row for room in ROOMS for row in room.ROWS}
assert len(ROWS) == sum(len(room.ROWS) for room in ROOMS), "two rows of a room have one name"
