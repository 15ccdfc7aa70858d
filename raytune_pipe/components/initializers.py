"""Initializers: draw the weights from the trial's generator, zero the biases.

Weights are the parameters of two dimensions or more; norm layers and learned slopes (prelu) stay as
they were built. A recurrent layer is drawn gate by gate; an LSTM's forget gates start with bias 1.
The gain is that of the activation module that follows a layer (`networks.weights`).
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from raytune_pipe.base import Component, Positive

if TYPE_CHECKING:
    import torch
    from torch import nn

    from raytune_pipe.networks.weights import Weight

RELU_GAIN = math.sqrt(2.0)


class HeNormal(Component):
    """Gaussian with deviation gain / sqrt(fan_in) (He et al. 2015, arXiv:1502.01852).

    The gain is the activation's: sqrt(2) for relu, and where no activation is known to follow.
    """

    kind: Literal["he_normal"] = "he_normal"
    """Name of the initializer."""

    def apply(self, model: "nn.Module", generator: "torch.Generator") -> None:
        """Initialize the model in place, on the generator's device."""
        from torch.nn import init

        _draw(model, lambda it: init.normal_(it.values, 0.0, _he(it), generator=generator))


class HeUniform(Component):
    """Uniform with the deviation of `he_normal`: up to sqrt(3) times it (arXiv:1502.01852)."""

    kind: Literal["he_uniform"] = "he_uniform"
    """Name of the initializer."""

    def apply(self, model: "nn.Module", generator: "torch.Generator") -> None:
        """Initialize the model in place, on the generator's device."""
        _draw(model, lambda it: _uniform(it, math.sqrt(3.0) * _he(it), generator))


class XavierNormal(Component):
    """Gaussian with deviation gain * sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio 2010).

    The gain is the activation's, as torch's `calculate_gain`: 5/3 for tanh, sqrt(2) for relu; 1
    where no activation is known to follow.
    """

    kind: Literal["xavier_normal"] = "xavier_normal"
    """Name of the initializer."""

    def apply(self, model: "nn.Module", generator: "torch.Generator") -> None:
        """Initialize the model in place, on the generator's device."""
        from torch.nn import init

        _draw(model, lambda it: init.normal_(it.values, 0.0, _xavier(it), generator=generator))


class XavierUniform(Component):
    """Uniform with the deviation of `xavier_normal`: up to sqrt(3) times it."""

    kind: Literal["xavier_uniform"] = "xavier_uniform"
    """Name of the initializer."""

    def apply(self, model: "nn.Module", generator: "torch.Generator") -> None:
        """Initialize the model in place, on the generator's device."""
        _draw(model, lambda it: _uniform(it, math.sqrt(3.0) * _xavier(it), generator))


class Normal(Component):
    """Gaussian with a chosen deviation."""

    kind: Literal["normal"] = "normal"
    """Name of the initializer."""
    std: Positive = 0.01
    """Standard deviation of the weights."""

    def apply(self, model: "nn.Module", generator: "torch.Generator") -> None:
        """Initialize the model in place, on the generator's device."""
        from torch.nn import init

        _draw(model, lambda it: init.normal_(it.values, 0.0, self.std, generator=generator))


class TruncatedNormal(Component):
    """Gaussian without the draws beyond two deviations; what is left has 0.88 times ``std``."""

    kind: Literal["truncated_normal"] = "truncated_normal"
    """Name of the initializer."""
    std: Positive = 0.02
    """Standard deviation of the Gaussian before it is cut."""

    def apply(self, model: "nn.Module", generator: "torch.Generator") -> None:
        """Initialize the model in place, on the generator's device."""
        from torch.nn import init

        std, most = self.std, 2.0 * self.std
        _draw(
            model,
            lambda it: init.trunc_normal_(it.values, 0.0, std, -most, most, generator=generator),
        )


class Uniform(Component):
    """Uniform between -bound and bound."""

    kind: Literal["uniform"] = "uniform"
    """Name of the initializer."""
    bound: Positive = 0.05
    """Largest magnitude of a weight."""

    def apply(self, model: "nn.Module", generator: "torch.Generator") -> None:
        """Initialize the model in place, on the generator's device."""
        _draw(model, lambda it: _uniform(it, self.bound, generator))


class Orthogonal(Component):
    """Orthonormal rows or columns, times the gain (Saxe et al. 2014, arXiv:1312.6120).

    A kernel is a matrix of one row per filter; a recurrent layer has one matrix per gate. The gain
    is the activation's, 1 where none is known to follow.
    """

    kind: Literal["orthogonal"] = "orthogonal"
    """Name of the initializer."""

    def apply(self, model: "nn.Module", generator: "torch.Generator") -> None:
        """Initialize the model in place, on the generator's device."""
        import torch
        from torch.nn import init

        def draw(weight: "Weight") -> None:
            drawn = torch.empty_like(weight.values, memory_format=torch.contiguous_format)
            init.orthogonal_(drawn, _gain(weight, 1.0), generator=generator)
            weight.values.data.copy_(drawn)  # torch cannot draw into a kernel in channels_last

        _draw(model, draw)


class Zeros(Component):
    """All weights zero: the units of a layer then stay alike, so a net of several never learns."""

    kind: Literal["zeros"] = "zeros"
    """Name of the initializer."""

    def apply(self, model: "nn.Module", generator: "torch.Generator") -> None:
        """Initialize the model in place; nothing is drawn."""
        from torch.nn import init

        _draw(model, lambda it: init.zeros_(it.values))


class AsBuilt(Component):
    """Leave the weights as the model's own code made them, such as those of a trained model."""

    kind: Literal["as_built"] = "as_built"
    """Name of the initializer."""

    def apply(self, model: "nn.Module", generator: "torch.Generator") -> None:
        """Change nothing."""


def _draw(model: "nn.Module", draw: "Callable[[Weight], object]") -> None:
    from raytune_pipe.networks.weights import weights, zero_biases

    for weight in weights(model):
        draw(weight)
    zero_biases(model)


def _uniform(weight: "Weight", bound: float, generator: "torch.Generator") -> None:
    from torch.nn import init

    init.uniform_(weight.values, -bound, bound, generator=generator)


def _he(weight: "Weight") -> float:
    return _gain(weight, RELU_GAIN) / math.sqrt(weight.fan_in)


def _xavier(weight: "Weight") -> float:
    return _gain(weight, 1.0) * math.sqrt(2.0 / float(weight.fan_in + weight.fan_out))


def _gain(weight: "Weight", unknown: float) -> float:
    return unknown if weight.gain is None else weight.gain


Initializer = Annotated[
    HeNormal
    | HeUniform
    | XavierNormal
    | XavierUniform
    | Normal
    | TruncatedNormal
    | Uniform
    | Orthogonal
    | Zeros
    | AsBuilt,
    Field(discriminator="kind"),
]
