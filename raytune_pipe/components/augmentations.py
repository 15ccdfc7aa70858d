"""Augmentations: what is done to each batch before it is trained on; a mapping keyed by kind.

They are the trial's and not the dataset's: data is loaded once for all trials, and each trial
augments it in its own way. All that is drawn follows from the trial's seed and the epoch.
"""

import math
from typing import Annotated, ClassVar, Self

from pydantic import model_validator

from raytune_pipe.base import MUTABLE, Component, ConfigError, NonNegative, Positive
from raytune_pipe.components.augmentations_images import (
    Crop,
    Erasing,
    HorizontalFlip,
    Rotation,
    Shift,
)
from raytune_pipe.components.draws import Draws
from raytune_pipe.components.task import Batch, Task


class Noise(Component):
    """Add Gaussian noise to the inputs."""

    needs_images: ClassVar[bool] = False

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

    needs_images: ClassVar[bool] = False

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


class Cutmix(Component):
    """Paste a rectangle of another sample into each one (Yun et al. 2019, arXiv:1905.04899).

    The share that is left of the first is drawn from Beta(alpha, alpha), the place evenly, once per
    batch; what lies beyond the edges is cut off. The losses are weighted by the exact areas.
    """

    needs_images: ClassVar[bool] = True

    alpha: Annotated[Positive, MUTABLE] = 1.0
    """Of the Beta distribution: near 0 hardly any or nearly all is pasted, 1 all shares alike."""

    def apply(self, batch: Batch, draws: Draws) -> Batch:
        """The batch, each sample with a part of another one of it."""
        import torch

        rows, columns = batch.inputs.shape[2:]
        side = math.sqrt(1 - draws.scalars.betavariate(self.alpha, self.alpha))
        top, bottom = _span(rows, side, draws)
        left, right = _span(columns, side, draws)
        order = torch.randperm(
            len(batch.targets), generator=draws.tensors, device=draws.tensors.device
        )
        inputs = batch.inputs.clone()
        inputs[:, :, top:bottom, left:right] = batch.inputs[order, :, top:bottom, left:right]
        pasted = (bottom - top) * (right - left) / (rows * columns)
        return Batch(inputs, batch.targets, batch.targets[order], 1 - pasted)


def _span(size: int, share: float, draws: Draws) -> tuple[int, int]:
    """First and end of so large a part of the pixels, about an evenly drawn one."""
    length = round(size * share)
    first = draws.scalars.randrange(size) - length // 2
    return max(first, 0), min(first + length, size)


Augmentation = Crop | HorizontalFlip | Shift | Rotation | Noise | Erasing | Mixup | Cutmix


class Augmentations(Component):
    """The augmentations of a trial, by kind; one that is absent is off.

    They apply in the order of the fields here, whatever the order in the file.
    """

    crop: Crop | None = None
    """A random part of a padded image."""
    horizontal_flip: HorizontalFlip | None = None
    """Mirroring left to right."""
    shift: Shift | None = None
    """Moves by a share of the size."""
    rotation: Rotation | None = None
    """Turns about the middle."""
    noise: Noise | None = None
    """Gaussian noise on the inputs."""
    erasing: Erasing | None = None
    """A rectangle of zeros."""
    mixup: Mixup | None = None
    """Weighted means of pairs of samples."""
    cutmix: Cutmix | None = None
    """A part of another sample."""

    @model_validator(mode="after")
    def _one_mixes(self) -> Self:
        if self.mixup and self.cutmix:
            raise ValueError(
                "must have mixup or cutmix, but got both, and a sample can have two targets only;"
                " leave one out"
            )
        return self

    def active(self) -> list[Augmentation]:
        """Those that are on, in the order in which they apply."""
        return [member for _, member in self if member is not None]

    @property
    def mixing(self) -> str | None:
        """The kind of the one that mixes samples, if one does."""
        return "mixup" if self.mixup else "cutmix" if self.cutmix else None

    def require_fit(self, task: Task) -> None:
        """Raise `ConfigError` where one that is on cannot be applied to the task's inputs."""
        for name, member in self:
            if member is None:
                continue
            if task.tokens is not None:
                raise ConfigError(
                    f"augmentations.{name}: must have inputs of numbers, but the dataset's are"
                    " tokens; leave it out"
                )
            if member.needs_images and len(task.input_shape) != 3:
                raise ConfigError(
                    f"augmentations.{name}: must have images, [channels, height, width], but the"
                    f" dataset's samples have the shape {list(task.input_shape)}; leave it out"
                )
        if self.crop:
            self.crop.require_fit(task)
