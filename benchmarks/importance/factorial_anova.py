"""Analysis of variance of a full factorial with repeated cells: exact shares on its grid."""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Anova:
    """Shares of the variance of the cells' expected values, all cells alike."""

    first: Array
    """[axes]"""
    total: Array
    """[axes], with every interaction that the axis takes part in."""
    pairs: Array
    """[axes, axes], of each pair alone; symmetric, the diagonal is 0."""
    higher: float
    """Of all interactions between three axes and more."""
    noise: float
    """Variance between repetitions of a cell, as a share of it and the cells' variance."""
    variance: float
    """Of the cells' expected values."""


def anova(values: Array) -> Anova:
    """Decompose ``values`` of shape ``[levels of each axis ..., repetitions]``.

    The classical orthogonal decomposition of a balanced design. A mean over few repetitions still
    varies by chance, which falls on each effect in proportion to its degrees of freedom and is
    taken off; a share that is near nothing may so come out below it.
    """
    shape, repetitions = values.shape[:-1], values.shape[-1]
    noise = float(values.var(axis=-1, ddof=1).mean()) if repetitions > 1 else 0.0
    effects = _effects(values.mean(axis=-1))
    chance = noise / repetitions / np.prod(shape)
    variances = {
        axes: float(np.mean(effect**2)) - chance * np.prod([shape[axis] - 1 for axis in axes])
        for axes, effect in effects.items()
        if axes
    }
    whole = sum(variances.values())
    shares = {axes: variance / whole for axes, variance in variances.items()}
    count = len(shape)
    pairs = np.zeros((count, count))
    for left, right in itertools.combinations(range(count), 2):
        pairs[left, right] = pairs[right, left] = shares[left, right]
    return Anova(
        first=np.array([shares[axis,] for axis in range(count)]),
        total=np.array([_with(axis, shares) for axis in range(count)]),
        pairs=pairs,
        higher=sum(share for axes, share in shares.items() if len(axes) > 2),
        noise=noise / (noise + whole),
        variance=whole,
    )


def _with(axis: int, shares: dict[tuple[int, ...], float]) -> float:
    return sum(share for axes, share in shares.items() if axis in axes)


def _effects(means: Array) -> dict[tuple[int, ...], Array]:
    """The effect of every set of axes: the mean over the others, less the effects of its parts."""
    effects: dict[tuple[int, ...], Array] = {}
    every = range(means.ndim)
    for count in range(means.ndim + 1):
        for axes in itertools.combinations(every, count):
            others = tuple(axis for axis in every if axis not in axes)
            effect = means.mean(axis=others, keepdims=True)
            for size in range(count):
                for part in itertools.combinations(axes, size):
                    effect = effect - effects[part]
            effects[axes] = effect
    return effects
