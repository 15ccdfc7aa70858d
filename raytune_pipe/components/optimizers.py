"""Optimizers: every rate is set from the configuration before each step."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from raytune_pipe.base import MUTABLE, Component, Fraction, NonNegative, Positive, Value
from raytune_pipe.components.optimizers_adam import Adam, Adamax, AdamW, NAdam, RAdam
from raytune_pipe.components.optimizers_adaptive import Adadelta, Adagrad, RmsProp
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


class Sgd(Component):
    """Stochastic gradient descent with momentum; weight decay is coupled, as in L2."""

    kind: Literal["sgd"] = "sgd"
    """Name of the optimizer."""
    lr: Annotated[Positive, MUTABLE] = 0.01
    """Learning rate, which the schedule multiplies."""
    momentum: Annotated[Fraction, MUTABLE] = 0.9
    """Share of the last update that is kept."""
    dampening: Annotated[Fraction, MUTABLE] = 0.0
    """Share of the gradient that is kept out of the momentum."""
    nesterov: bool = False
    """Whether the gradient is taken after the momentum step (Nesterov)."""
    weight_decay: Annotated[NonNegative, MUTABLE] = 0.0
    """Times the weight, added to its gradient."""
    decay_biases_and_norms: bool = True
    """Whether weight decay acts on parameters of fewer than two dimensions too."""

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise ValueError("momentum must be above 0 with nesterov, but got 0")
        if self.nesterov and self.dampening > 0:
            raise ValueError(f"dampening must be 0 with nesterov, but got {self.dampening:g}")
        return self

    def build(self, model: "nn.Module") -> "optim.Optimizer":
        """A `torch.optim.SGD` over its parameters, fused."""
        from torch import optim

        grouped = groups(model.parameters(), decay_biases_and_norms=self.decay_biases_and_norms)
        optimizer = optim.SGD(grouped, **entries(self), fused=True)
        optimizer.register_load_state_dict_post_hook(drop_unused_momentum)
        return optimizer

    def set_rates(self, optimizer: "optim.Optimizer", factors: Factors) -> None:
        """Set every hyperparameter of every group from this configuration times the factors."""
        set_entries(optimizer, self, factors)

    def rates_in_force(self, optimizer: "optim.Optimizer", factors: Factors) -> dict[str, Value]:
        """The mutable hyperparameters as the live optimizer holds them, factors divided out."""
        return entries_in_force(optimizer, self, factors)


class Muon(Component):
    """Orthogonal steps for matrices (Jordan et al. 2024), AdamW for all the rest.

    Matrices are the weights of two dimensions, but for those of embeddings and of the output layer,
    which is the model's attribute ``head``; so of a convolutional network none. Their steps have
    the size of AdamW's, so one learning rate and weight decay serve both (Liu et al. 2025,
    arXiv:2502.16982).
    """

    kind: Literal["muon"] = "muon"
    """Name of the optimizer."""
    lr: Annotated[Positive, MUTABLE] = 1e-3
    """Learning rate, which the schedule multiplies."""
    momentum: Annotated[Fraction, MUTABLE] = 0.95
    """Decay of the mean of the gradient of matrices, with Nesterov's look ahead."""
    beta1: Annotated[Fraction, MUTABLE] = 0.9
    """AdamW's decay of the mean of the gradient; the schedule's momentum factor multiplies it."""
    beta2: Annotated[Fraction, MUTABLE] = 0.999
    """AdamW's decay of the mean of the squared gradient."""
    weight_decay: Annotated[NonNegative, MUTABLE] = 0.1
    """Times the learning rate: the share of each weight that is taken off at each step."""
    decay_biases_and_norms: bool = False
    """Whether weight decay acts on parameters of fewer than two dimensions too."""

    def build(self, model: "nn.Module") -> "optim.Optimizer":
        """Muon and AdamW as one optimizer over its parameters."""
        from raytune_pipe.networks.muon import MuonAndAdamW, hidden_matrices

        matrices, rest = hidden_matrices(model)
        decays = self.decay_biases_and_norms
        return MuonAndAdamW(
            groups(matrices, decay_biases_and_norms=decays),
            groups(rest, decay_biases_and_norms=decays),
            **entries(self),
        )

    def set_rates(self, optimizer: "optim.Optimizer", factors: Factors) -> None:
        """Set every hyperparameter of every group from this configuration times the factors."""
        set_entries(optimizer, self, factors)

    def rates_in_force(self, optimizer: "optim.Optimizer", factors: Factors) -> dict[str, Value]:
        """The mutable hyperparameters as the live optimizer holds them, factors divided out."""
        return entries_in_force(optimizer, self, factors)


class Lion(Component):
    """The sign of a mean of the gradient (Chen et al. 2023, arXiv:2302.06675).

    Every weight moves by the learning rate, which is therefore 3 to 10 times lower than AdamW's,
    and weight decay as much higher.
    """

    kind: Literal["lion"] = "lion"
    """Name of the optimizer."""
    lr: Annotated[Positive, MUTABLE] = 1e-4
    """Learning rate, which the schedule multiplies."""
    beta1: Annotated[Fraction, MUTABLE] = 0.9
    """Share of the mean in a step, beside the gradient; the schedule's momentum factor multiplies
    it."""
    beta2: Annotated[Fraction, MUTABLE] = 0.99
    """Decay of the mean of the gradient."""
    weight_decay: Annotated[NonNegative, MUTABLE] = 0.1
    """Times the learning rate: the share of each weight that is taken off at each step."""
    decay_biases_and_norms: bool = False
    """Whether weight decay acts on parameters of fewer than two dimensions too."""

    def build(self, model: "nn.Module") -> "optim.Optimizer":
        """A `networks.lion.Lion` over its parameters."""
        from raytune_pipe.networks import lion

        grouped = groups(model.parameters(), decay_biases_and_norms=self.decay_biases_and_norms)
        return lion.Lion(grouped, **entries(self))

    def set_rates(self, optimizer: "optim.Optimizer", factors: Factors) -> None:
        """Set every hyperparameter of every group from this configuration times the factors."""
        set_entries(optimizer, self, factors)

    def rates_in_force(self, optimizer: "optim.Optimizer", factors: Factors) -> dict[str, Value]:
        """The mutable hyperparameters as the live optimizer holds them, factors divided out."""
        return entries_in_force(optimizer, self, factors)


Optimizer = Annotated[
    Sgd | Adagrad | Adadelta | RmsProp | Adam | AdamW | Adamax | NAdam | RAdam | Muon | Lion,
    Field(discriminator="kind"),
]
