"""Regularizers that belong to no other part: penalties, clipping; a mapping keyed by kind.

Weight decay is the optimizer's, label smoothing the loss's, dropout the model's. Weights that a
user's own network does not train are left alone.
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

        sums = [weight.abs().sum() for weight in _trained_weights(model)]
        return self.weight * torch.stack(sums).sum() if sums else torch.zeros(())


class L2(Component):
    """Add the weights, times a number, to their gradients; biases and norm layers are spared.

    That is the gradient of half the weighted sum of squares, which the training loss is told
    without. With sgd it is weight decay; adaptive optimizers scale it as they do gradients.
    """

    weight: Annotated[NonNegative, MUTABLE] = 1e-4
    """Multiplies the weights."""

    def after_backward(self, model: "nn.Module") -> None:
        """Add to the gradients in place."""
        import torch

        weights = [weight for weight in _trained_weights(model) if weight.grad is not None]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        if gradients:
            own = [weight.detach() for weight in weights]
            torch._foreach_add_(gradients, own, alpha=self.weight)


class UnitNorm(Component):
    """Scale the gradient of each layer to an L2 norm of 1; one of zero stays zero.

    A layer is a module with parameters of its own: its weights and biases have one norm.
    """

    def after_backward(self, model: "nn.Module") -> None:
        """Scale the gradients in place."""
        from raytune_pipe.networks.gradient_groups import by_layer, scale_by_norm

        scale_by_norm(model, by_layer, lambda norms: norms.clamp_min(_TINY).reciprocal())


class ClipValue(Component):
    """Cut each entry of the gradient to at most ``max_value`` in magnitude."""

    max_value: Annotated[Positive, MUTABLE] = 0.5
    """Largest magnitude that is let through."""

    def after_backward(self, model: "nn.Module") -> None:
        """Clip the gradients in place."""
        from torch.nn.utils import clip_grad_value_

        clip_grad_value_(model.parameters(), self.max_value, foreach=True)


class ClipLayerNorm(Component):
    """Scale the gradient of each layer down so that its L2 norm is at most ``max_norm``.

    A layer is a module with parameters of its own: its weights and biases have one norm.
    """

    max_norm: Annotated[Positive, MUTABLE] = 1.0
    """Largest norm that is let through."""

    def after_backward(self, model: "nn.Module") -> None:
        """Clip the gradients in place."""
        from raytune_pipe.networks.gradient_groups import by_layer, scale_by_norm

        scale_by_norm(model, by_layer, _clipping(self.max_norm))


class ClipTypeNorm(Component):
    """Scale the gradient of each type of parameter down to an L2 norm of at most ``max_norm``.

    The types are weights, biases, norm layers and embeddings; each has one norm.
    """

    max_norm: Annotated[Positive, MUTABLE] = 1.0
    """Largest norm that is let through."""

    def after_backward(self, model: "nn.Module") -> None:
        """Clip the gradients in place."""
        from raytune_pipe.networks.gradient_groups import by_type, scale_by_norm

        scale_by_norm(model, by_type, _clipping(self.max_norm))


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


class MaxNorm(Component):
    """Keep the L2 norm of each unit's incoming weights at most ``max_norm``, after each step.

    (Srivastava et al. 2014, JMLR 15.) A unit is a row of a weight [units, ...]: of an embedding
    that is one token's vector. Biases and norm layers are spared.
    """

    max_norm: Annotated[Positive, MUTABLE] = 3.0
    """Largest norm of a unit's weights; longer ones are scaled down to it."""

    def after_step(self, model: "nn.Module") -> None:
        """Scale the weights in place."""
        for weight in _trained_weights(model):
            weight.data.renorm_(2, 0, self.max_norm)


class WeightAveraging(Component):
    """Evaluate, and keep, running averages of the weights (Polyak and Juditsky 1992).

    After each step average = decay * average + (1 - decay) * weight; the first steps count more.
    """

    decay: Annotated[Fraction, MUTABLE] = 0.999
    """Share of the averages that stays at each step; 1 / (1 - decay) steps are averaged."""


Regularizer = (
    L1
    | L2
    | UnitNorm
    | ClipValue
    | ClipLayerNorm
    | ClipTypeNorm
    | ClipNorm
    | MaxNorm
    | WeightAveraging
)


class Regularizers(Component):
    """The regularizers of a trial, by kind; one that is absent is off.

    Gradients are those of the whole batch, over all workers. What changes them applies in the order
    of the fields here, whatever the order in the file: l2, unit_norm, clip_value, clip_layer_norm,
    clip_type_norm, clip_norm.
    """

    l1: L1 | None = None
    """L1 penalty on the weights."""
    l2: L2 | None = None
    """L2 penalty on the weights, coupled: it passes through the optimizer as gradients do."""
    unit_norm: UnitNorm | None = None
    """Rescaling of each layer's gradient to norm 1."""
    clip_value: ClipValue | None = None
    """Clipping of each entry of the gradient."""
    clip_layer_norm: ClipLayerNorm | None = None
    """Clipping by the norm of each layer's gradient."""
    clip_type_norm: ClipTypeNorm | None = None
    """Clipping by the norm of the gradient of weights, of biases, of norms, of embeddings."""
    clip_norm: ClipNorm | None = None
    """Clipping by the global norm of the gradient."""
    max_norm: MaxNorm | None = None
    """A bound on the norm of each unit's weights."""
    weight_averaging: WeightAveraging | None = None
    """Evaluation by running averages of the weights."""

    def active(self) -> list[Regularizer]:
        """Those that are on, in the order in which they apply."""
        return [member for _, member in self if member is not None]

    def hooks(self, hook: Hook) -> list[Callable[["nn.Module"], Any]]:
        """The methods of that name of those that are on and have it."""
        return [getattr(member, hook) for member in self.active() if hasattr(member, hook)]


_TINY = 1e-12
"""Below it a norm is that of rounding errors."""


def _trained_weights(model: "nn.Module") -> "list[nn.Parameter]":
    """Those of two dimensions or more: biases and norm layers have fewer."""
    return [each for each in model.parameters() if each.requires_grad and each.ndim >= 2]


def _clipping(max_norm: float) -> "Callable[[Tensor], Tensor]":
    """As torch's `clip_grad_norm_` has the factor."""
    return lambda norms: (max_norm / (norms + 1e-6)).clamp_max(1.0)
