"""The weights of a network as initializers draw them: matrix by matrix, with fans and gain."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
LIKE_RELU = (nn.ReLU, nn.ReLU6, nn.ELU, nn.GELU, nn.SiLU)
OF_GAIN_ONE = (nn.Sigmoid, nn.Softsign)
RECURRENT = (nn.RNNBase, nn.RNNCellBase)


class Weight(NamedTuple):
    """One matrix or kernel, which may be a part of a parameter."""

    values: Tensor
    """[outputs, inputs, ...]; to be changed in place."""
    fan_in: int
    """Inputs that one output is summed over."""
    fan_out: int
    """Outputs that one input goes to."""
    gain: float | None
    """That of the activation that follows; None where none is known to."""


def weights(model: nn.Module) -> Iterator[Weight]:
    """Every weight of two dimensions or more, in the model's order; norms have none.

    Matrices that torch keeps stacked (a recurrent layer's gates, attention's queries, keys and
    values) come one by one, so that fans and orthogonality are each one's own. Their gain is 1:
    what follows a gate is its own, and a gain above 1 would grow with every position.
    An embedding's fan_in is 1, as an index picks one of its rows.
    """
    gains = _gains(model)
    for module in model.modules():
        if isinstance(module, NORMS):
            continue
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.ndim < 2:
                continue
            if isinstance(module, nn.Embedding | nn.EmbeddingBag):
                yield Weight(parameter, 1, parameter.shape[1], 1.0)
                continue
            fan_in, fan_out = _fans(parameter)
            parts = _stacked(module, name)
            for values in parameter.chunk(parts) if parts > 1 else (parameter,):
                yield Weight(values, fan_in, fan_out // parts, gains.get(id(module)))


def zero_biases(model: nn.Module) -> None:
    """Set all biases to zero, but an LSTM's forget gates to 1, so that it remembers at first.

    (Jozefowicz et al. 2015, "An Empirical Exploration of Recurrent Network Architectures".) An
    embedding's vector for padding, which is never trained, is zero as well.
    """
    for module in model.modules():
        if isinstance(module, NORMS):
            continue
        if isinstance(module, nn.Embedding | nn.EmbeddingBag) and module.padding_idx is not None:
            nn.init.zeros_(module.weight[module.padding_idx])
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.ndim >= 2 or "bias" not in name:
                continue
            nn.init.zeros_(parameter)
            # torch adds two biases, and keeps the gates as input, forget, cell, output
            if isinstance(module, nn.LSTM | nn.LSTMCell) and name.startswith("bias_ih"):
                nn.init.ones_(parameter.chunk(4)[1])


def activation_gain(module: nn.Module) -> float | None:
    """By how much an activation's inputs must be scaled to keep their size; None if it is none.

    As torch's `calculate_gain`, which knows neither elu, gelu and silu, here like relu, nor
    softsign, here 1 (as Glorot and Bengio 2010 have it).
    """
    if isinstance(module, LIKE_RELU):
        return math.sqrt(2.0)
    if isinstance(module, nn.LeakyReLU):
        return nn.init.calculate_gain("leaky_relu", module.negative_slope)
    if isinstance(module, nn.PReLU):
        return nn.init.calculate_gain("leaky_relu", module.weight.detach().mean().item())
    if isinstance(module, nn.Tanh):
        return nn.init.calculate_gain("tanh")
    if isinstance(module, nn.SELU):
        return nn.init.calculate_gain("selu")
    return 1.0 if isinstance(module, OF_GAIN_ONE) else None


def _gains(model: nn.Module) -> dict[int, float]:
    """The gain of modules with weights, by id: of the activation before the next such module."""
    gains: dict[int, float] = {}
    waiting: int | None = None
    for _, module in model.named_modules(remove_duplicate=False):  # an activation may serve often
        gain = activation_gain(module)
        if gain is not None and waiting is not None:
            gains.setdefault(waiting, gain)
            waiting = None
        elif isinstance(module, RECURRENT):
            gains[id(module)], waiting = 1.0, None
        elif isinstance(module, nn.MultiheadAttention):
            gains[id(module)], gains[id(module.out_proj)], waiting = 1.0, 1.0, None
        elif isinstance(module, nn.Linear | nn.Bilinear | _ConvNd):
            waiting = None if id(module) in gains else id(module)
    return gains


def _stacked(module: nn.Module, name: str) -> int:
    """How many matrices the parameter holds."""
    if isinstance(module, nn.MultiheadAttention):
        return 3 if name == "in_proj_weight" else 1
    if not isinstance(module, RECURRENT) or name.startswith("weight_hr"):  # a projection
        return 1
    if isinstance(module, nn.LSTM | nn.LSTMCell):
        return 4
    return 3 if isinstance(module, nn.GRU | nn.GRUCell) else 1


def _fans(parameter: Tensor) -> tuple[int, int]:
    """As torch has them: [outputs, inputs, height, width]."""
    pixels = parameter[0, 0].numel()
    return parameter.shape[1] * pixels, parameter.shape[0] * pixels
