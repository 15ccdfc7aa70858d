"""A data set of two tasks at once: which digit it is, and how much ink it took."""

import torch
from torch import Tensor

from raytune_pipe.components.datasets import Digits
from raytune_pipe.components.task import Data, Split, Task


def digits_and_ink() -> Data:
    """Class and normalized mean brightness, side by side."""
    data = Digits().load()
    shape = data.task.input_shape
    brightness = _brightness(data.train.inputs)

    def both(split: Split) -> Split:
        ink = (_brightness(split.inputs) - brightness.mean()) / brightness.std()
        return Split(split.inputs, torch.stack([split.targets.float(), ink], dim=1))

    parts = {"digit": Task("classification", shape, 10), "ink": Task("regression", shape, 1)}
    task = Task("several", shape, 11, parts=parts)
    return Data(both(data.train), both(data.validation), both(data.test), task)


def _brightness(images: Tensor) -> Tensor:
    return images.mean(dim=(1, 2, 3))
