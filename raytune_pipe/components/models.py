"""Models: networks built to the shape of the task, with their rates set on the live module."""

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from raytune_pipe.base import MUTABLE, Component, ConfigError, Count, Fraction, Value
from raytune_pipe.components.imported import Args, Target, load_target
from raytune_pipe.components.task import Task

if TYPE_CHECKING:
    from torch import nn


class Mlp(Component):
    """Fully connected network; the input is flattened."""

    kind: Literal["mlp"] = "mlp"
    """Name of the model."""
    widths: Annotated[tuple[Count, ...], Field(min_length=1)] = (64, 64)
    """Units of each hidden layer."""
    activation: Literal["relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu"] = "relu"
    """After each hidden layer."""
    dropout: Annotated[Fraction, MUTABLE] = 0.0
    """Share of each hidden layer's units that is dropped in training."""

    def build(self, task: Task) -> "nn.Module":
        """Module: [batch, ...] -> [batch, outputs]."""
        from torch import nn

        from raytune_pipe.networks import mlp

        activations = {
            "relu": nn.ReLU,
            "leaky_relu": nn.LeakyReLU,
            "tanh": nn.Tanh,
            "sigmoid": nn.Sigmoid,
            "gelu": nn.GELU,
            "silu": nn.SiLU,
        }
        inputs = math.prod(task.input_shape)
        activation = activations[self.activation]
        return mlp.Mlp(inputs, self.widths, task.outputs, activation, self.dropout)

    def set_rates(self, module: "nn.Module") -> None:
        """Set dropout on the live module."""
        _set_dropout(module, self.dropout)

    def rates_in_force(self, module: "nn.Module") -> dict[str, Value]:
        """The mutable hyperparameters as the live module holds them."""
        return {"dropout": _dropout(module)}


DEEPEST = 1202
"""He et al. went as far, and found it no better; what is much deeper is built for minutes."""


def _six_n_plus_two(depth: int) -> int:
    if not 8 <= depth <= DEEPEST or (depth - 2) % 6:
        raise ValueError(
            f"depth must be 6n + 2, such as 8, 14, 20 or 32, and {DEEPEST} at most, but got {depth}"
        )
    return depth


class Resnet(Component):
    """Residual network for small images (He et al. 2016, arXiv:1512.03385, section 4.2)."""

    kind: Literal["resnet"] = "resnet"
    """Name of the model."""
    depth: Annotated[Count, AfterValidator(_six_n_plus_two)] = 8
    """Layers with weights: 6n + 2, for n blocks in each of three stages."""
    width: Count = 16
    """Channels of the first stage; the next two have twice and four times as many."""
    dropout: Annotated[Fraction, MUTABLE] = 0.0
    """Share of the pooled features that is dropped before the classifier in training."""

    def build(self, task: Task) -> "nn.Module":
        """Module: images [batch, channels, height, width] -> [batch, outputs]."""
        from raytune_pipe.networks import resnet

        if len(task.input_shape) != 3 or task.input_shape[0] not in (1, 3):
            raise ConfigError(
                "model resnet must have images of 1 or 3 channels, [channels, height, width], but"
                f" the dataset's samples have the shape {list(task.input_shape)}; choose model mlp,"
                " or reshape them"
            )
        channels = task.input_shape[0]
        return resnet.Resnet(channels, self.depth, self.width, task.outputs, self.dropout)

    def set_rates(self, module: "nn.Module") -> None:
        """Set dropout on the live module."""
        _set_dropout(module, self.dropout)

    def rates_in_force(self, module: "nn.Module") -> dict[str, Value]:
        """The mutable hyperparameters as the live module holds them."""
        return {"dropout": _dropout(module)}


class Imported(Component):
    """The user's own network: the target called with the arguments."""

    kind: Literal["imported"] = "imported"
    """Name of the model."""
    target: Target
    """``package.module:Name`` of an `nn.Module` class, or of a function that returns one."""
    args: Annotated[Args, Field(default_factory=dict)]
    """Keyword arguments for it, its input and output sizes among them."""

    def build(self, task: Task) -> "nn.Module":
        """The user's module; raises ConfigError if the target gives anything else."""
        from torch import nn

        module = load_target(self.target)(**self.args)
        if not isinstance(module, nn.Module):
            raise ConfigError(
                f"target {self.target} must give a torch.nn.Module, but gave a"
                f" {type(module).__name__}; name the class, or a function that returns the module"
            )
        return module

    def set_rates(self, module: "nn.Module") -> None:
        """Set nothing: its arguments are fixed when it is built."""

    def rates_in_force(self, module: "nn.Module") -> dict[str, Value]:
        """The mutable hyperparameters as the live module holds them: none."""
        return {}


def _set_dropout(module: "nn.Module", share: float) -> None:
    from torch import nn

    for child in module.modules():
        if isinstance(child, nn.Dropout):
            child.p = share


def _dropout(module: "nn.Module") -> float:
    from torch import nn

    return next(child.p for child in module.modules() if isinstance(child, nn.Dropout))


Model = Annotated[Mlp | Resnet | Imported, Field(discriminator="kind")]
