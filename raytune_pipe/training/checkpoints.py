"""Checkpoint files: complete or absent, plain data only, free of hyperparameters."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from raytune_pipe.base import TrialError
from raytune_pipe.results.files import flush_folder, write_atomically, write_errors

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
    """State of the optimizer (momentum, step counts) by the parameter's number in the model; no
    rates."""
    epoch: int
    step: int
    scores: list[float]
    """Validation loss after each finished epoch."""
    time_s: float
    """Seconds trained so far."""
    averages: dict[str, Tensor] | None = None
    """Running averages of the parameters by name, where the trial is evaluated by them."""
    loss: dict[str, Tensor] = field(default_factory=dict)
    """What the loss has learned, by name; most learn nothing."""

    @property
    def evaluated_weights(self) -> dict[str, Tensor]:
        """Parameters and buffers of the model by which its metrics were measured."""
        return {**self.weights, **(self.averages or {})}


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> str:
    """Write ``checkpoints/<trial>/<report>.pt`` of a run; returns its SHA-256 (hex).

    The file is complete and on disk whenever it is there. The folders it lies in are made, but not
    the run's: one that was moved away must not come up again.

    Raises:
        ResultsError: it cannot be written; no part of it is left.
    """
    trial, checkpoints, run = path.parents[:3]
    with write_errors(path, run):
        checkpoints.mkdir(mode=0o700, exist_ok=True)
        trial.mkdir(mode=0o700, exist_ok=True)
        if all(entry.name.startswith(".") for entry in trial.iterdir()):
            flush_folder(checkpoints)  # the first one: the trial's folder is new
    return write_atomically(path, partial(_write, {"format": FORMAT} | vars(checkpoint)), run)


def _write(content: dict[str, Any], file: BinaryIO) -> None:
    try:
        torch.save(content, file)
    except RuntimeError as error:  # what its writer makes of a write that failed
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


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


def check_fits(checkpoint: Checkpoint, model: nn.Module, loss: nn.Module, optimizer: str) -> None:
    """Raise `TrialError` unless a checkpoint is of this model, this loss and kind of optimizer."""
    for part, saved, own in (
        ("model", checkpoint.weights, model.state_dict()),
        ("loss", checkpoint.loss, loss.state_dict()),
    ):
        for name in own | saved:
            there, here = _shape(saved, name), _shape(own, name)
            if there != here:
                raise TrialError(
                    f"a checkpoint must be of the trial's own {part} shape, but {name!r} has shape"
                    f" {there} in it and {here} in the {part}; train from the start, or keep the"
                    f" {part}'s fields as they were"
                )
    if checkpoint.optimizer != optimizer:
        raise TrialError(
            f"a checkpoint must be of the trial's own optimizer kind, {optimizer!r}, but got"
            f" {checkpoint.optimizer!r}; train from the start, or keep optimizer.kind"
        )


def _shape(tensors: Mapping[str, Tensor], name: str) -> tuple[int, ...] | str:
    return tuple(tensors[name].shape) if name in tensors else "none"
