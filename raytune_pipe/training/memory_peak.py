"""What a trial takes of a GPU's memory, measured by training one batch of it."""

from typing import NamedTuple

import torch

from raytune_pipe.components.task import Data, Split
from raytune_pipe.training.data import load_data, to_device
from raytune_pipe.training.evaluation import EVALUATION_BATCH
from raytune_pipe.training.memory import is_out_of_memory
from raytune_pipe.training.trainer import Trainer
from raytune_pipe.trial import Trial


class MemoryPeak(NamedTuple):
    """The memory of a GPU on which one trial has trained, in bytes."""

    allocator_bytes: int
    """Most that PyTorch's allocator held at once."""
    context_bytes: int
    """What the process takes beside that: CUDA's context and the libraries' kernels."""
    total_bytes: int
    """What the GPU has."""

    @property
    def used_bytes(self) -> int:
        """What the process takes in all."""
        return self.allocator_bytes + self.context_bytes


def measure_peak(trial: Trial) -> MemoryPeak:
    """Train and evaluate one batch of the trial on the current GPU, which must be ours alone.

    The whole dataset lies on the GPU beside it, as while the trial trains. A trial that the GPU
    cannot hold takes all of it.
    """
    torch.cuda.reset_peak_memory_stats()
    try:
        _train_one_batch(trial)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        torch.cuda.empty_cache()
        return MemoryPeak(torch.cuda.mem_get_info()[1], 0, torch.cuda.mem_get_info()[1])
    free_bytes, total_bytes = torch.cuda.mem_get_info()
    peak = MemoryPeak(
        allocator_bytes=torch.cuda.max_memory_reserved(),
        context_bytes=total_bytes - free_bytes - torch.cuda.memory_reserved(),
        total_bytes=total_bytes,
    )
    torch.cuda.empty_cache()
    return peak


def _train_one_batch(trial: Trial) -> None:
    data = load_data(trial.dataset)
    resident = to_device(data, torch.device("cuda"))
    Trainer(trial, device="cuda", data=first_batch(resident, trial.batch_size)).train_epoch()


def first_batch(data: Data, batch_size: int) -> Data:
    """The data cut down to one batch for training and one for evaluation."""
    return Data(
        _head(data.train, batch_size),
        _head(data.validation, EVALUATION_BATCH),
        _head(data.test, EVALUATION_BATCH),
        data.task,
    )


def _head(split: Split, samples: int) -> Split:
    return Split(split.inputs[:samples], split.targets[:samples])
