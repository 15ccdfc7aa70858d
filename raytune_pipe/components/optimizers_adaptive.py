"""Optimizers that divide by how large the gradients were: adagrad, adadelta and rmsprop."""

from typing import TYPE_CHECKING, Annotated, Literal

from raytune_pipe.base import MUTABLE, Component, Fraction, NonNegative, Positive, Value
from raytune_pipe.components.optimizers_groups import (
    drop_unused_momentum,
    entries,
    entries_in_force,
    groups,
    set_entries,
)
from raytune_pipe.components.schedules_progress import Factors

if TYPE_CHECKING:
    from torch import nn, optim


class Adagrad(Component):
    """Divide by the root of all squared gradients so far (Duchi et al. 2011, JMLR 12:2121).

    It has no momentum, so a schedule moves the learning rate alone.
    """

    kind: Literal["adagrad"] = "adagrad"
    """Name of the optimizer."""
    lr: Annotated[Positive, MUTABLE] = 0.01
    """Learning rate, which the schedule multiplies."""
    eps: Annotated[Positive, MUTABLE] = 1e-10
    """Added to the root of the squared gradients' sum."""
    weight_decay: Annotated[NonNegative, MUTABLE] = 0.0
    """Times the weight, added to its gradient."""
    decay_biases_and_norms: bool = True
    """Whether weight decay acts on parameters of fewer than two dimensions too."""

    def build(self, model: "nn.Module") -> "optim.Optimizer":
        """A `torch.optim.Adagrad` over its parameters, fused."""
        from torch import optim

        grouped = groups(model.parameters(), decay_biases_and_norms=self.decay_biases_and_norms)
        return optim.Adagrad(grouped, **entries(self), fused=True)

    def set_rates(self, optimizer: "optim.Optimizer", factors: Factors) -> None:
        """Set every hyperparameter of every group from this configuration times the factors."""
        set_entries(optimizer, self, factors)

    def rates_in_force(self, optimizer: "optim.Optimizer", factors: Factors) -> dict[str, Value]:
        """The mutable hyperparameters as the live optimizer holds them, factors divided out."""
        return entries_in_force(optimizer, self, factors)


class Adadelta(Component):
    """Scale each step by the size of the last ones (Zeiler 2012, arXiv:1212.5701).

    It has no momentum, so a schedule moves the learning rate alone.
    """

    kind: Literal["adadelta"] = "adadelta"
    """Name of the optimizer."""
    lr: Annotated[Positive, MUTABLE] = 1.0
    """Learning rate, which the schedule multiplies."""
    rho: Annotated[Fraction, MUTABLE] = 0.9
    """Decay of the means of the squared gradient and of the squared step."""
    eps: Annotated[Positive, MUTABLE] = 1e-6
    """Added to both means before their roots."""
    weight_decay: Annotated[NonNegative, MUTABLE] = 0.0
    """Times the weight, added to its gradient."""
    decay_biases_and_norms: bool = True
    """Whether weight decay acts on parameters of fewer than two dimensions too."""

    def build(self, model: "nn.Module") -> "optim.Optimizer":
        """A `torch.optim.Adadelta` over its parameters, many tensors at a time."""
        from torch import optim

        grouped = groups(model.parameters(), decay_biases_and_norms=self.decay_biases_and_norms)
        return optim.Adadelta(grouped, **entries(self), foreach=True)

    def set_rates(self, optimizer: "optim.Optimizer", factors: Factors) -> None:
        """Set every hyperparameter of every group from this configuration times the factors."""
        set_entries(optimizer, self, factors)

    def rates_in_force(self, optimizer: "optim.Optimizer", factors: Factors) -> dict[str, Value]:
        """The mutable hyperparameters as the live optimizer holds them, factors divided out."""
        return entries_in_force(optimizer, self, factors)


class RmsProp(Component):
    """Divide by the root of the mean squared gradient (Hinton 2012, lecture 6e of his course)."""

    kind: Literal["rmsprop"] = "rmsprop"
    """Name of the optimizer."""
    lr: Annotated[Positive, MUTABLE] = 0.01
    """Learning rate, which the schedule multiplies."""
    momentum: Annotated[Fraction, MUTABLE] = 0.0
    """Share of the last update that is kept."""
    alpha: Annotated[Fraction, MUTABLE] = 0.99
    """Decay of the mean of the squared gradient."""
    eps: Annotated[Positive, MUTABLE] = 1e-8
    """Added to the root of the squared gradient's mean."""
    weight_decay: Annotated[NonNegative, MUTABLE] = 0.0
    """Times the weight, added to its gradient."""
    decay_biases_and_norms: bool = True
    """Whether weight decay acts on parameters of fewer than two dimensions too."""

    def build(self, model: "nn.Module") -> "optim.Optimizer":
        """A `torch.optim.RMSprop` over its parameters, many tensors at a time."""
        from torch import optim

        grouped = groups(model.parameters(), decay_biases_and_norms=self.decay_biases_and_norms)
        optimizer = optim.RMSprop(grouped, **entries(self), foreach=True)
        optimizer.register_load_state_dict_post_hook(drop_unused_momentum)
        optimizer.register_load_state_dict_post_hook(_add_momentum)
        return optimizer

    def set_rates(self, optimizer: "optim.Optimizer", factors: Factors) -> None:
        """Set every hyperparameter of every group from this configuration times the factors."""
        set_entries(optimizer, self, factors)

    def rates_in_force(self, optimizer: "optim.Optimizer", factors: Factors) -> dict[str, Value]:
        """The mutable hyperparameters as the live optimizer holds them, factors divided out."""
        return entries_in_force(optimizer, self, factors)


def _add_momentum(optimizer: "optim.Optimizer") -> None:
    """Begin it at zero where what was loaded has none: torch does so for new parameters alone."""
    import torch

    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = optimizer.state.get(parameter)
            if group["momentum"] > 0 and state and "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(parameter)
