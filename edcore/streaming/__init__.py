"""Training on data that are larger than memory: memory-mapped files, Zarr, Dask, h5py.

The arrays are read in pieces, which a background thread prefetches.
"""

from edcore.streaming.train import Progress, fit, predict, train

__all__ = ["Progress", "fit", "predict", "train"]
