"""Data sets and models with one planted fault each, which `raytune-pipe check` must name."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from raytune_pipe.components.datasets import Digits
from raytune_pipe.components.task import Data, Split, Task


def digits_as_numbers() -> Data:
    """The digits' class indices as if they were quantities."""
    data = Digits().load()
    train, validation, test = (
        Split(split.inputs, split.targets.float().unsqueeze(1))
        for split in (data.train, data.validation, data.test)
    )
    return Data(train, validation, test, Task("regression", data.task.input_shape, 1))


def shuffled_digits(seed: int = 0) -> Data:
    """Digits whose labels are those of other digits, in every part."""
    data = Digits().load()
    generator = torch.Generator().manual_seed(seed)
    train, validation, test = (
        Split(split.inputs, split.targets[torch.randperm(len(split.targets), generator=generator)])
        for split in (data.train, data.validation, data.test)
    )
    return Data(train, validation, test, data.task)


def constant_digits() -> Data:
    """Digits that are all of one class, of ten."""
    data = Digits().load()
    one = Split(data.train.inputs, torch.zeros_like(data.train.targets))
    return replace(data, train=one)


class Dead(nn.Module):
    """Hidden units so far below zero that a ReLU never lets one through."""

    def __init__(self, bias: float = -100.0) -> None:
        super().__init__()
        self.hidden = nn.Linear(64, 32)
        self.shift = nn.Parameter(torch.full((32,), bias))  # no initializer sets it to zero
        self.head = nn.Linear(32, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Scores [batch, classes], the same for all samples."""
        hidden = (self.hidden(images.flatten(1)) + self.shift).relu()
        outputs: Tensor = self.head(hidden)
        return outputs


class Idle(Dead):
    """Has a layer that it never calls."""

    def __init__(self) -> None:
        super().__init__(bias=0.0)
        self.spare = nn.Linear(32, 10)


class Dropping(nn.Sequential):
    """Has a dropout that no hyperparameter tells of."""

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 10))


class TwiceSoftmax(Dead):
    """Gives probabilities to a loss that takes scores."""

    def __init__(self) -> None:
        super().__init__(bias=0.0)

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities [batch, classes]."""
        return super().forward(images).softmax(dim=1)


class TooFew(Dead):
    """Has fewer outputs than there are classes."""

    def forward(self, images: Tensor) -> Tensor:
        """Scores [batch, 9]."""
        return super().forward(images)[:, :9]
