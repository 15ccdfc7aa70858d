"""Random functions over random mixed spaces, for coverage: no estimator is developed on them.

A sum of functions of one hyperparameter and of pairs, of families that no basis of polynomials
holds: bumps, logistic steps, waves, kinks, offsets of categories; for pairs products of
hyperbolic tangents, bumps and ridges. Two to four hyperparameters are strong, two weak, the rest
do nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from raytune_pipe.distributions import (
    Choice,
    Distribution,
    IntUniform,
    LogIntUniform,
    LogUniform,
    Uniform,
)
from raytune_pipe.search_space import Hyperparameter, SearchSpace

from benchmarks.importance.problem import Problem, drawn

Array = NDArray[np.float64]
Curve = Callable[[Array], Array]
Surface = Callable[[Array, Array], Array]

POINTS = 4096
"""Points at which a part is brought to mean zero and unit variance."""
CATEGORIES = 6
"""Most options of an unordered choice."""


@dataclass(frozen=True)
class Part:
    """A function of some axes, weighted."""

    axes: tuple[int, ...]
    function: Callable[..., Array]
    weight: float
    mean: float
    deviation: float

    def __call__(self, units: Array) -> Array:
        """Evaluate at units ``[rows, axes]`` of the whole space -> ``[rows]``."""
        values = self.function(*(units[:, axis] for axis in self.axes))
        return np.asarray(self.weight * (values - self.mean) / self.deviation)


def held_out(seed: int) -> Problem:
    """A random function over six to nine hyperparameters, the same for the same seed."""
    rng = np.random.default_rng([seed, 20_26])
    space = _space(rng)
    places = rng.permutation(len(space)).tolist()
    strong = places[: rng.integers(2, 5)]
    weak = places[len(strong) : len(strong) + 2]
    plan: list[tuple[tuple[int, ...], float]] = [
        *(((axis,), rng.uniform(0.5, 1.5)) for axis in strong),
        *(((axis,), rng.uniform(0.15, 0.35)) for axis in weak),
        ((strong[0], strong[1]), rng.uniform(0.3, 1.0)),
        ((strong[-1], weak[0]), rng.uniform(0.1, 0.4)),
    ]
    sample = drawn(space, rng.random((POINTS, len(space))))
    parts = tuple(_part(space, axes, weight, sample, rng) for axes, weight in plan)

    def score(units: Array) -> Array:
        return np.asarray(sum(part(units) for part in parts))

    return Problem(f"held out {seed}", space, score, development=False)


def _space(rng: np.random.Generator) -> SearchSpace:
    kinds: list[Distribution] = [
        LogUniform(low=1e-5, high=1.0),
        Uniform(low=0.0, high=1.0),
        LogUniform(low=1e-3, high=10.0),
        Uniform(low=-2.0, high=2.0),
        IntUniform(low=1, high=int(rng.integers(4, 20))),
        LogIntUniform(low=8, high=int(rng.integers(64, 1024))),
        Choice(options=tuple(2**power for power in range(rng.integers(3, 8)))),
        Choice(options=tuple("abcdef"[: rng.integers(2, CATEGORIES + 1)])),
        Choice(options=("sgd", "adam", "lion")),
    ]
    count = int(rng.integers(6, len(kinds) + 1))
    picked = rng.choice(len(kinds), count, replace=False).tolist()
    return SearchSpace(
        tuple(Hyperparameter(f"h{place}", kinds[kind]) for place, kind in enumerate(picked))
    )


def _part(
    space: SearchSpace,
    axes: tuple[int, ...],
    weight: float,
    sample: Array,
    rng: np.random.Generator,
) -> Part:
    curves = [_curve(space.hyperparameters[axis].distribution, rng) for axis in axes]
    function: Callable[..., Array] = curves[0]
    if len(axes) == 2:
        function = _surface(curves[0], curves[1], rng)
    values = function(*(sample[:, axis] for axis in axes))
    return Part(axes, function, weight, float(values.mean()), float(values.std()))


def _curve(distribution: Distribution, rng: np.random.Generator) -> Curve:
    if isinstance(distribution, Choice) and not distribution.ordered:
        return _offsets(len(distribution.options), rng)
    return CURVES[rng.integers(len(CURVES))](rng)


def _offsets(options: int, rng: np.random.Generator) -> Curve:
    offsets = rng.permutation(options) + rng.uniform(-0.3, 0.3, options)
    return lambda units: np.asarray(offsets[(units * options).astype(int)])


def _bump(rng: np.random.Generator) -> Curve:
    middle, width = rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.35)
    return lambda units: np.exp(-0.5 * ((units - middle) / width) ** 2)


def _step(rng: np.random.Generator) -> Curve:
    middle, steepness = rng.uniform(0.25, 0.75), rng.choice([-1, 1]) * rng.uniform(5, 25)
    return lambda units: np.asarray(expit(steepness * (units - middle)))


def _wave(rng: np.random.Generator) -> Curve:
    periods, phase = rng.uniform(0.4, 1.6), rng.uniform(0, 2 * np.pi)
    return lambda units: np.sin(2 * np.pi * periods * units + phase)


def _kink(rng: np.random.Generator) -> Curve:
    knots = np.array([0.0, *np.sort(rng.uniform(0.1, 0.9, 2)), 1.0])
    levels = rng.uniform(-1, 1, 4) + np.array([-1.0, 0.0, 0.0, 1.0])
    return lambda units: np.interp(units, knots, levels)


CURVES = (_bump, _step, _wave, _kink)


def _surface(left: Curve, right: Curve, rng: np.random.Generator) -> Surface:
    """A product of tangents of two curves, of the curves as they are, or a ridge along both."""
    shift, slope = rng.uniform(-0.5, 0.5, 2), rng.uniform(0.5, 3.0)
    kinds: tuple[Surface, ...] = (
        lambda one, two: np.tanh(left(one) - shift[0]) * np.tanh(right(two) - shift[1]),
        lambda one, two: left(one) * right(two),
        lambda one, two: np.exp(-slope * (left(one) - right(two)) ** 2),
    )
    return kinds[rng.integers(len(kinds))]
