"""Checkpoint files: complete or absent, plain data only, free of hyperparameters."""

import hashlib
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from raytune_pipe.base import TrialError

FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """All that training needs to go on, apart from its configuration.

    Generators and data order are no part of it, since both follow from the trial's seed and the
    epoch; nor are hyperparameters, which the trial that loads it brings along.
    """

    weights: dict[str, Tensor]
    """Parameters and buffers of the model by name."""
    optimizer: str
    """Kind of the optimizer that the buffers belong to."""
    buffers: dict[int, dict[str, Any]]
    """State of the optimizer (momentum, step counts) by parameter number; no rates."""
    epoch: int
    step: int
    scores: list[float]
    """Validation loss after each finished epoch."""
    time_s: float
    """Seconds trained so far."""


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> str:
    """Write the file so that it is complete whenever it is there; returns its SHA-256 (hex).

    A hidden temporary file is flushed to disk, then renamed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w+b") as file:
            torch.save({"format": FORMAT} | vars(checkpoint), file)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _flush_folder(path.parent)
    return sha256


def load_checkpoint(path: Path, device: torch.device) -> Checkpoint:
    """Read a checkpoint onto the device; runs no code that the file may hold.

    Raises `TrialError` where the file is missing, damaged or not one of ours.
    """
    try:
        content = torch.load(path, map_location=device, weights_only=True)
        if content.pop("format") != FORMAT:
            raise ValueError(f"not of format {FORMAT}")
        return Checkpoint(**content)
    except _UNREADABLE as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise TrialError(
            f"a checkpoint must be a complete file written by the trainer, but reading {path}"
            f" failed: {reason}; start from another checkpoint"
        ) from error


_UNREADABLE = (
    OSError,
    EOFError,
    RuntimeError,
    pickle.UnpicklingError,
    AttributeError,
    KeyError,
    TypeError,
    ValueError,
)
"""All that `torch.load` and the reading of its result have raised on truncated or foreign files."""


def check_fits(checkpoint: Checkpoint, model: nn.Module, optimizer: str) -> None:
    """Raise `TrialError` unless the checkpoint is of this model shape and kind of optimizer."""
    saved = {name: tuple(tensor.shape) for name, tensor in checkpoint.weights.items()}
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    for name in expected | saved:
        if saved.get(name) != expected.get(name):
            raise TrialError(
                f"a checkpoint must be of the trial's own model shape, but {name!r} has shape"
                f" {saved.get(name, 'none')} in it and {expected.get(name, 'none')} in the model;"
                " train from the start, or keep the model's fields as they were"
            )
    if checkpoint.optimizer != optimizer:
        raise TrialError(
            f"a checkpoint must be of the trial's own optimizer kind, {optimizer!r}, but got"
            f" {checkpoint.optimizer!r}; train from the start, or keep optimizer.kind"
        )


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
