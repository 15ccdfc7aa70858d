"""Initializers: draw the weights from the trial's generator, zero the biases.

Weights are the parameters of two dimensions or more; norm layers stay as they were built.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from raytune_pipe.base import Component, Positive

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class HeNormal(Component):
    """Gaussian with deviation sqrt(2 / fan_in), for ReLU (He et al. 2015, arXiv:1502.01852)."""

    kind: Literal["he_normal"] = "he_normal"
    """Name of the initializer."""

    def apply(self, model: "nn.Module", generator: "torch.Generator") -> None:
        """Initialize the model in place, on the generator's device."""
        from torch.nn import init

        _draw(
            model,
            lambda weight: init.kaiming_normal_(weight, nonlinearity="relu", generator=generator),
        )


class XavierNormal(Component):
    """Gaussian with deviation sqrt(2 / (fan_in + fan_out)), for tanh (Glorot and Bengio 2010)."""

    kind: Literal["xavier_normal"] = "xavier_normal"
    """Name of the initializer."""

    def apply(self, model: "nn.Module", generator: "torch.Generator") -> None:
        """Initialize the model in place, on the generator's device."""
        from torch.nn import init

        _draw(model, lambda weight: init.xavier_normal_(weight, generator=generator))


class Normal(Component):
    """Gaussian with a chosen deviation."""

    kind: Literal["normal"] = "normal"
    """Name of the initializer."""
    std: Positive = 0.01
    """Standard deviation of the weights."""

    def apply(self, model: "nn.Module", generator: "torch.Generator") -> None:
        """Initialize the model in place, on the generator's device."""
        from torch.nn import init

        _draw(model, lambda weight: init.normal_(weight, std=self.std, generator=generator))


def _draw(model: "nn.Module", draw: "Callable[[Tensor], Tensor]") -> None:
    from torch import nn
    from torch.nn.modules.batchnorm import _NormBase

    norms = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
    for module in model.modules():
        if isinstance(module, norms):
            continue
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.ndim >= 2:
                draw(parameter)
            elif name.startswith("bias"):
                nn.init.zeros_(parameter)


Initializer = Annotated[HeNormal | XavierNormal | Normal, Field(discriminator="kind")]
