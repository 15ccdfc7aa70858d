"""The best trial of a run: its score, its hyperparameters, where its weights came from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from raytune_pipe.analysis.observations import value_of
from raytune_pipe.base import ConfigError, ResultsError, TooFewTrialsError, Value, to_json
from raytune_pipe.components.schedulers import Fifo
from raytune_pipe.components.searchers import Random
from raytune_pipe.experiment import Experiment
from raytune_pipe.results.bucket_runs import location_of, provide_checkpoint
from raytune_pipe.results.columns import REPORTS_TAIL, STANDARD_METRICS
from raytune_pipe.results.reading import Results

UNFIT = ("diverged", "failed", "out_of_memory")
"""Statuses of trials that are never the best, whatever they reported before."""


class Weights(NamedTuple):
    """A checkpoint, and the report it was written at."""

    path: Path
    sha256: str
    report: int


class Stretch(NamedTuple):
    """Reports that one trial made of the weights, before another trial copied them."""

    trial_id: str
    to_report: int


@dataclass(frozen=True)
class BestTrial:
    """The trial of the lowest score, at the report that the objective counts."""

    trial_id: str
    status: str
    metric: str
    """The objective's metric."""
    value: float
    """Its value, as the trial reported it."""
    report: int
    epoch: float
    values: dict[str, Value]
    """The searched hyperparameters in force; None where one does not apply."""
    metrics: dict[str, float]
    weights: Weights | None
    """The checkpoint of that report, or else the nearest to it in score (`at: best`) or in time;
    None where the trial has none."""
    ancestry: tuple[Stretch, ...]
    """Who trained the weights, in order; the trial alone unless it copied another."""

    def required_weights(self) -> Weights:
        """The checkpoint, fetched if it is in a bucket; raises ResultsError where there is none."""
        if self.weights is None:
            raise ResultsError(
                f"trial {self.trial_id}: must have a checkpoint, but has written none; launch again"
                " with a shorter `checkpoint_seconds`"
            )
        provide_checkpoint(self.weights.path)
        return self.weights

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **vars(self),
            "weights": self.weights
            and {**self.weights._asdict(), "path": location_of(self.weights.path)},
            "ancestry": [stretch._asdict() for stretch in self.ancestry],
        }


def best_trial(results: Results) -> BestTrial:
    """The best trial that did not fail; of equals the first.

    Raises:
        TooFewTrialsError: no trial has a finite score.
        ResultsError: its lineage leads back to itself.
    """
    trials = results.trials
    fit = trials[~trials["status"].isin(UNFIT)]
    scores = fit["score"].to_numpy(dtype=float, na_value=np.nan)
    if np.isnan(scores).all():
        raise TooFewTrialsError(
            f"{results.path}: some trial must have a finite {results.objective['metric']}, but none"
            f" of {len(trials)} has; see the columns status and reason of trials.parquet"
        )
    trial = fit.iloc[int(np.nanargmin(scores))]
    trial_id = str(trial["trial_id"])
    reports = results.reports[results.reports["trial_id"] == trial_id]
    at_best = results.objective["at"] == "best"
    number = int(trial["best_report"] if at_best else reports["report"].max())
    row = reports[reports["report"] == number].iloc[0]
    metric = results.objective["metric"]
    return BestTrial(
        trial_id=trial_id,
        status=str(trial["status"]),
        metric=metric,
        value=float(row[metric]),
        report=number,
        epoch=float(row["epoch"]),
        values={one.name: value_of(one, row[one.name]) for one in results.space},
        metrics=_metrics(row),
        weights=_weights(results, reports, number),
        ancestry=_ancestry(results.lineage, trial_id, number),
    )


def is_trainable(results: Results) -> bool:
    """Whether the run holds what its trials trained, so that one can be trained again."""
    return "trial" in results.experiment


def require_trainable(results: Results) -> None:
    """Raise ConfigError unless the run's trials can be trained again."""
    if not is_trainable(results):
        source = results.experiment.get("imported_from", "another program's tables")
        raise ConfigError(
            f"{results.path}: must be a run that raytune-pipe trained for its best trial to be"
            f" exported or tested, but it is made from {source}; train it where it came from"
        )


def experiment_of(experiment: Experiment, best: BestTrial) -> Experiment:
    """The best trial as an experiment of its own: its values in force, and nothing searched."""
    alone = {
        **experiment.resolved(),
        "name": f"{experiment.name[:95]}-best",
        "trial": experiment.trial_with(best.values, best.trial_id).model_dump(mode="json"),
        "search_space": {},
        "searcher": Random().model_dump(mode="json"),
        "scheduler": Fifo().model_dump(mode="json"),
        "trials": 1,
    }
    return Experiment.model_validate_json(to_json(alone))


def _metrics(row: pd.Series) -> dict[str, float]:
    """All metrics of a report: the columns from the first standard one to the tail."""
    names = list(row.index)
    first, end = names.index(STANDARD_METRICS[0]), names.index(REPORTS_TAIL[0].name)
    return {name: float(row[name]) for name in names[first:end] if not pd.isna(row[name])}


def _weights(results: Results, reports: pd.DataFrame, number: int) -> Weights | None:
    saved = reports[reports["checkpoint"].notna()]
    if saved.empty:
        return None
    if number in saved["report"].tolist():
        row = saved[saved["report"] == number].iloc[0]
    else:
        # The run keeps each trial's best and latest checkpoint, and no other for certain.
        by = "score" if results.objective["at"] == "best" else "report"
        row = saved.sort_values(by, ascending=by == "score", kind="stable").iloc[0]
    path = results.path / row["checkpoint"]
    return Weights(path, str(row["checkpoint_sha256"]), int(row["report"]))


def _ancestry(lineage: pd.DataFrame, trial_id: str, number: int) -> tuple[Stretch, ...]:
    """The stretches that led to a report, found from the last copy backwards."""
    stretches = [Stretch(trial_id, number)]
    copies = lineage[lineage["donor"].notna()]
    while True:
        trial_id, number = stretches[0]
        earlier = copies[(copies["trial_id"] == trial_id) & (copies["report"] < number)]
        if earlier.empty:
            return tuple(stretches)
        last = earlier.sort_values("report", kind="stable").iloc[-1]
        stretch = Stretch(str(last["donor"]), int(last["donor_report"]))
        if stretch in stretches:  # another program's tables may say anything
            raise ResultsError(
                f"lineage.parquet: no weights must come from themselves, but those of trial"
                f" {stretch.trial_id} at report {stretch.to_report} do; mend the table"
            )
        stretches.insert(0, stretch)
