"""Faults that were mended before this table was: first uses, attributes, scaling, files, options (K1 to K9)."""

from world.row import REFUSED, Row

ROWS = [
    Row(
        name="a rule's name as the attribute rule",
        python="ed = ED(3, seed=0)\ned.rule = 'split'",
        ends=REFUSED,
        says=("rule",),
    ),
    Row(
        name="a sweep's option twice, with both hyphens",
        shell="edcore sweep x.toml",
        files={"x.toml": "[train]\ndataset = 'xor'\nbatch-size = 1\nbatch_size = 4\n[grid]\nseed = [1]\n"},
        ends=2,
        says=("batch",),
    ),
]
