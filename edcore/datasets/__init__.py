"""Data sets: the embedded digits, MNIST and Fashion-MNIST from their files, XOR and parity."""

from edcore.datasets.catalogue import NAMES, Dataset, digits, fashion_mnist, load, mnist, parity, xor

__all__ = ["NAMES", "Dataset", "digits", "fashion_mnist", "load", "mnist", "parity", "xor"]
