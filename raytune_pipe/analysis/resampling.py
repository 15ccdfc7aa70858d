"""How far a figure can be trusted: resampled trials and trials held out, never single rows."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from raytune_pipe.analysis.estimates import Estimate

Array = NDArray[np.float64]

FOLDS = 10
"""Parts of the cross-validation, or as many as there are trials."""
LEAST_REPEATS = 5
"""With fewer repeated configurations the noise of seeds is anyone's guess."""
LEAST_KEPT = 3
"""A resample with fewer rows is drawn again: it says nothing."""


def resample_weights(clusters: Mapping[str, NDArray[np.int64]], rng: np.random.Generator) -> Array:
    """How often each row counts in one resample, ``[rows]``.

    Rows clustered in one way (by trial): a random half of the clusters without replacement, which
    varies as much as the bootstrap does (the delete-half jackknife; Shao and Wu 1989,
    doi:10.1214/aos/1176347263) and repeats no row, so that a flexible surrogate does not take
    copies for evidence. Clustered in several ways: each is drawn with replacement and the counts
    are multiplied (the pigeonhole bootstrap; Owen 2007, doi:10.1214/07-AOAS122).
    """
    while True:
        weights = np.ones(len(next(iter(clusters.values()))))
        for labels in clusters.values():
            members, number = np.unique(labels, return_inverse=True)
            count = len(members)
            if len(clusters) == 1:
                drawn = rng.permutation(count)[: (count + 1) // 2]
            else:
                drawn = rng.integers(count, size=count)
            weights *= np.bincount(drawn, minlength=count)[number]
        if np.count_nonzero(weights) >= LEAST_KEPT:
            return weights


def folds(trials: NDArray[np.int64], rng: np.random.Generator) -> Iterator[NDArray[np.bool_]]:
    """Rows to hold out, ``[rows]`` each: every trial once, with all its rows."""
    members, number = np.unique(trials, return_inverse=True)
    fold = (rng.permutation(len(members)) % FOLDS)[number]
    for part in np.unique(fold):
        yield fold == part


def r_squared(target: Array, predicted: Array, weights: Array) -> float:
    """The fraction of the target's variance that predictions explain; below 0 if they mislead."""
    mean = np.average(target, weights=weights)
    variance = np.average((target - mean) ** 2, weights=weights)
    rest = np.average((target - predicted) ** 2, weights=weights)
    return float(1 - rest / variance) if variance > 0 else 0.0


def seed_noise(units: Array, target: Array) -> Estimate | None:
    """The share of the target's variance between rows of equal units ``[rows, axes]``.

    None with fewer than `LEAST_REPEATS` rows beyond the first of their kind. The interval is that
    of a variance of normal errors (chi-squared).
    """
    if not len(target):
        return None
    _, kind, counts = np.unique(
        np.nan_to_num(units, nan=-1.0), axis=0, return_inverse=True, return_counts=True
    )
    freedom = len(target) - len(counts)
    if freedom < LEAST_REPEATS or np.ptp(target) == 0:
        return None
    means = np.bincount(kind.ravel(), target) / counts
    within = float(((target - means[kind.ravel()]) ** 2).sum())
    low, value, high = (
        within / divisor / float(np.var(target, ddof=1))
        for divisor in (chi2.ppf(0.95, freedom), freedom, chi2.ppf(0.05, freedom))
    )
    return Estimate(min(value, 1.0), low, min(high, 1.0))
