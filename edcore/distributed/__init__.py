"""Train one network on many processes and machines, over torch.distributed (gloo, NCCL, MPI).

Start the program with ``torchrun``, call ``torch.distributed.init_process_group`` in it, and train with a `Pipeline`
(each process has some of the layers) or with `DataParallel` (each has some of the samples).
"""

from edcore.distributed.data_parallel import DataParallel
from edcore.distributed.pipeline import Pipeline

__all__ = ["DataParallel", "Pipeline"]
