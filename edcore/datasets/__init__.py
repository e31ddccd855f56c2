"""Data sets: digits, MNIST, Fashion-MNIST, XOR and parity, with inputs scaled to 0…1; and texts."""

from edcore.datasets.catalogue import NAMES, Dataset, digits, fashion_mnist, load, mnist, parity, xor
from edcore.datasets.text import Text, python_topics, read_text
from edcore.datasets.writing import write_text

__all__ = [
    "NAMES",
    "Dataset",
    "Text",
    "digits",
    "fashion_mnist",
    "load",
    "mnist",
    "parity",
    "python_topics",
    "read_text",
    "write_text",
    "xor",
]
