"""Augmentations of images: each of a batch is changed by amounts of its own."""

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from raytune_pipe.base import MUTABLE, Component, ConfigError, Fraction, Probability
from raytune_pipe.components.draws import Draws
from raytune_pipe.components.task import Batch, Task

if TYPE_CHECKING:
    from torch import Tensor


class Crop(Component):
    """Pad each image on all sides, and cut one of the old size out of it at a random place."""

    needs_images: ClassVar[bool] = True

    padding: Annotated[int, Field(ge=0, le=10**4), MUTABLE] = 4
    """Pixels on each side, below the image's height and width; 0 is none."""
    fill: Literal["zeros", "reflect"] = "zeros"
    """What is in the padding: zero, the mean of standardized inputs, or the image mirrored."""

    def apply(self, batch: Batch, draws: Draws) -> Batch:
        """The batch, cropped."""
        import torch

        from raytune_pipe.networks import images

        top, left = torch.randint(
            2 * self.padding + 1,
            (2, len(batch.inputs)),
            generator=draws.tensors,
            device=batch.inputs.device,
        )
        mode = "constant" if self.fill == "zeros" else self.fill
        return batch._replace(inputs=images.cropped(batch.inputs, top, left, self.padding, mode))

    def require_fit(self, task: Task) -> None:
        """Raise `ConfigError` where padding is as large as the image."""
        smallest = min(task.input_shape[1:])
        if self.padding >= smallest:
            raise ConfigError(
                f"augmentations.crop.padding: must be below the {smallest} pixels of the images,"
                f" but got {self.padding}; lower it"
            )


class HorizontalFlip(Component):
    """Mirror images left to right."""

    needs_images: ClassVar[bool] = True

    probability: Annotated[Probability, MUTABLE] = 0.5
    """Share of the images that is mirrored."""

    def apply(self, batch: Batch, draws: Draws) -> Batch:
        """The batch, some of it mirrored."""
        from raytune_pipe.networks import images

        is_flipped = _uniform(batch, draws, 1)[0] < self.probability
        return batch._replace(inputs=images.flipped(batch.inputs, is_flipped))


class Shift(Component):
    """Move each image up or down and left or right, by parts of a pixel too; zeros come in."""

    needs_images: ClassVar[bool] = True

    share: Annotated[Fraction, MUTABLE] = 0.1
    """Largest move, as a share of the height and of the width; all smaller ones are as likely."""

    def apply(self, batch: Batch, draws: Draws) -> Batch:
        """The batch, moved."""
        from raytune_pipe.networks import images

        height, width = batch.inputs.shape[2:]
        down, right = (2 * _uniform(batch, draws, 2) - 1) * self.share
        return batch._replace(inputs=images.shifted(batch.inputs, down * height, right * width))


class Rotation(Component):
    """Turn each image about its middle; zeros come in."""

    needs_images: ClassVar[bool] = True

    degrees: Annotated[float, Field(ge=0, le=180), MUTABLE] = 10.0
    """Largest angle, either way; all smaller ones are as likely."""

    def apply(self, batch: Batch, draws: Draws) -> Batch:
        """The batch, turned."""
        from raytune_pipe.networks import images

        [angles] = (2 * _uniform(batch, draws, 1) - 1) * self.degrees
        return batch._replace(inputs=images.rotated(batch.inputs, angles))


class Erasing(Component):
    """Set a random rectangle of an image to zero (Zhong et al. 2020, arXiv:1708.04896).

    Zero is the mean of standardized inputs. The rectangle's height is 0.3 to 3.3 times its width,
    as likely above 1 as below.
    """

    needs_images: ClassVar[bool] = True

    probability: Annotated[Probability, MUTABLE] = 0.5
    """Share of the images that loses one."""
    area: Annotated[Probability, MUTABLE] = 0.4
    """Largest share of an image that is set to zero; all smaller ones are as likely."""

    def apply(self, batch: Batch, draws: Draws) -> Batch:
        """The batch, parts of it zero."""
        from raytune_pipe.networks import images

        chance, area, aspect, down, right = _uniform(batch, draws, 5)
        rows, columns = batch.inputs.shape[2:]
        pixels = area * self.area * (rows * columns)
        root = ((2 * aspect - 1) * (0.5 * math.log(1 / 0.3))).exp()
        height = (pixels.sqrt() * root).round().clamp_max(rows)
        width = (pixels.sqrt() / root).round().clamp_max(columns)
        top = (down * (rows - height + 1)).floor()
        left = (right * (columns - width + 1)).floor()
        erased = images.within(batch.inputs, top, left, height, width)
        erased &= (chance < self.probability)[:, None, None, None]
        return batch._replace(inputs=batch.inputs.masked_fill(erased, 0.0))


def _uniform(batch: Batch, draws: Draws, amounts: int) -> "Tensor":
    """Draws in [0, 1), so many for each sample: float32 [amounts, samples]."""
    import torch

    device = batch.inputs.device
    return torch.rand(amounts, len(batch.inputs), generator=draws.tensors, device=device)
