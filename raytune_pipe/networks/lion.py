"""The optimizer Lion (Chen et al. 2023, arXiv:2302.06675, algorithm 2)."""

from typing import Any

import torch
from torch import Tensor, optim


class Lion(optim.Optimizer):
    """Step by the sign of an average of the gradient and its running mean.

    w <- (1 - lr * weight_decay) w - lr sign(beta1 m + (1 - beta1) g); m <- beta2 m + (1 - beta2) g.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        lr: float,
        betas: tuple[float, float],
        weight_decay: float,
    ) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no step here needs one
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            moved = [weight for weight in group["params"] if weight.grad is not None]
            if moved:
                self._move(moved, [weight.grad for weight in moved], group)

    def _move(self, weights: list[Tensor], gradients: list[Tensor], group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        means = [self._mean(weight) for weight in weights]
        directions = torch._foreach_lerp(means, gradients, 1.0 - beta1)
        torch._foreach_sign_(directions)
        if group["weight_decay"]:
            torch._foreach_mul_(weights, 1.0 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(weights, directions, alpha=-group["lr"])
        torch._foreach_lerp_(means, gradients, 1.0 - beta2)

    def _mean(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if "mean" not in state:
            state["mean"] = torch.zeros_like(weight)
        mean: Tensor = state["mean"]
        return mean
