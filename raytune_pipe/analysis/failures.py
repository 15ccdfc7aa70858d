"""What breaks trials: the importance of ending as diverged, failed or out of memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raytune_pipe.analysis.effects import each_fit
from raytune_pipe.analysis.estimates import Estimate, Estimates, estimates_of
from raytune_pipe.analysis.fits import Fits
from raytune_pipe.analysis.fitting import choose
from raytune_pipe.analysis.grids import ValueRange, grid_of
from raytune_pipe.analysis.observations import BROKEN, Observations
from raytune_pipe.analysis.plain_values import plain
from raytune_pipe.analysis.resampling import resample_weights
from raytune_pipe.analysis.verdicts import tiers_of
from raytune_pipe.base import Value
from raytune_pipe.components.estimators import Estimator

Array = NDArray[np.float64]

LEAST = 5
"""Broken trials, and others, that are needed to compare them."""
LEAST_R2 = 0.1
"""Up to this cross-validated R2 of the indicator, or where its interval reaches 0, breaking is
called chance: of trials that broke by chance, 60 in 40 runs, none was then named (1 by the value
alone)."""
HALF = 0.5


@dataclass(frozen=True)
class FailureCurve:
    """The probability of breaking at each value of a hyperparameter, the others averaged."""

    name: str
    values: tuple[Value, ...]
    probability: Estimates
    """[values]"""
    mostly_break: tuple[ValueRange, ...]
    """Values at which more than half are expected to break."""
    surely_break: tuple[ValueRange, ...]
    """Values at which the whole interval is above a half."""


@dataclass(frozen=True)
class FailureImportance:
    """Which hyperparameters decide whether a trial breaks, or the reason why none is named."""

    cause: str
    """A status, or all of those that break trials."""
    broken: int
    """Trials that ended so."""
    trials: int
    """Trials looked at; one that ended in any other way counts as not broken by this."""
    refused: str | None
    """Why nothing is named; the rest is then empty."""
    r2: Estimate | None = None
    """Cross-validated, of the indicator."""
    first: dict[str, Estimate] | None = None
    """Shares of the indicator's variance by each alone, in the order of ``total``."""
    total: dict[str, Estimate] | None = None
    """The same with interactions, most important first."""
    tiers: tuple[tuple[str, ...], ...] = ()
    """Parted where the data can tell all above from all below."""
    curve: FailureCurve | None = None
    """Of the most important one."""

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(plain(self))


def failure_importance(
    rows: Observations, estimator: Estimator | None, rng: np.random.Generator, resamples: int
) -> tuple[FailureImportance, ...]:
    """The importance of an indicator, 1 for broken trials: all of them, then each status.

    Rows must be trials. ``estimator`` is the one to use, or None for the one that predicts best.
    A crash, a kill and a lack of memory are not a matter of training, so each has its own answer.
    Empty where no trial broke.
    """
    return tuple(
        _of_cause(cause, statuses, rows, estimator, rng, resamples)
        for cause, statuses in _causes(rows.status)
    )


def _causes(status: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    seen = tuple(one for one in BROKEN if one in status)
    if len(seen) > 1:
        yield " or ".join(seen), seen
    yield from ((one, (one,)) for one in seen)


def _of_cause(
    cause: str,
    statuses: tuple[str, ...],
    rows: Observations,
    estimator: Estimator | None,
    rng: np.random.Generator,
    resamples: int,
) -> FailureImportance:
    indicator = np.isin(rows.status, statuses).astype(float)
    broken, trials = int(indicator.sum()), len(indicator)
    described = FailureImportance(cause, broken, trials, None)
    if min(broken, trials - broken) < LEAST:
        kind, count = ("broken", broken) if broken < LEAST else ("other", trials - broken)
        reason = f"at least {LEAST} {kind} trials are needed, but got {count}"
        return replace(described, refused=reason)
    of_breaking = replace(rows, target=indicator)
    fitter, held_out = choose(of_breaking, rng, estimator)
    weights = [resample_weights(rows.clusters, rng) for _ in range(resamples)]
    described = replace(described, r2=held_out.r2(weights))
    if described.r2 and (described.r2.value <= LEAST_R2 or described.r2.low <= 0):
        return replace(described, refused="the hyperparameters do not predict it: it may be chance")
    fits = fitter.fits(weights)
    return _named(described, fits)


def _named(described: FailureImportance, fits: Fits) -> FailureImportance:
    names = fits.space.names
    shares = [one.shares() for one in (fits.surrogate, *fits.refits)]
    first, total = (np.array([getattr(one, kind) for one in shares]) for kind in ("first", "total"))
    order = np.argsort(-total[0], kind="stable")
    ordered = [names[place] for place in order]
    by_name = [
        dict(zip(ordered, _estimates(part[:, order]), strict=True)) for part in (first, total)
    ]
    return replace(
        described,
        first=by_name[0],
        total=by_name[1],
        tiers=tiers_of(ordered, total[1:, order]),
        curve=_curve(fits, ordered[0]),
    )


def _estimates(shares: Array) -> list[Estimate]:
    return estimates_of(shares[0], shares[1:]).clipped(0.0, 1.0).each()


def _curve(fits: Fits, name: str) -> FailureCurve:
    grid, axis = grid_of(fits.space, name), fits.space.names.index(name)
    value, *refits = each_fit(fits, lambda one: one.expected((axis,), grid.units[:, None]))
    probability = estimates_of(value, refits).clipped(0.0, 1.0)
    return FailureCurve(
        name=name,
        values=grid.values,
        probability=probability,
        mostly_break=grid.ranges(probability.value > HALF),
        surely_break=grid.ranges(probability.low > HALF),
    )
