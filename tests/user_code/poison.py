"""A tiny data set, and models that break a trial in one way each."""

import os
import signal
import sys

import torch
from torch import Tensor, nn

from raytune_pipe.components.task import Data, Split, Task


def data(samples: int = 96) -> Data:
    """Two classes that a line tells apart; with a metric that is None where nothing was learned."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(samples, 4, generator=generator)
    targets = (inputs.sum(dim=1) > 0).long()
    third = samples // 3
    train, validation, test = (
        Split(inputs[start : start + third], targets[start : start + third])
        for start in (0, third, 2 * third)
    )
    task = Task("classification", (4,), 2, metrics={"confidence": _confidence})
    return Data(train, validation, test, task)


def _confidence(outputs: Tensor, _targets: Tensor) -> float | None:
    return float(outputs.abs().mean()) if outputs.any() else None


class Healthy(nn.Module):
    """A linear classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        """Class scores [batch, classes]."""
        outputs: Tensor = self.linear(inputs)
        return outputs


class Raises(Healthy):
    """Raises an exception."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Never returns."""
        raise ValueError(f"cannot digest {tuple(inputs.shape)}")


class TurnsNan(Healthy):
    """Puts out what is not a number."""

    def forward(self, inputs: Tensor) -> Tensor:
        """NaN [batch, classes], with gradients."""
        return super().forward(inputs) * float("nan")


class Silent(Healthy):
    """Puts out zeros, for which the metric is None."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Zeros [batch, classes], with gradients."""
        return super().forward(inputs) * 0.0


class Exits(Healthy):
    """Leaves the process politely."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Never returns."""
        sys.exit(3)


class Killed(Healthy):
    """Has its process killed, as the kernel does when memory runs out."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Never returns."""
        os.kill(os.getpid(), signal.SIGKILL)
        return inputs


class Fragile(Healthy):
    """Turns to NaN or raises, as its weights explode."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores [batch, classes]; raises where a weight is beyond 1e4."""
        largest = float(self.linear.weight.detach().abs().max())
        if largest > 1e4:
            raise ValueError(f"the weights exploded to {largest:g}")
        return super().forward(inputs) * (float("nan") if largest > 50 else 1.0)


class RunsOutOfMemory(Healthy):
    """Asks for more memory than there is."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Never returns."""
        raise MemoryError(f"no room for {tuple(inputs.shape)}")
