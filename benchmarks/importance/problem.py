"""A problem is a known function over a search space; a run of it is a random search, finished."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from raytune_pipe.components.surrogates import applies
from raytune_pipe.distributions import Choice, Distribution, IntUniform, LogIntUniform
from raytune_pipe.results.reading import Results
from raytune_pipe.search_space import SearchSpace

Array = NDArray[np.float64]

MANY = 4096
"""Points that a function's standard deviation is taken at."""


@dataclass(frozen=True)
class Problem:
    """A function with known variance shares."""

    name: str
    space: SearchSpace
    score: Callable[[Array], Array]
    """Units ``[rows, axes]``, NaN where an axis does not apply, to scores ``[rows]``, lower is
    better; NaN where training diverges."""
    development: bool = True
    """Whether estimators may be developed on it."""
    spans_decades: bool = False
    """Whether noise is a factor on the score (above 0) and not added to it."""


def drawn(space: SearchSpace, units: Array) -> Array:
    """What points of the unit cube ``[rows, axes]`` stand for: the units of their values.

    Those of a discrete hyperparameter go to where its values lie, and what does not apply is NaN.
    """
    columns = [_snapped(one.distribution, units[:, place]) for place, one in enumerate(space)]
    snapped = np.column_stack(columns)
    parents = [space.names.index(condition.parent) for one in space for condition in one.conditions]
    if not parents:
        return snapped
    # What applies hangs on the parents alone, which take few values.
    _, cases, case_of = np.unique(
        snapped[:, parents], axis=0, return_index=True, return_inverse=True
    )
    return np.where(applies(space, snapped[cases])[case_of], snapped, np.nan)


def _snapped(distribution: Distribution, units: Array) -> Array:
    """The same for one hyperparameter, as its ``to_unit(from_unit(unit))``."""
    if isinstance(distribution, LogIntUniform):
        low, high = np.log(distribution.low - 0.5), np.log(distribution.high + 0.5)
        whole = np.floor(np.exp(low + units * (high - low)) + 0.5)
        whole = np.clip(whole, distribution.low, distribution.high)
        return np.asarray((np.log(whole) - low) / (high - low))
    if isinstance(distribution, Choice):
        cells = len(distribution.options)
    elif isinstance(distribution, IntUniform):
        cells = distribution.high - distribution.low + 1
    else:
        return units
    return np.asarray((np.minimum(np.floor(units * cells), cells - 1) + 0.5) / cells)


def finished_run(problem: Problem, trials: int, seed: int, noise_sd: float = 0.1) -> Results:
    """A random search in which every trial ran to its end or diverged.

    ``noise_sd`` is in standard deviations of the function over its space, where it has a score.
    """
    rng = np.random.default_rng(seed)
    space = problem.space
    cube = rng.random((trials, len(space)))
    values = [space.from_units(dict(zip(space.names, row, strict=True))) for row in cube]
    noise = noise_sd * _deviation(problem) * rng.standard_normal(trials)
    exact = problem.score(drawn(space, cube))
    score = exact * np.exp(noise) if problem.spans_decades else exact + noise
    table = pd.DataFrame(values).assign(
        trial_id=[f"{number:05d}" for number in range(trials)],
        status=np.where(np.isnan(exact), "diverged", "completed"),
        score=score,
    )
    return Results(
        trials=table.convert_dtypes(dtype_backend="pyarrow"),
        reports=pd.DataFrame(),
        lineage=pd.DataFrame(),
        experiment={"scheduler": {"kind": "fifo"}},
        space=space,
        objective={"metric": "val_loss", "mode": "min", "at": "last"},
        path=Path(),
    )


def _deviation(problem: Problem) -> float:
    """Standard deviation over the space of the score, or of its logarithm if it spans decades."""
    cube = np.random.default_rng(0).random((MANY, len(problem.space)))
    scores = problem.score(drawn(problem.space, cube))
    return float(np.nanstd(np.log(scores) if problem.spans_decades else scores))
