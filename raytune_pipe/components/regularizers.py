"""Regularizers that belong to no other part: penalties, clipping; a mapping keyed by kind.

Weight decay is the optimizer's, label smoothing the loss's, dropout the model's.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from raytune_pipe.base import MUTABLE, Component, Fraction, NonNegative, Positive

if TYPE_CHECKING:
    from torch import Tensor, nn

Hook = Literal["penalty", "after_backward", "after_step"]


class L1(Component):
    """Add the sum of the weights' magnitudes to the loss; biases and norm layers are spared."""

    weight: Annotated[NonNegative, MUTABLE] = 1e-5
    """Multiplies the sum."""

    def penalty(self, model: "nn.Module") -> "Tensor":
        """Scalar to add to the loss."""
        import torch

        sums = [weight.abs().sum() for weight in model.parameters() if weight.ndim >= 2]
        return self.weight * torch.stack(sums).sum()


class ClipNorm(Component):
    """Scale the gradient down so that its L2 norm over all parameters is at most ``max_norm``.

    (Pascanu et al. 2013, arXiv:1211.5063.)
    """

    max_norm: Annotated[Positive, MUTABLE] = 5.0
    """Largest norm that is let through."""

    def after_backward(self, model: "nn.Module") -> None:
        """Clip the gradients in place."""
        from torch.nn.utils import clip_grad_norm_

        clip_grad_norm_(model.parameters(), self.max_norm, foreach=True)


class WeightAveraging(Component):
    """Evaluate, and keep, running averages of the weights (Polyak and Juditsky 1992).

    After each step average = decay * average + (1 - decay) * weight; the first steps count more.
    """

    decay: Annotated[Fraction, MUTABLE] = 0.999
    """Share of the averages that stays at each step; 1 / (1 - decay) steps are averaged."""


class Regularizers(Component):
    """The regularizers of a trial, by kind; one that is absent is off."""

    l1: L1 | None = None
    """L1 penalty on the weights."""
    clip_norm: ClipNorm | None = None
    """Clipping by the global norm of the gradient."""
    weight_averaging: WeightAveraging | None = None
    """Evaluation by running averages of the weights."""

    def active(self) -> list[L1 | ClipNorm | WeightAveraging]:
        """Those that are on, in the order in which they apply."""
        return [member for _, member in self if member is not None]

    def hooks(self, hook: Hook) -> list[Callable[["nn.Module"], Any]]:
        """The methods of that name of those that are on and have it."""
        return [getattr(member, hook) for member in self.active() if hasattr(member, hook)]
