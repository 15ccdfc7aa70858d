"""The problems that estimators are developed on, and those held out from it.

Two analytic functions, seven like the losses of networks over eight mixed hyperparameters, and, for
honest coverage, random functions that nobody has looked at (`held_out`).
"""

import numpy as np
from numpy.typing import NDArray

from raytune_pipe.distributions import Choice, IntUniform, LogIntUniform, LogUniform, Uniform
from raytune_pipe.search_space import Condition, Hyperparameter, SearchSpace

from benchmarks.importance.problem import Problem, finished_run
from benchmarks.importance.random_functions import held_out

__all__ = ["CONDITIONAL", "MIXED", "PROBLEMS", "Problem", "finished_run", "held_out"]

Array = NDArray[np.float64]

MIXED = SearchSpace(
    (
        Hyperparameter("optimizer.lr", LogUniform(low=1e-5, high=1.0)),
        Hyperparameter("batch_size", Choice(options=(16, 32, 64, 128, 256))),
        Hyperparameter("optimizer.momentum", Uniform(low=0.0, high=0.99)),
        Hyperparameter("optimizer.weight_decay", LogUniform(low=1e-6, high=1e-1)),
        Hyperparameter("model.dropout", Uniform(low=0.0, high=0.6)),
        Hyperparameter("model.depth", IntUniform(low=1, high=6)),
        Hyperparameter("model.width", LogIntUniform(low=16, high=512)),
        Hyperparameter("model.activation", Choice(options=("relu", "gelu", "tanh", "silu"))),
    )
)
CONDITIONAL = SearchSpace(
    (
        Hyperparameter("optimizer.kind", Choice(options=("sgd", "adam"))),
        Hyperparameter("optimizer.lr", LogUniform(low=1e-5, high=1.0)),
        Hyperparameter(
            "optimizer.momentum",
            Uniform(low=0.0, high=0.99),
            (Condition("optimizer.kind", ("sgd",)),),
        ),
        Hyperparameter(
            "optimizer.beta2",
            Uniform(low=0.9, high=0.999),
            (Condition("optimizer.kind", ("adam",)),),
        ),
        Hyperparameter("batch_size", Choice(options=(16, 32, 64, 128, 256))),
        Hyperparameter("optimizer.weight_decay", LogUniform(low=1e-6, high=1e-1)),
        Hyperparameter("model.dropout", Uniform(low=0.0, high=0.6)),
        Hyperparameter("model.depth", IntUniform(low=1, high=6)),
    )
)
SOBOL_G = np.array([0, 1, 4.5, 9, 99, 99, 99, 99])
"""The usual weights: the larger, the less a factor matters."""
ACTIVATIONS = np.array([0.0, -1.0, 1.5, -0.5])
"""What each activation adds, before its size."""


def _reals(count: int) -> SearchSpace:
    return SearchSpace(
        tuple(Hyperparameter(f"x{number}", Uniform(low=0.0, high=1.0)) for number in range(count))
    )


def ishigami(units: Array) -> Array:
    """Ishigami and Homma 1990 (doi:10.1109/ISUMA.1990.151285), with a = 7 and b = 0.1."""
    one, two, three = np.pi * (2 * units.T - 1)
    return np.asarray(np.sin(one) + 7 * np.sin(two) ** 2 + 0.1 * three**4 * np.sin(one))


def sobol_g(units: Array) -> Array:
    """Saltelli and Sobol 1995 (doi:10.1016/0951-8320(95)00099-2)."""
    return np.asarray(((np.abs(4 * units - 2) + SOBOL_G) / (1 + SOBOL_G)).prod(axis=1))


def smooth_valley(units: Array) -> Array:
    """A valley in log lr, shifted a little by momentum; capacity and regularization beside it."""
    lr, _, momentum, decay, dropout, depth, width, activation = units.T
    valley = 4 * (lr - 0.55 + 0.15 * (momentum - 0.5)) ** 2
    capacity = 0.5 * np.exp(-2 * width) + 0.3 * (depth - 0.6) ** 2
    regularized = 0.4 * (decay - 0.5) ** 2 * dropout
    return np.asarray(0.2 + valley + capacity + regularized + _offsets(activation, 0.1))


def moving_optimum(units: Array) -> Array:
    """The best lr goes up with the batch size, over half of its range."""
    lr, batch, momentum, decay, _, depth, _, activation = units.T
    valley = np.abs(lr - 0.5 - 0.7 * (batch - 0.5)) ** 1.5
    rest = 0.3 * (momentum - 0.8) ** 2 + 0.15 * decay * depth
    return np.asarray(0.3 + 2 * valley + rest + _offsets(activation, 0.04))


def cliff(units: Array) -> Array:
    """Above a border in lr, which comes down as momentum goes up, training diverges."""
    lr, batch, momentum, decay, dropout, _, width, _ = units.T
    slow = 1.5 * np.maximum(0.5 - lr, 0) + 0.3 * (momentum - 0.7) ** 2
    smooth = 1 + slow + 0.2 * batch * lr + 0.3 * (decay - 0.4) ** 2 + 0.1 * dropout - 0.2 * width
    return np.where(lr > 0.95 - 0.35 * momentum, np.nan, smooth)


def heavy_tail(units: Array) -> Array:
    """A loss over nearly four decades."""
    lr, batch, momentum, decay, _, depth, _, activation = units.T
    exponent = 14 * (lr - 0.5) ** 2 * (1.3 - batch) + 3 * momentum**4
    return np.asarray(np.exp(exponent + np.sin(3 * decay) * depth + _offsets(activation, 0.5)))


def conditional(units: Array) -> Array:
    """Momentum matters under SGD, beta2 under Adam, and the two want another lr."""
    kind, lr, momentum, beta2, batch, decay, dropout, _ = units.T
    is_adam = kind > 0.5
    best = np.where(is_adam, 0.35, 0.65) + 0.2 * (batch - 0.5)
    own = np.where(is_adam, 1.2 * (beta2 - 0.7) ** 2, 2.0 * (momentum - 0.8) ** 2)
    rest = 0.3 * (decay - 0.5) ** 2 + 0.1 * dropout
    return np.asarray(0.5 + 3 * (lr - best) ** 2 + own + rest - 0.2 * is_adam)


def plateaus(units: Array) -> Array:
    """Steps, floors, and a wave of five periods over the range of momentum."""
    lr, batch, momentum, decay, dropout, depth, _, activation = units.T
    floor = np.clip(3 * np.abs(lr - 0.5) - 0.4, 0, 0.8)
    steps = 0.5 * (dropout > 0.62) + 0.4 * (depth < 0.4) * (batch > 0.5)
    wave = 0.25 * np.sin(10 * np.pi * momentum)
    return np.asarray(floor + steps + wave + 0.1 * decay + _offsets(activation, 0.1))


def interaction(units: Array) -> Array:
    """0.85 of the variance is one interaction of lr and batch size."""
    lr, batch, momentum, decay, dropout, _, width, _ = units.T
    unit_variance = [
        np.sqrt(2) * np.sin(np.pi * (lr - 0.5)) * (batch - 0.5) / np.sqrt(0.08),
        (lr - 0.5) * np.sqrt(12),
        ((momentum - 0.5) ** 2 - 1 / 12) * np.sqrt(180),
        (decay - 0.5) * np.sqrt(12),
        np.sqrt(2) * np.cos(np.pi * dropout),
        np.sqrt(2) * np.sin(2 * np.pi * width),
    ]
    return np.asarray(np.sqrt([0.85, 0.05, 0.04, 0.03, 0.02, 0.01]) @ np.array(unit_variance))


def _offsets(activation: Array, size: float) -> Array:
    return np.asarray(size * ACTIVATIONS[(activation * 4).astype(int)])


PROBLEMS = (
    Problem("Ishigami (3)", _reals(3), ishigami),
    Problem("Sobol g (8)", _reals(8), sobol_g),
    Problem("smooth valley", MIXED, smooth_valley),
    Problem("moving optimum", MIXED, moving_optimum),
    Problem("cliff", MIXED, cliff),
    Problem("heavy tail", MIXED, heavy_tail, spans_decades=True),
    Problem("plateaus and a wave", MIXED, plateaus),
    Problem("interaction", MIXED, interaction),
    Problem("conditional", CONDITIONAL, conditional),
)
"""Those that estimators may be developed on."""
