"""Choices from a fuzzer's bytes: small numbers, texts and values."""

import re
import struct
from copy import deepcopy

DEEP, LONG = "@deep{}@", "@long{}@"
"""Placeholders for nested lists and for numbers of many digits, not all of which Python's json writes."""

VALUES = (
    *(None, True, False, 0, 1, 2, 3, -1, 2**31, 2**63 - 1, 2**63, 2**64, 2**70, -(2**70), 10**30, 10**400),
    *(0.0, -0.0, 0.5, 1.0, 1e-320, 1e-30, 1e308, -1e308, float("inf"), float("nan")),
    *("", "a", "signed", "split", "mean", "online", "float64", "linear", "tanh", "relu", "relu6", "uniform", "numpy"),
    *("loop", "auto", "cpu", "cuda:1", "0,1", "all", "xor", "digits", "\0", "\ud800", "\x1b[2J", "[/b]", "é" * 300),
    *([], [0, 1], [1, 0], ["a", "b"], [0.5, 2], [[0]], [None, None], {}, {"a": 1}),
    *(DEEP.format(depth) for depth in (50, 500, 900, 960, 970, 980, 985, 990, 995)),
    *(LONG.format(digits) for digits in (100, 2000, 2160, 4000, 4290, 4300, 4301)),
)


class Choices:
    """Bytes, from which choices are read until they are used up: then each choice is the first one."""

    def __init__(self, data):
        self._data, self._at = data, 0

    def __bool__(self):
        return self._at < len(self._data)

    def bytes(self, count):
        found = self._data[self._at : self._at + count]
        self._at += count
        return found

    def below(self, count):
        """Return a number from 0, below `count`."""
        return int.from_bytes(self.bytes(1 if count <= 256 else 4), "little") % count

    def pick(self, items):
        return items[self.below(len(items))]

    def rest(self):
        return self.bytes(len(self._data))

    def value(self):
        """Return a value that JSON has, or nearly so."""
        match self.below(4):
            case 0 | 1:
                return deepcopy(self.pick(VALUES))
            case 2:
                whole = self.below(2)
                return struct.unpack("<q" if whole else "<d", self.bytes(8).ljust(8, b"\0"))[0]
            case _:
                return self.bytes(self.below(16)).decode("latin-1")


def written(text):
    """Return JSON's text with the placeholders `DEEP` and `LONG` filled in."""

    def instead(match):
        count = int(match[2])
        return "[" * count + "]" * count if match[1] == "deep" else "9" * count

    return re.sub(r'"@(deep|long)(\d{1,4})@"', instead, text)


def changed(choices, tree):
    """Change one place of a tree of dictionaries and lists: another value, one from elsewhere, or none."""
    places = [(tree, key) for tree in _branches(tree) for key in (tree if isinstance(tree, dict) else range(len(tree)))]
    where, key = places[choices.below(len(places))]
    match choices.below(6):
        case 0:
            del where[key]
        case 1:
            where[key], other = None, choices.pick(places)
            where[key] = deepcopy(other[0][other[1]])
        case 2 if isinstance(where, dict):
            where[choices.bytes(choices.below(8)).decode("latin-1")] = choices.value()
        case _:
            where[key] = choices.value()


def _branches(tree):
    if isinstance(tree, dict | list):
        yield tree
        for branch in tree.values() if isinstance(tree, dict) else tree:
            yield from _branches(branch)
