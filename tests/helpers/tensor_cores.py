"""A GPU's tensor cores over NumPy: they read the 19 upper bits of each float32, and cut sums off where float32 ends.

How many products they add up before they cut is a part of no documentation; here it is 8, as in their instructions.
"""

import numpy as np

READ = np.uint32(0xFFFFE000)
ADDED = 8


def read(array):
    """Return what tensor cores read of float32."""
    return (np.ascontiguousarray(array).view(np.uint32) & READ).view(np.float32)


def cut(sums):
    """Return float64 as float32, rounded towards zero; what is too large is infinite."""
    near = sums.astype(np.float32)
    return np.where((np.abs(near) > np.abs(sums)) & np.isfinite(near), np.nextafter(near, np.float32(0)), near)


def product_of_tf32(a, b):
    """Return a @ b in float32, of operands read as TF32."""
    a, b = (read(operand).astype(np.float64) for operand in (a, b))
    total = np.zeros((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for first in range(0, a.shape[-1], ADDED):
            some = slice(first, first + ADDED)
            total = cut(total + a[..., some] @ b[..., some, :])
    return total
