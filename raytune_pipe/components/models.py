"""Models: networks built to the shape of the task, with their rates set on the live module."""

import math
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from raytune_pipe.base import MUTABLE, Component, ConfigError, Count, Fraction, Value
from raytune_pipe.components.activations import Activation, activation_type
from raytune_pipe.components.imported import Args, Target, load_target
from raytune_pipe.components.models_images import Cnn, Resnet
from raytune_pipe.components.models_rates import Rates, rates_in_force, require_one_each, set_rates
from raytune_pipe.components.models_sequences import Recurrent, Transformer
from raytune_pipe.components.task import Task

if TYPE_CHECKING:
    from torch import nn


class Mlp(Component):
    """Fully connected network; the input is flattened."""

    kind: Literal["mlp"] = "mlp"
    """Name of the model."""
    widths: Annotated[tuple[Count, ...], Field(min_length=1)] = (64, 64)
    """Units of each hidden layer."""
    activation: Activation = "relu"
    """After each hidden layer."""
    norm: Literal["none", "batch", "layer"] = "none"
    """Between each hidden layer and its activation (layer: Ba et al. 2016, arXiv:1607.06450)."""
    input_dropout: Annotated[Fraction, MUTABLE] = 0.0
    """Share of the inputs that is dropped in training."""
    dropout: Annotated[Rates, MUTABLE] = 0.0
    """Share of each hidden layer's units that is dropped in training; one for all, or a list."""

    @model_validator(mode="after")
    def _one_rate_each(self) -> Self:
        require_one_each("dropout", self.dropout, len(self.widths))
        return self

    def build(self, task: Task) -> "nn.Module":
        """Module: [batch, ...] -> [batch, outputs]; raises ConfigError on token indices."""
        from raytune_pipe.networks import mlp

        if task.tokens is not None:
            raise ConfigError(
                "model mlp must have numbers as inputs, but the dataset's samples are token"
                " indices; choose model recurrent or transformer"
            )
        inputs = math.prod(task.input_shape)
        activation = activation_type(self.activation)
        network = mlp.Mlp(inputs, self.widths, task.outputs, activation, self.norm)
        self.set_rates(network)
        return network

    def set_rates(self, module: "nn.Module") -> None:
        """Set dropout on the live module."""
        set_rates(self, module)

    def rates_in_force(self, module: "nn.Module") -> dict[str, Value]:
        """The mutable hyperparameters as the live module holds them."""
        return rates_in_force(self, module)


class Imported(Component):
    """The user's own network: the target called with the arguments.

    Its weights are drawn anew by the trial's initializer; ``initializer: {kind: as_built}`` keeps
    them.
    """

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


Model = Annotated[
    Mlp | Cnn | Resnet | Recurrent | Transformer | Imported, Field(discriminator="kind")
]
