"""What an importance is measured on: rows of units and a target, from the trials of a run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from raytune_pipe.analysis.scales import LINEAR, Scale, scale_of
from raytune_pipe.base import Value
from raytune_pipe.distributions import Choice
from raytune_pipe.results.lineage import as_text
from raytune_pipe.results.reading import Results
from raytune_pipe.search_space import Hyperparameter, SearchSpace

Array = NDArray[np.float64]

FINISHED = ("completed", "stopped_early", "timed_out")
"""Statuses whose last score counts."""
BROKEN = ("diverged", "failed", "out_of_memory")
"""Statuses that count as the worst score that was seen, whatever was reported before."""
LARGEST = 1e39
"""Beyond float32's largest number a score measures nothing, and its square is soon infinite."""


@dataclass(frozen=True)
class Observations:
    """Rows to fit an estimator to; lower targets are better."""

    space: SearchSpace
    """The hyperparameters, then the context."""
    units: Array
    """[rows, axes], NaN where a hyperparameter does not apply."""
    target: Array
    """[rows]"""
    clusters: Mapping[str, NDArray[np.int64]]
    """How rows belong together: ``trials``, and ``generations`` of a population; numbers [rows]."""
    objective: str
    """What the target is, in words."""
    scale: Scale = LINEAR
    """What the scores became."""
    trial_ids: tuple[str, ...] = ()
    """[rows], where each row is a trial."""
    status: tuple[str, ...] = ()
    """[rows], likewise."""
    context: tuple[str, ...] = ()
    """Axes that are not hyperparameters: reported apart, not ranked."""
    notes: tuple[str, ...] = ()
    """What was done with trials that did not simply finish."""

    @property
    def trials(self) -> int:
        """How many trials the rows come from."""
        return len(np.unique(self.clusters["trials"]))

    @property
    def hyperparameters(self) -> tuple[str, ...]:
        """The names to rank: the space's without the context."""
        return tuple(name for name in self.space.names if name not in self.context)


def units_of(space: SearchSpace, rows: pd.DataFrame) -> Array:
    """Units ``[rows, axes]`` of the hyperparameter columns of a table; NaN where one is null."""
    columns = [[_unit(one, cell) for cell in rows[one.name].tolist()] for one in space]
    return np.array(columns, dtype=float).reshape(len(space), len(rows)).T


def _unit(hyperparameter: Hyperparameter, cell: Any) -> float:
    value = value_of(hyperparameter, cell)
    return np.nan if value is None else float(hyperparameter.distribution.to_unit(value))


def value_of(hyperparameter: Hyperparameter, cell: Any) -> Value:
    """A table's cell as the hyperparameter's value; None where it does not apply.

    A column of options of mixed types holds text.
    """
    if pd.isna(cell):
        return None
    distribution = hyperparameter.distribution
    if isinstance(distribution, Choice) and not distribution.contains(cell):
        return next((label for label in distribution.labels if as_text(label) == cell), str(cell))
    value: Value = cell  # of an Arrow column, so one of Python's scalars
    return value


def describe_objective(objective: Mapping[str, str], score: str) -> str:
    """The objective in words, such as ``log of val_loss, last report``."""
    return f"{score}{objective['metric']}, {objective['at']} report"


def trial_observations(results: Results) -> Observations:
    """One row a trial: its hyperparameters and its score.

    Trials that ended badly count as the worst score, since dropping them would hide just the
    hyperparameter that made them fail. Trials stopped early have their last score; leaving them out
    would keep only the good ones, in which what made them good hardly varies.
    """
    trials = results.trials
    status = trials["status"].astype(str)
    used = trials[status.isin([*FINISHED, *BROKEN])]
    status = status[used.index]
    scores = used["score"].to_numpy(dtype=float, na_value=np.nan)
    measured = is_measured(scores)
    scores = np.where(status.isin(BROKEN) | ~measured, np.nan, scores)
    unmeasured = int((~measured & ~status.isin(BROKEN)).sum())
    finite = scores[np.isfinite(scores)]
    scores = np.where(np.isnan(scores), finite.max(initial=-np.inf), scores)
    if not len(finite):
        used, scores = used.iloc[:0], scores[:0]
    scale = scale_of(scores)
    return Observations(
        space=results.space,
        units=units_of(results.space, used),
        target=scale.to_target(scores),
        clusters={"trials": np.arange(len(used))},
        objective=describe_objective(results.objective, scale.words),
        scale=scale,
        trial_ids=tuple(used["trial_id"].astype(str)),
        status=tuple(status[used.index]),
        notes=tuple(_notes(trials["status"].astype(str), unmeasured)),
    )


def is_measured(scores: Array) -> NDArray[np.bool_]:
    """Whether each score is a number that can be reckoned with."""
    return np.isfinite(scores) & (np.abs(scores) < LARGEST)


def _notes(status: pd.Series, unmeasured: int) -> Iterable[str]:
    counts = {str(name): int(count) for name, count in status.value_counts().items()}
    broken = [f"{counts[name]} {name}" for name in ("diverged", "failed") if name in counts]
    if broken:
        yield f"{', '.join(broken)}: counted as the worst score seen."
    if "out_of_memory" in counts:
        yield (
            f"{counts['out_of_memory']} out_of_memory: infeasible on this hardware, counted as the "
            "worst score seen."
        )
    if unmeasured:
        yield (
            f"{unmeasured} without a finite score below {LARGEST:g}: counted as the worst score "
            "seen."
        )
    unfinished = sum(counts.get(name, 0) for name in ("running", "interrupted"))
    if unfinished:
        yield f"{unfinished} unfinished: left out."
