"""What the best weights of a population were trained under, epoch by epoch.

A member that copies another takes over its weights, so the hyperparameters behind the best score
are not those of one trial: they are those of each trial while the weights were its own.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import pandas as pd

from raytune_pipe.analysis.best import BestTrial, require_trainable
from raytune_pipe.analysis.observations import value_of
from raytune_pipe.analysis.segments import donors_of, is_population
from raytune_pipe.base import ConfigError, ResultsError, Value
from raytune_pipe.results.reading import Results

T = TypeVar("T")


class LineageEpoch(NamedTuple):
    """One epoch in the life of the weights."""

    trial_id: str
    """Who trained it."""
    values: dict[str, Value]
    """The searched hyperparameters in force."""
    step: int
    """Optimizer updates that the weights had seen at its end."""
    val_loss: float
    """At its end, as schedules that react to the score see it."""


class Stage(NamedTuple):
    """Epochs in a row under the same hyperparameters."""

    from_epoch: int
    """How many epochs the weights had behind them; 0 is the start."""
    values: dict[str, Value]


@dataclass(frozen=True)
class LineageSchedule:
    """The hyperparameters in force over the life of the best weights."""

    epochs: tuple[LineageEpoch, ...]
    """All of them, from the first."""

    @property
    def founder(self) -> str:
        """The trial whose initial weights these were."""
        return self.epochs[0].trial_id

    @property
    def stages(self) -> tuple[Stage, ...]:
        """From when on which values applied; no two neighbours are equal."""
        stages: list[Stage] = []
        for number, epoch in enumerate(self.epochs):
            if not stages or stages[-1].values != epoch.values:
                stages.append(Stage(number, epoch.values))
        return tuple(stages)

    def course(self, name: str) -> dict[int, Value]:
        """One hyperparameter: its value by the epoch from which on it applied."""
        return merged([epoch.values[name] for epoch in self.epochs])

    @property
    def changed(self) -> tuple[str, ...]:
        """The hyperparameters that had more than one value."""
        return tuple(name for name in self.epochs[0].values if len(self.course(name)) > 1)

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "epochs": len(self.epochs),
            "founder": self.founder,
            "stages": [stage._asdict() for stage in self.stages],
        }


def merged(by_epoch: Sequence[T]) -> dict[int, T]:
    """What applies from which epoch on: of equal neighbours only the first."""
    return {
        number: value
        for number, value in enumerate(by_epoch)
        if number == 0 or value != by_epoch[number - 1]
    }


def lineage_schedule(results: Results, best: BestTrial) -> LineageSchedule:
    """Follow the best weights back through the copies that were made of them.

    Raises:
        ConfigError: the run was trained elsewhere; or it is no population's, so its best trial has
            one configuration.
        ResultsError: an epoch of the lineage has no report.
    """
    require_trainable(results)
    if not is_population(results):
        kind = (results.experiment.get("scheduler") or {}).get("kind", "none")
        raise ConfigError(
            f"{results.path}: must be a run of a population (scheduler pbt or pb2) to have a"
            f" schedule of hyperparameters, but its scheduler is {kind}; export its best trial"
            " instead"
        )
    rows = _rows(results, best)
    ages = [float(row["epoch"]) for row in rows]
    if ages != [float(age) for age in range(1, len(rows) + 1)]:
        gap = next(
            (number for number, age in enumerate(ages, start=1) if age != number), len(rows) + 1
        )
        raise ResultsError(
            f"{results.path}: the best weights must have a report of each of their epochs, but that"
            f" of epoch {gap} is missing, so what they were trained under is not known"
        )
    return LineageSchedule(
        tuple(
            LineageEpoch(
                str(row["trial_id"]),
                {one.name: value_of(one, row[one.name]) for one in results.space},
                int(row["step"]),
                float("nan") if pd.isna(row["val_loss"]) else float(row["val_loss"]),
            )
            for row in rows
        )
    )


def _rows(results: Results, best: BestTrial) -> list[dict[Hashable, Any]]:
    """The reports of the lineage, in order: of each trial those between two copies."""
    donors = donors_of(results.lineage)
    stretches: list[pd.DataFrame] = []
    for trial_id, to_report in best.ancestry:
        copies = [report for trial, report in donors if trial == trial_id and report < to_report]
        after = max(copies, default=0)
        own = results.reports[results.reports["trial_id"] == trial_id]
        own = own[(own["report"] > after) & (own["report"] <= to_report)]
        stretches.append(own.sort_values("report"))
    lineage: pd.DataFrame = pd.concat(stretches)
    return lineage.to_dict("records")
