"""Optimizers: torch's own, with every rate set from the configuration before each step."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from raytune_pipe.base import MUTABLE, Component, Fraction, NonNegative, Positive, Value
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
    nesterov: bool = False
    """Whether the gradient is taken after the momentum step (Nesterov)."""
    weight_decay: Annotated[NonNegative, MUTABLE] = 0.0
    """Times the weight, added to its gradient."""

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise ValueError("momentum must be above 0 with nesterov, but got 0")
        return self

    def build(self, parameters: "Iterable[nn.Parameter]") -> "optim.Optimizer":
        """A `torch.optim.SGD` over these parameters, fused."""
        from torch import optim

        return optim.SGD(
            parameters,
            lr=self.lr,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
            fused=True,
        )

    def set_rates(self, optimizer: "optim.Optimizer", factors: Factors) -> None:
        """Set every hyperparameter of every group from this configuration times the factors."""
        for group in optimizer.param_groups:
            group["lr"] = self.lr * factors.lr
            group["momentum"] = self.momentum * factors.momentum
            group["nesterov"] = self.nesterov
            group["weight_decay"] = self.weight_decay

    def rates_in_force(self, optimizer: "optim.Optimizer", factors: Factors) -> dict[str, Value]:
        """The mutable hyperparameters as the live optimizer holds them, factors divided out."""
        group = optimizer.param_groups[0]
        return {
            "lr": _base(group["lr"], self.lr, factors.lr),
            "momentum": _base(group["momentum"], self.momentum, factors.momentum),
            "weight_decay": group["weight_decay"],
        }


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

    def build(self, parameters: "Iterable[nn.Parameter]") -> "optim.Optimizer":
        """A `torch.optim.AdamW` over these parameters, fused."""
        from torch import optim

        return optim.AdamW(
            parameters,
            lr=self.lr,
            betas=(self.beta1, self.beta2),
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=True,
        )

    def set_rates(self, optimizer: "optim.Optimizer", factors: Factors) -> None:
        """Set every hyperparameter of every group from this configuration times the factors."""
        for group in optimizer.param_groups:
            group["lr"] = self.lr * factors.lr
            group["betas"] = (self.beta1 * factors.momentum, self.beta2)
            group["eps"] = self.eps
            group["weight_decay"] = self.weight_decay

    def rates_in_force(self, optimizer: "optim.Optimizer", factors: Factors) -> dict[str, Value]:
        """The mutable hyperparameters as the live optimizer holds them, factors divided out."""
        group = optimizer.param_groups[0]
        beta1, beta2 = group["betas"]
        return {
            "lr": _base(group["lr"], self.lr, factors.lr),
            "beta1": _base(beta1, self.beta1, factors.momentum),
            "beta2": beta2,
            "eps": group["eps"],
            "weight_decay": group["weight_decay"],
        }


def _base(applied: float, declared: float, factor: float) -> float:
    """The base value behind the applied one; exactly the declared one where they agree."""
    # (declared * factor) / factor is off by a rounding error, which would look like a change.
    if applied == declared * factor:
        return declared
    return applied / factor


Optimizer = Annotated[Sgd | AdamW, Field(discriminator="kind")]
