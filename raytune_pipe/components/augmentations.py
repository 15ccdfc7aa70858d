"""Augmentations: what is done to each batch before it is trained on; a mapping keyed by kind.

They are the trial's and not the dataset's: data is loaded once for all trials, and each trial
augments it in its own way. All that is drawn follows from the trial's seed and the epoch.
"""

from typing import TYPE_CHECKING, Annotated, NamedTuple

from raytune_pipe.base import MUTABLE, Component, ConfigError, NonNegative, Positive
from raytune_pipe.components.task import Batch, Task

if TYPE_CHECKING:
    import random

    import torch


class Draws(NamedTuple):
    """Where random numbers come from."""

    tensors: "torch.Generator"
    """On the batch's device."""
    scalars: "random.Random"
    """For one number per batch, without waiting for the device."""


class Noise(Component):
    """Add Gaussian noise to the inputs."""

    std: Annotated[NonNegative, MUTABLE] = 0.1
    """Standard deviation, in that of the standardized inputs."""

    def apply(self, batch: Batch, draws: Draws) -> Batch:
        """The batch with noise."""
        import torch

        inputs = batch.inputs
        noise = torch.empty_like(inputs).normal_(0.0, 1.0, generator=draws.tensors)
        return batch._replace(inputs=inputs.add(noise, alpha=self.std))


class Mixup(Component):
    """Train on weighted means of pairs of samples (Zhang et al. 2018, arXiv:1710.09412).

    The share of the first is drawn from Beta(alpha, alpha), once per batch; its loss and the
    second's are weighted alike.
    """

    alpha: Annotated[Positive, MUTABLE] = 0.2
    """Of the Beta distribution: near 0 hardly any mixing, 1 all shares alike."""

    def apply(self, batch: Batch, draws: Draws) -> Batch:
        """The batch, each sample mixed with another one of it."""
        import torch

        share = draws.scalars.betavariate(self.alpha, self.alpha)
        order = torch.randperm(
            len(batch.targets), generator=draws.tensors, device=draws.tensors.device
        )
        inputs = torch.lerp(batch.inputs[order], batch.inputs, share)
        return Batch(inputs, batch.targets, batch.targets[order], share)


class Augmentations(Component):
    """The augmentations of a trial, by kind; one that is absent is off."""

    noise: Noise | None = None
    """Gaussian noise on the inputs."""
    mixup: Mixup | None = None
    """Weighted means of pairs of samples."""

    def active(self) -> list[Noise | Mixup]:
        """Those that are on, in the order in which they apply."""
        return [member for _, member in self if member is not None]

    @property
    def mixing(self) -> str | None:
        """The kind of the one that mixes samples, if one does."""
        return "mixup" if self.mixup else None

    def require_fit(self, task: Task) -> None:
        """Raise `ConfigError` where one that is on cannot be applied to the task's inputs."""
        for name, member in self:
            if member is not None and task.tokens is not None:
                raise ConfigError(
                    f"augmentations.{name}: must have inputs of numbers, but the dataset's are"
                    " tokens; leave it out"
                )
