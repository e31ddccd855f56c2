"""Numba on the CPU."""
