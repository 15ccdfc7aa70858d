"""Adam and what has come of it: running means of the gradient and of its square."""

from typing import TYPE_CHECKING, Annotated, Literal

from raytune_pipe.base import MUTABLE, Component, Fraction, NonNegative, Positive, Value
from raytune_pipe.components.optimizers_groups import (
    entries,
    entries_in_force,
    groups,
    set_entries,
)
from raytune_pipe.components.schedules_progress import Factors

if TYPE_CHECKING:
    from torch import nn, optim


class Adam(Component):
    """Adam with coupled weight decay (Kingma and Ba 2015, arXiv:1412.6980)."""

    kind: Literal["adam"] = "adam"
    """Name of the optimizer."""
    lr: Annotated[Positive, MUTABLE] = 1e-3
    """Learning rate, which the schedule multiplies."""
    beta1: Annotated[Fraction, MUTABLE] = 0.9
    """Decay of the mean of the gradient; the schedule's momentum factor multiplies it."""
    beta2: Annotated[Fraction, MUTABLE] = 0.999
    """Decay of the mean of the squared gradient."""
    eps: Annotated[Positive, MUTABLE] = 1e-8
    """Added to the root of the squared gradient's mean."""
    weight_decay: Annotated[NonNegative, MUTABLE] = 0.0
    """Times the weight, added to its gradient."""
    decay_biases_and_norms: bool = True
    """Whether weight decay acts on parameters of fewer than two dimensions too."""

    def build(self, model: "nn.Module") -> "optim.Optimizer":
        """A `torch.optim.Adam` over its parameters, fused."""
        from torch import optim

        grouped = groups(model.parameters(), decay_biases_and_norms=self.decay_biases_and_norms)
        return optim.Adam(grouped, **entries(self), fused=True)

    def set_rates(self, optimizer: "optim.Optimizer", factors: Factors) -> None:
        """Set every hyperparameter of every group from this configuration times the factors."""
        set_entries(optimizer, self, factors)

    def rates_in_force(self, optimizer: "optim.Optimizer", factors: Factors) -> dict[str, Value]:
        """The mutable hyperparameters as the live optimizer holds them, factors divided out."""
        return entries_in_force(optimizer, self, factors)


class AdamW(Component):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101)."""

    kind: Literal["adamw"] = "adamw"
    """Name of the optimizer."""
    lr: Annotated[Positive, MUTABLE] = 1e-3
    """Learning rate, which the schedule multiplies."""
    beta1: Annotated[Fraction, MUTABLE] = 0.9
    """Decay of the mean of the gradient; the schedule's momentum factor multiplies it."""
    beta2: Annotated[Fraction, MUTABLE] = 0.999
    """Decay of the mean of the squared gradient."""
    eps: Annotated[Positive, MUTABLE] = 1e-8
    """Added to the root of the squared gradient's mean."""
    weight_decay: Annotated[NonNegative, MUTABLE] = 0.01
    """Times the learning rate: the share of each weight that is taken off at each step."""
    decay_biases_and_norms: bool = False
    """Whether weight decay acts on parameters of fewer than two dimensions too."""

    def build(self, model: "nn.Module") -> "optim.Optimizer":
        """A `torch.optim.AdamW` over its parameters, fused."""
        from torch import optim

        grouped = groups(model.parameters(), decay_biases_and_norms=self.decay_biases_and_norms)
        return optim.AdamW(grouped, **entries(self), fused=True)

    def set_rates(self, optimizer: "optim.Optimizer", factors: Factors) -> None:
        """Set every hyperparameter of every group from this configuration times the factors."""
        set_entries(optimizer, self, factors)

    def rates_in_force(self, optimizer: "optim.Optimizer", factors: Factors) -> dict[str, Value]:
        """The mutable hyperparameters as the live optimizer holds them, factors divided out."""
        return entries_in_force(optimizer, self, factors)


class Adamax(Component):
    """Adam by the largest gradient, not the mean square (Kingma and Ba 2015, section 7.1)."""

    kind: Literal["adamax"] = "adamax"
    """Name of the optimizer."""
    lr: Annotated[Positive, MUTABLE] = 2e-3
    """Learning rate, which the schedule multiplies."""
    beta1: Annotated[Fraction, MUTABLE] = 0.9
    """Decay of the mean of the gradient; the schedule's momentum factor multiplies it."""
    beta2: Annotated[Fraction, MUTABLE] = 0.999
    """Decay of the largest gradient so far."""
    eps: Annotated[Positive, MUTABLE] = 1e-8
    """Added to the size of each gradient, so that none counts as zero."""
    weight_decay: Annotated[NonNegative, MUTABLE] = 0.0
    """Times the weight, added to its gradient."""
    decay_biases_and_norms: bool = True
    """Whether weight decay acts on parameters of fewer than two dimensions too."""

    def build(self, model: "nn.Module") -> "optim.Optimizer":
        """A `torch.optim.Adamax` over its parameters, many tensors at a time."""
        from torch import optim

        grouped = groups(model.parameters(), decay_biases_and_norms=self.decay_biases_and_norms)
        return optim.Adamax(grouped, **entries(self), foreach=True)

    def set_rates(self, optimizer: "optim.Optimizer", factors: Factors) -> None:
        """Set every hyperparameter of every group from this configuration times the factors."""
        set_entries(optimizer, self, factors)

    def rates_in_force(self, optimizer: "optim.Optimizer", factors: Factors) -> dict[str, Value]:
        """The mutable hyperparameters as the live optimizer holds them, factors divided out."""
        return entries_in_force(optimizer, self, factors)


class NAdam(Component):
    """Adam with Nesterov momentum (Dozat 2016), which itself warms up over the first steps."""

    kind: Literal["nadam"] = "nadam"
    """Name of the optimizer."""
    lr: Annotated[Positive, MUTABLE] = 2e-3
    """Learning rate, which the schedule multiplies."""
    beta1: Annotated[Fraction, MUTABLE] = 0.9
    """Decay of the mean of the gradient; the schedule's momentum factor multiplies it."""
    beta2: Annotated[Fraction, MUTABLE] = 0.999
    """Decay of the mean of the squared gradient."""
    eps: Annotated[Positive, MUTABLE] = 1e-8
    """Added to the root of the squared gradient's mean."""
    weight_decay: Annotated[NonNegative, MUTABLE] = 0.0
    """Times the weight, added to its gradient."""
    decay_biases_and_norms: bool = True
    """Whether weight decay acts on parameters of fewer than two dimensions too."""

    def build(self, model: "nn.Module") -> "optim.Optimizer":
        """A `torch.optim.NAdam` over its parameters, many tensors at a time."""
        from torch import optim

        grouped = groups(model.parameters(), decay_biases_and_norms=self.decay_biases_and_norms)
        return optim.NAdam(grouped, **entries(self), foreach=True)

    def set_rates(self, optimizer: "optim.Optimizer", factors: Factors) -> None:
        """Set every hyperparameter of every group from this configuration times the factors."""
        set_entries(optimizer, self, factors)

    def rates_in_force(self, optimizer: "optim.Optimizer", factors: Factors) -> dict[str, Value]:
        """The mutable hyperparameters as the live optimizer holds them, factors divided out."""
        return entries_in_force(optimizer, self, factors)


class RAdam(Component):
    """Adam without the large steps of its first moments (Liu et al. 2020, arXiv:1908.03265)."""

    kind: Literal["radam"] = "radam"
    """Name of the optimizer."""
    lr: Annotated[Positive, MUTABLE] = 1e-3
    """Learning rate, which the schedule multiplies."""
    beta1: Annotated[Fraction, MUTABLE] = 0.9
    """Decay of the mean of the gradient; the schedule's momentum factor multiplies it."""
    beta2: Annotated[Fraction, MUTABLE] = 0.999
    """Decay of the mean of the squared gradient."""
    eps: Annotated[Positive, MUTABLE] = 1e-8
    """Added to the root of the squared gradient's mean."""
    weight_decay: Annotated[NonNegative, MUTABLE] = 0.0
    """Times the weight, added to its gradient."""
    decay_biases_and_norms: bool = True
    """Whether weight decay acts on parameters of fewer than two dimensions too."""

    def build(self, model: "nn.Module") -> "optim.Optimizer":
        """A `torch.optim.RAdam` over its parameters, many tensors at a time."""
        from torch import optim

        grouped = groups(model.parameters(), decay_biases_and_norms=self.decay_biases_and_norms)
        return optim.RAdam(grouped, **entries(self), foreach=True)

    def set_rates(self, optimizer: "optim.Optimizer", factors: Factors) -> None:
        """Set every hyperparameter of every group from this configuration times the factors."""
        set_entries(optimizer, self, factors)

    def rates_in_force(self, optimizer: "optim.Optimizer", factors: Factors) -> dict[str, Value]:
        """The mutable hyperparameters as the live optimizer holds them, factors divided out."""
        return entries_in_force(optimizer, self, factors)
