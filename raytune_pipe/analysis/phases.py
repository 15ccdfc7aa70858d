"""Importance by phase: what matters early, in the middle and late in a population's run."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raytune_pipe.analysis.estimates import Estimate
from raytune_pipe.analysis.fits import Fits
from raytune_pipe.analysis.fitting import RowFitter
from raytune_pipe.analysis.observations import Observations
from raytune_pipe.analysis.plain_values import plain
from raytune_pipe.analysis.resampling import resample_weights
from raytune_pipe.components.estimators import Estimator, Expansion
from raytune_pipe.components.surrogates import Surrogate

Array = NDArray[np.float64]

NAMES = ("early", "middle", "late")
LEAST_ROWS = 20
"""With fewer segments a phase says nothing."""
LEAST_R2 = 0.1
"""As for the ranking of the whole run."""
QUARTERS = np.array([0.25, 0.75])
"""Between these units a hyperparameter's direction is read."""


@dataclass(frozen=True)
class Phase:
    """What hyperparameters do in one third of the generations."""

    name: str
    generations: tuple[int, int]
    """The first and the last, from 1."""
    segments: int
    refused: str | None
    """Why nothing is said; the rest is then empty."""
    r2: Estimate | None = None
    """Cross-validated, of what the hyperparameters add to the context."""
    total: dict[str, Estimate] | None = None
    """Total shares, most important first."""
    slope: dict[str, Estimate] | None = None
    """What moving from the lower to the upper quarter of the range adds to the target (lower is
    better), the others averaged out; none of what has no order."""

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(plain(self))


def phases(
    rows: Observations, rng: np.random.Generator, resamples: int, estimator: Estimator | None = None
) -> tuple[Phase, ...]:
    """The three phases of a population's segments, each fitted by itself."""
    generations = rows.clusters["generations"]
    edges = np.array_split(np.unique(generations), len(NAMES))
    return tuple(
        _phase(name, rows, np.isin(generations, inside), estimator or Expansion(), rng, resamples)
        for name, inside in zip(NAMES, edges, strict=True)
        if len(inside)
    )


def _phase(
    name: str,
    rows: Observations,
    inside: NDArray[np.bool_],
    estimator: Estimator,
    rng: np.random.Generator,
    resamples: int,
) -> Phase:
    part = replace(
        rows,
        units=rows.units[inside],
        target=rows.target[inside],
        clusters={by: number[inside] for by, number in rows.clusters.items()},
    )
    generations = part.clusters["generations"]
    described = Phase(
        name, (int(generations.min()), int(generations.max())), len(part.target), None
    )
    if len(part.target) < LEAST_ROWS or np.ptp(part.target) == 0:
        reason = f"at least {LEAST_ROWS} segments that differ are needed, but got {inside.sum()}"
        return replace(described, refused=reason)
    fitter = RowFitter(part, estimator)
    weights = [resample_weights(part.clusters, rng) for _ in range(resamples)]
    r2 = fitter.held_out(rng).r2(weights)
    if r2.value <= LEAST_R2:
        reason = f"the hyperparameters predict too little of it (cross-validated R2 {r2.value:.2f})"
        return replace(described, r2=r2, refused=reason)
    fits = fitter.fits(weights)
    return replace(described, r2=r2, total=_totals(part, fits), slope=dict(_slopes(part, fits)))


def _totals(rows: Observations, fits: Fits) -> dict[str, Estimate]:
    context = [rows.space.names.index(name) for name in rows.context]
    totals = fits.estimates(lambda one: one.shares().without(context).total).clipped(0.0, 1.0)
    by_name = dict(zip(rows.space.names, totals.each(), strict=True))
    names = sorted(rows.hyperparameters, key=lambda name: -by_name[name].value)
    return {name: by_name[name] for name in names}


def _slopes(rows: Observations, fits: Fits) -> Iterator[tuple[str, Estimate]]:
    for axis, one in enumerate(rows.space):
        if one.name in rows.hyperparameters and getattr(one.distribution, "ordered", True):
            yield one.name, fits.estimates(partial(_rise, axis)).each()[0]


def _rise(axis: int, surrogate: Surrogate) -> Array:
    return np.diff(surrogate.expected((axis,), QUARTERS[:, None]))
