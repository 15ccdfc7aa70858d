"""Where the random numbers of augmentations come from."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import random

    import torch


class Draws(NamedTuple):
    """Where random numbers come from."""

    tensors: "torch.Generator"
    """On the batch's device."""
    scalars: "random.Random"
    """For one number per batch, without waiting for the device."""
