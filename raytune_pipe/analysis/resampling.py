"""How far a figure can be trusted: resampled trials and trials held out, never single rows."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from raytune_pipe.analysis.observations import Array, Observations
from raytune_pipe.components.estimators import Estimator

FOLDS = 10
"""Parts of the cross-validation, or as many as there are trials."""
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


def held_out(rows: Observations, estimator: Estimator, rng: np.random.Generator) -> Array:
    """Predictions ``[rows]`` of the target, each from a surrogate that has not seen its trial."""
    members, number = np.unique(rows.clusters["trials"], return_inverse=True)
    fold = (rng.permutation(len(members)) % FOLDS)[number]
    predicted = np.empty(len(rows.target))
    for part in np.unique(fold):
        test = fold == part
        surrogate = estimator.fit(rows.space, rows.units[~test], rows.target[~test])
        predicted[test] = surrogate.predict(rows.units[test])
    return predicted


def r_squared(target: Array, predicted: Array, weights: Array) -> float:
    """The fraction of the target's variance that predictions explain; below 0 if they mislead."""
    mean = np.average(target, weights=weights)
    variance = np.average((target - mean) ** 2, weights=weights)
    rest = np.average((target - predicted) ** 2, weights=weights)
    return float(1 - rest / variance) if variance > 0 else 0.0
