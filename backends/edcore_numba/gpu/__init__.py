"""Numba on an NVIDIA GPU.

No module here may be named cuda or cuda_…: where numba-cuda is installed, it takes an import whose full name has
"numba.cuda" in it for one of its own, and looks for it until the stack is full.
"""
