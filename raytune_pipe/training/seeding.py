"""Random numbers of a trial: every generator starts each epoch from (seed, epoch).

Nothing about them is carried along, so a checkpoint needs no generator state: an interrupted run
repeats the epoch it lost to the last bit, and a trial that copies a donor's weights still sees the
data in its own order.
"""

import random

import numpy as np
import torch
from torch import Tensor

from raytune_pipe.base import seed_draw


def seed_generators(*key: int | str) -> None:
    """Set every process-wide generator (Python's, NumPy's, torch's on all devices) from the key."""
    seed = seed_draw(*key)
    random.seed(seed)
    np.random.seed(seed)  # the user's own code may draw from it
    # torch.manual_seed asks every backend there is, which takes 75 us: a share of a small epoch.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch has no type for it
        torch.cuda.manual_seed_all(seed)


def seeded_generator(*key: int | str) -> torch.Generator:
    """A torch generator on the CPU of its own, fixed by the key alone."""
    return torch.Generator().manual_seed(seed_draw(*key))


def data_order(samples: int, seed: int, epoch: int) -> Tensor:
    """The order in which an epoch visits the training samples: a permutation, int64 [samples]."""
    return torch.randperm(samples, generator=seeded_generator(seed, "order", epoch))
