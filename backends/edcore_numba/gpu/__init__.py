"""Numba on an NVIDIA GPU.

No module's full name may hold "numba.cuda": Numba takes such a module for a part of its own.
"""
