"""Training data on the device: loaded once per process, moved once per trial, cut into batches."""

import torch
from torch import Tensor

from raytune_pipe.components.datasets import Dataset
from raytune_pipe.components.task import Data, Split
from raytune_pipe.training.seeding import data_order, seed_generators

DATASETS_KEPT = 2
"""So that trials that alternate between two datasets need not load again; more would add up."""

_loaded: dict[str, Data] = {}


def load_data(dataset: Dataset) -> Data:
    """The dataset in memory, shared by all trials of this process with the same configuration.

    Its task has the counts of the classes.
    """
    key = dataset.model_dump_json()
    if key not in _loaded:
        while len(_loaded) >= DATASETS_KEPT:
            del _loaded[next(iter(_loaded))]
        # Whichever trial comes first loads for the others, so its seed must not touch the data.
        seed_generators("data", key)
        _loaded[key] = dataset.load().counted()
    return _loaded[key]


def to_device(data: Data, device: torch.device) -> Data:
    """The same data on the device; nothing is copied where it lies there already."""

    def move(split: Split) -> Split:
        return Split(split.inputs.to(device), split.targets.to(device))

    return Data(move(data.train), move(data.validation), move(data.test), data.task)


def epoch_batches(
    split: Split, batch_size: int, seed: int, epoch: int, *, skip_single: bool
) -> tuple[Tensor, ...]:
    """Indices of the epoch's batches, int64 [batch] each, on the data's device.

    The last batch may be smaller than the others: dropping it would hide samples from training.
    ``skip_single`` drops a last batch of one sample all the same, which batch norm cannot take (one
    sample has no variance).
    """
    order = data_order(len(split.inputs), seed, epoch).to(split.inputs.device)
    batches = torch.split(order, batch_size)
    if skip_single and len(batches) > 1 and len(batches[-1]) == 1 < batch_size:
        batches = batches[:-1]
    return batches
