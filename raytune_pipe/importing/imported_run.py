"""A run that another program made, in our words."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raytune_pipe.base import ConfigError, Value, list_text
from raytune_pipe.distributions import Choice, count_of, nearest_value
from raytune_pipe.results.columns import RESERVED, STANDARD_METRICS
from raytune_pipe.results.events import DecisionRecord, Status
from raytune_pipe.search_space import Hyperparameter, SearchSpace


@dataclass(frozen=True)
class ImportedReport:
    """One report of a trial."""

    number: int
    """From 1, rises; a number that is left out is a report that was lost."""
    epoch: float
    score: float
    """The objective, lower is better; NaN when diverged."""
    metrics: Mapping[str, float]
    values: Mapping[str, Value]
    """The searched hyperparameters in force."""
    segment: int = 0
    time_s: float = 0.0
    time: float = 0.0
    """Seconds since the epoch, UTC; 0 where that is not known."""
    before: DecisionRecord | None = None
    """What was decided on the trial before this report: whom it copied."""


@dataclass(frozen=True)
class ImportedTrial:
    """One trial."""

    trial_id: str
    leaves: Mapping[str, Value]
    """All hyperparameters it began with, also those that were not searched."""
    status: Status
    reports: tuple[ImportedReport, ...]
    reason: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class ImportedRun:
    """All that another program tells of a run."""

    source: str
    """Where it comes from, in words."""
    space: SearchSpace
    objective: Mapping[str, str]
    trials: tuple[ImportedTrial, ...]
    scheduler: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What was changed or may be missing."""


def own_name(name: str, prefix: str = "config") -> str:
    """The column of a hyperparameter of another program: with a prefix where the name is ours."""
    return f"{prefix}.{name}" if name in RESERVED or name in STANDARD_METRICS else name


def own_metric(name: str) -> str:
    """The column of a metric of another program."""
    return f"reported_{name}" if name in RESERVED else name


def as_value(value: Any) -> Value:
    """A plain value as a hyperparameter's: a list is named by its JSON text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return list_text(value)


def nearest(one: Hyperparameter, value: Value) -> Value:
    """The value of the space that is nearest to this one.

    Three steps of 0.1 are 0.30000000000000004 elsewhere; here they are 0.3.

    Raises:
        ConfigError: none is near: it is no number, or not one of the options.
    """
    distribution = one.distribution
    if value is None:
        return None
    if distribution.contains(value):
        if count_of(distribution) is None:
            return float(value)  # a whole number may be larger than a column of both can hold
        return distribution.from_unit(distribution.to_unit(value))
    is_ordered = not isinstance(distribution, Choice) or distribution.ordered
    number = value if isinstance(value, int | float) and type(value) is not bool else math.nan
    if is_ordered and math.isfinite(number):
        return nearest_value(distribution, number)
    raise ConfigError(
        f"search_space.{one.name}: must hold every value that was tried, but {value!r} is not in "
        f"{distribution!r}; mend the search space"
    )
