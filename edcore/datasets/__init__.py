"""Data sets: digits, MNIST, Fashion-MNIST, XOR and parity, with inputs scaled to 0…1."""

from edcore.datasets.catalogue import NAMES, Dataset, digits, fashion_mnist, load, mnist, parity, xor

__all__ = ["NAMES", "Dataset", "digits", "fashion_mnist", "load", "mnist", "parity", "xor"]
