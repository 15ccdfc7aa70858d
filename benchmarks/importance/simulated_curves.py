"""Learning curves over a mixed space, from two kinds of formulas, so that nothing is tuned to one.

In `power laws` a loss falls by a power of the epochs to a floor; what has a low floor (a low
learning rate, much regularization) is slow, so curves cross late. In `logistic` an accuracy rises
on a log scale of epochs after a delay, overfits later, and a learning rate that is too high ends in
NaN. Where curves are parallel, the budget makes no difference to what matters. Coefficients are
drawn by seed: every seed is another world.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from raytune_pipe.experiment import Experiment
from raytune_pipe.results.reading import Results

from benchmarks.importance.problem import Problem, drawn
from benchmarks.importance.simulated_runs import digits_experiment, simulated_run

Array = NDArray[np.float64]
Formula = Callable[[Array, Array, Array], Array]

SEARCH_SPACE = {
    "optimizer.lr": {"kind": "log_uniform", "low": 1e-4, "high": 1.0},
    "batch_size": {"kind": "choice", "options": [16, 32, 64, 128]},
    "optimizer.momentum": {"kind": "uniform", "low": 0.0, "high": 0.99},
    "optimizer.weight_decay": {"kind": "log_uniform", "low": 1e-6, "high": 1e-2},
    "model.dropout": {"kind": "uniform", "low": 0.0, "high": 0.6},
    "model.activation": {"kind": "choice", "options": ["relu", "tanh", "gelu"]},
    "loss.label_smoothing": {"kind": "uniform", "low": 0.0, "high": 0.2},
}
EPOCHS = 81
ASHA: Mapping[str, str | float] = {"kind": "asha", "grace_epochs": 1, "reduction_factor": 3}
"""Rungs at 1, 3, 9, 27 and 81 epochs."""
FIFO: Mapping[str, str | float] = {"kind": "fifo"}
SIZES = 12
"""Coefficients that a world draws, each a factor between 0.5 and 1.5."""
COARSE = 4096
"""Points at which the standard deviation of the final loss is taken."""


@dataclass(frozen=True, eq=False)
class World:
    """Curves as a function of units ``[rows, axes]``, epochs ``[epochs]`` and sizes ``[SIZES]``."""

    name: str
    formula: Formula
    """To losses ``[rows, epochs]`` without noise, NaN where training has diverged."""
    sizes: Array

    def losses(self, units: Array, epochs: Array) -> Array:
        """Losses ``[rows, epochs]`` without noise."""
        return self.formula(units, epochs, self.sizes)

    @cached_property
    def problem(self) -> Problem:
        """The loss after the last epoch, whose shares are the truth."""
        last = np.array([float(EPOCHS)])
        return Problem(
            self.name, experiment(FIFO, 1, 0).space(), lambda u: self.losses(u, last)[:, 0]
        )


def _power_laws(units: Array, epochs: Array, sizes: Array) -> Array:
    floor, slowness = _floor(units, sizes), _slowness(units, sizes)
    learned = (1 + epochs / np.exp(slowness)[:, None]) ** -0.9
    return np.asarray(floor[:, None] + (2.3 - floor)[:, None] * learned)


def _parallel(units: Array, epochs: Array, sizes: Array) -> Array:
    return np.asarray(_floor(units, sizes)[:, None] + 1.5 * epochs**-0.5)


def _floor(units: Array, sizes: Array) -> Array:
    """What a training comes to: a valley in the rate of learning, and regularization."""
    _, _, _, decay, dropout, activation, _ = units.T
    rate = _rate(units, sizes)
    valley = 0.6 * sizes[0] * (rate - 0.55) ** 2 + 1.0 * np.maximum(rate - 0.85, 0)
    regularized = 0.4 * sizes[1] * (decay - 0.65) ** 2 + 0.4 * sizes[2] * (dropout - 0.4) ** 2
    return np.asarray(0.15 + valley + regularized + 0.1 * sizes[3] * (activation > 0.67))


def _slowness(units: Array, sizes: Array) -> Array:
    """Log of the epochs that a training needs: more at low rates and with much dropout."""
    decay, dropout = units[:, 3], units[:, 4]
    return np.asarray(5 * sizes[4] * (0.6 - _rate(units, sizes)) + sizes[5] * dropout + 0.3 * decay)


def _rate(units: Array, sizes: Array) -> Array:
    """What learning rate, batch size and momentum come to together."""
    lr, batch, momentum = units.T[:3]
    return np.asarray(lr - 0.2 * sizes[6] * (batch - 0.5) + 0.15 * sizes[7] * (momentum - 0.5))


def _logistic(units: Array, epochs: Array, sizes: Array) -> Array:
    _, batch, momentum, decay, dropout, activation, smoothing = units.T
    rate, ages = _rate(units, sizes), np.log(epochs)
    final = (
        2.5
        - 8 * sizes[0] * (rate - 0.6) ** 2
        - 3 * sizes[1] * (decay - 0.7) ** 2
        + 1.5 * sizes[2] * dropout * (1 - decay)
        - 0.8 * sizes[3] * (activation < 0.34)
        + 0.2 * sizes[8] * smoothing
    )
    delay = 2.5 * sizes[4] * (0.8 - rate) + 0.8 * sizes[5] * dropout
    learned = 0.88 * _expit(final)[:, None] * _expit(1.3 * (ages - delay[:, None]))
    loose = np.maximum(0.5 - decay, 0) * np.maximum(0.4 - dropout, 0)
    overfit = sizes[9] * 0.5 * np.maximum(ages - 2.5, 0) * loose[:, None]
    losses = np.clip(0.9 - learned + overfit, 0.01, 1.0)
    excess = rate + 0.1 * sizes[10] * (momentum - 0.5) - 0.1 * sizes[11] * (batch - 0.5) - 0.85
    lasts = np.where(excess > 0, np.exp(0.4 / np.maximum(excess, 0.05)), np.inf)
    return np.where(epochs > lasts[:, None], np.nan, losses)


def _expit(values: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-values)))


FORMULAS: Mapping[str, Formula] = {
    "power laws": _power_laws,
    "logistic": _logistic,
    "parallel": _parallel,
}


def world(name: str, seed: int) -> World:
    """One of ``FORMULAS``, with coefficients drawn by the seed."""
    sizes = np.random.default_rng([seed, 4]).uniform(0.5, 1.5, SIZES)
    return World(name, FORMULAS[name], sizes)


def experiment(scheduler: Mapping[str, str | float], trials: int, seed: int) -> Experiment:
    """What the search would be launched with."""
    return digits_experiment(SEARCH_SPACE, scheduler, trials, EPOCHS, seed)


def search(world: World, scheduler: Mapping[str, str | float], trials: int, seed: int) -> Results:
    """A random search in a world: the same trials and noise for the same seed, whoever stops them.

    A trial's seed is worth 0.1 standard deviations of the final loss, each epoch half of that.
    """
    made = experiment(scheduler, trials, seed)
    plan, rng = made.plan(), np.random.default_rng([seed, 5])
    units = np.array([list(made.space().to_units(one.values).values()) for one in plan])
    losses = world.losses(units, np.arange(1.0, EPOCHS + 1))
    cube = np.random.default_rng(0).random((COARSE, units.shape[1]))
    deviation = float(np.nanstd(world.problem.score(drawn(made.space(), cube))))
    noise = 0.1 * rng.standard_normal((trials, 1)) + 0.05 * rng.standard_normal(losses.shape)
    noisy = losses + deviation * noise
    curves = {one.trial_id: curve for one, curve in zip(plan, noisy, strict=True)}
    paces = dict(zip(curves, np.exp(0.3 * rng.standard_normal(trials)), strict=True))
    return simulated_run(made, plan, curves, lambda one: float(paces[one.trial_id]))
