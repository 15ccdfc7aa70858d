"""Whether the parts of a trial fit its data, and how large its model is beside that."""

from typing import NamedTuple

import torch
from torch import nn

from raytune_pipe.base import ConfigError
from raytune_pipe.components.task import Data
from raytune_pipe.trial import Trial


class TrialSize(NamedTuple):
    """A model's parameters and the samples that it is trained on."""

    parameters: int
    """Numbers that are trained."""
    samples: int
    """Of the training part; of text its tokens, each of which is predicted."""

    @property
    def has_more_parameters(self) -> bool:
        """Whether the model could learn its samples by heart."""
        return self.parameters > self.samples

    @property
    def warning(self) -> str:
        """What more parameters than samples may mean."""
        return (
            f"the model has {self.parameters:,} parameters for {self.samples:,} training samples, "
            "so that it can learn them by heart; watch val_loss, regularize, or take a smaller one"
        )


class MisfitError(ConfigError):
    """A part of the trial does not fit the task of its dataset."""

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(f"trial.{part}: {reason}")
        self.part = part
        """Its field of the trial, by its dotted name."""
        self.reason = reason


def trial_size(trial: Trial, data: Data) -> TrialSize:
    """The size of a trial, whose model is built without memory for its weights.

    Raises:
        MisfitError: a part does not fit the data's task.
    """
    part = "loss"
    try:
        trial.loss.build(data.task)
        part = "augmentations"
        trial.augmentations.require_fit(data.task)
        part = "model"
        with torch.device("meta"):
            model = trial.model.build(data.task)
    except ConfigError as error:
        field, _, reason = str(error).partition(": ")
        if f"{field}.".startswith(f"{part}."):
            raise MisfitError(field, reason) from error
        raise MisfitError(part, str(error)) from error
    return size_of(model, data)


def size_of(model: nn.Module, data: Data) -> TrialSize:
    """The size of a model and of the data that it is trained on."""
    parameters = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    train = data.train
    seen = train.inputs.numel() if data.task.tokens is not None else len(train.inputs)
    return TrialSize(parameters, seen)
