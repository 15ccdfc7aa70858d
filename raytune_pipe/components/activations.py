"""The activations that a network can have, by name."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import nn

Activation = Literal[
    "relu", "leaky_relu", "prelu", "elu", "gelu", "silu", "tanh", "sigmoid", "softsign"
]


def activation_type(name: Activation) -> "Callable[[], nn.Module]":
    """What makes such an activation, with torch's defaults; prelu learns one slope per layer."""
    from torch import nn

    return {
        "relu": nn.ReLU,
        "leaky_relu": nn.LeakyReLU,
        "prelu": nn.PReLU,
        "elu": nn.ELU,
        "gelu": nn.GELU,
        "silu": nn.SiLU,
        "tanh": nn.Tanh,
        "sigmoid": nn.Sigmoid,
        "softsign": nn.Softsign,
    }[name]
