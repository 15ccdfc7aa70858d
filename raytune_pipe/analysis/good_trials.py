"""What matters among good configurations: importance within the best quarter of the space."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from raytune_pipe.analysis.effects import each_fit
from raytune_pipe.analysis.estimates import Estimate, estimates_of
from raytune_pipe.analysis.fits import Fits
from raytune_pipe.analysis.fitting import HeldOut
from raytune_pipe.analysis.grids import even_units, masked, spread_units
from raytune_pipe.analysis.observations import Observations
from raytune_pipe.analysis.plain_values import plain
from raytune_pipe.analysis.verdicts import tiers_of
from raytune_pipe.components.surrogates import Surrogate
from raytune_pipe.distributions import count_of
from raytune_pipe.search_space import SearchSpace

Array = NDArray[np.float64]

BEST = 0.25
"""The part of the space that counts as good."""
SAMPLE = 1024
"""Configurations that the good ones are taken from."""
STARTS = 256
"""Good configurations that are moved from, at most."""
POINTS = 16
"""Values that each hyperparameter is moved to."""
MOST_REFITS = 40
"""Each costs 0.1 s with six hyperparameters; more would narrow no interval."""
GOLDEN = 0.6180339887498949
"""Its multiples, less their whole part, fill the unit interval evenly."""
LEAST_TRIALS = 10
"""Trials in the good region, below which nothing is said of it."""
BY_CHANCE = 0.05
"""Probability up to which a rank correlation counts as more than chance."""


@dataclass(frozen=True)
class GoodTrials:
    """Importance among good configurations, or the reason why it cannot be told."""

    quantile: float
    """The part of the space that counts as good, by what the surrogate expects."""
    trials: int
    """Of those that were run, how many lie in it."""
    refused: str | None
    """Why there are no shares."""
    shares: dict[str, Estimate]
    """By hyperparameter, most important first. They need not add up to 1."""
    tiers: tuple[tuple[str, ...], ...]
    """Parted where the data can tell all above from all below."""

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(plain(self))


def good_trials(fits: Fits, rows: Observations, held_out: HeldOut) -> GoodTrials:
    """Shares of the variance within the best quarter of the space.

    The share of a hyperparameter is the variance that is left when all others are known, over the
    variance of the whole region: the total Sobol index, with every configuration of the region
    equally likely. There hyperparameters depend on one another (a high learning rate is good with
    large batches only), for which this index holds as it is (Kucherenko et al. 2012,
    doi:10.1016/j.cpc.2011.12.020), though its sum may then be below 1. Each refit has its own
    region. Where held-out predictions do not tell the better trials of the region from the worse,
    the surrogate's wiggles there are no evidence, and nothing is said.
    """
    sample = spread_units(fits.space, SAMPLE)
    expected = fits.surrogate.predict(masked(fits.space, sample))
    threshold = np.quantile(expected, BEST)
    inside = fits.surrogate.predict(rows.units) <= threshold
    trials = len(np.unique(rows.clusters["trials"][inside]))
    reason = _refused(trials, inside, held_out)
    if reason:
        return GoodTrials(BEST, trials, reason, {}, ())
    fits = replace(fits, refits=fits.refits[:MOST_REFITS])
    axes = [fits.space.names.index(name) for name in rows.hyperparameters]
    shares = np.array(each_fit(fits, lambda one: _shares(one, fits.space, sample)))[:, axes]
    order = np.argsort(-shares[0], kind="stable")
    names = [rows.hyperparameters[place] for place in order]
    estimates = estimates_of(shares[0, order], shares[1:, order]).clipped(0.0, 1.0).each()
    by_name = dict(zip(names, estimates, strict=True))
    return GoodTrials(BEST, trials, None, by_name, tiers_of(names, shares[1:, order]))


def _refused(trials: int, inside: NDArray[np.bool_], held_out: HeldOut) -> str | None:
    if trials < LEAST_TRIALS:
        return f"at least {LEAST_TRIALS} trials must be good ones, but {trials} are"
    # Of a trial with many scores the last one, so that each counts once.
    is_last = np.append(np.diff(held_out.row) > 0, True) & inside[held_out.row]
    target, predicted = held_out.target[is_last], held_out.predicted[is_last]
    if np.ptp(target) == 0 or np.ptp(predicted) == 0:
        return "they do not differ"
    by_chance = spearmanr(target, predicted, alternative="greater").pvalue
    if by_chance > BY_CHANCE:
        return f"which of the {trials} good trials is better cannot be predicted"
    return None


def _shares(surrogate: Surrogate, space: SearchSpace, sample: Array) -> Array:
    """``[axes]``, within the surrogate's own good region; zero where it is flat."""
    predicted = surrogate.predict(masked(space, sample))
    threshold = float(np.quantile(predicted, BEST))
    inside = predicted <= threshold
    variance = float(predicted[inside].var())
    if variance <= 0:
        return np.zeros(len(space))
    starts = sample[inside][:STARTS]
    applying = ~np.isnan(masked(space, starts))
    moved = [_moved(space, starts, axis) for axis in range(len(space))]
    flat = masked(space, np.vstack([one.reshape(-1, len(space)) for one in moved]))
    ends = np.cumsum([one.shape[0] * one.shape[1] for one in moved])[:-1]
    values = [one.reshape(len(starts), -1) for one in np.split(surrogate.predict(flat), ends)]
    within = [
        _variance_below(one, threshold, is_lattice=count_of(axis.distribution) is None)
        for one, axis in zip(values, space, strict=True)
    ]
    left: Array = (np.column_stack(within) * applying).mean(axis=0)
    return left / variance


def _moved(space: SearchSpace, starts: Array, axis: int) -> Array:
    """Each start with one hyperparameter at each of its values, ``[starts, points, axes]``."""
    distribution = space.hyperparameters[axis].distribution
    # Each start has a lattice of its own, so that together they see the region up to its edges.
    shifts = np.arange(len(starts)) * GOLDEN % 1
    units = np.array([even_units(distribution, POINTS, shift) for shift in shifts])
    points = np.repeat(starts[:, None], units.shape[1], axis=1)
    points[:, :, axis] = units
    return points


def _variance_below(values: Array, threshold: float, *, is_lattice: bool) -> Array:
    """The variance of the values in each row that are good, ``[rows]``; 0 where none is.

    Points of a lattice stop short of the region's edges: of k points the variance is too low by the
    factor 1 - 1 / k^2, if the values change evenly.
    """
    good = values <= threshold
    count = np.maximum(good.sum(axis=1), 1)
    mean = np.where(good, values, 0.0).sum(axis=1) / count
    squares: Array = np.where(good, (values - mean[:, None]) ** 2, 0.0).sum(axis=1) / count
    return squares / np.where((count > 1) & is_lattice, 1 - 1 / count**2, 1.0)
