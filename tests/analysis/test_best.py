from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from raytune_pipe.analysis.best import Stretch, best_trial, experiment_of
from raytune_pipe.base import ResultsError, TooFewTrialsError
from raytune_pipe.distributions import Choice, LogUniform
from raytune_pipe.experiment import Experiment
from raytune_pipe.results.reading import Results
from raytune_pipe.search_space import Condition, Hyperparameter, SearchSpace

SPACE = SearchSpace(
    (
        Hyperparameter("optimizer.kind", Choice(options=({"kind": "sgd"}, {"kind": "adamw"}))),
        Hyperparameter("optimizer.lr", LogUniform(low=1e-4, high=1.0)),
        Hyperparameter(
            "optimizer.momentum",
            Choice(options=(0.5, 0.9)),
            (Condition("optimizer.kind", ("sgd",)),),
        ),
        Hyperparameter("schedule.mixed", Choice(options=(True, 3, "high"))),
    )
)
REPORT = {
    "optimizer.kind": "sgd",
    "optimizer.lr": 0.1,
    "optimizer.momentum": 0.9,
    "schedule.mixed": "true",
    "train_loss": 1.0,
    "val_accuracy": 0.9,
    "mine": None,
    "verdict": None,
    "checkpoint": None,
    "checkpoint_sha256": None,
}


def frame(rows: list[dict[str, Any]], columns: tuple[str, ...] = ()) -> pd.DataFrame:
    made = pd.DataFrame(rows, columns=list(columns) or None)
    return made.convert_dtypes(dtype_backend="pyarrow")


def results(
    scores: dict[str, list[float]],
    statuses: dict[str, str] | None = None,
    at: str = "last",
    saved: tuple[tuple[str, int], ...] = (),
    lineage: list[tuple[str, int, str | None, int | None]] | None = None,
    cells: dict[str, Any] | None = None,
) -> Results:
    """A run with these scores by trial; a report is an epoch, its metric the score negated."""
    reports, trials = [], []
    for trial_id, values in scores.items():
        for number, score in enumerate(values, start=1):
            checkpoint = f"checkpoints/{trial_id}/{number}.pt"
            row = {
                **REPORT,
                **(cells or {}),
                "trial_id": trial_id,
                "report": number,
                "score": score,
            }
            row |= {"epoch": float(number), "val_accuracy": -score}
            if (trial_id, number) in saved:
                row |= {"checkpoint": checkpoint, "checkpoint_sha256": f"{number:064x}"}
            reports.append(row)
        finite = [score for score in values if score == score]
        best = values.index(min(finite)) + 1 if finite else None
        scored = min(finite, default=None) if at == "best" else values[-1]
        status = (statuses or {}).get(trial_id, "completed")
        trials.append(
            {"trial_id": trial_id, "status": status, "score": scored, "best_report": best}
        )
    return Results(
        trials=frame(trials),
        reports=frame(reports).reindex(columns=["trial_id", "report", "epoch", "score", *REPORT]),
        lineage=frame(
            [
                dict(zip(("trial_id", "report", "donor", "donor_report"), row, strict=True))
                for row in lineage or []
            ],
            ("trial_id", "report", "donor", "donor_report"),
        ),
        experiment={},
        space=SPACE,
        objective={"metric": "val_accuracy", "mode": "max", "at": at},
        path=Path("results/x"),
    )


def test_the_objective_says_which_report_counts() -> None:
    scores = {"00000": [-0.9, -0.5], "00001": [-0.6, -0.7]}
    last, best = best_trial(results(scores)), best_trial(results(scores, at="best"))
    assert (last.trial_id, last.report, last.value, last.epoch) == ("00001", 2, 0.7, 2.0)
    assert (best.trial_id, best.report, best.value, best.epoch) == ("00000", 1, 0.9, 1.0)
    assert last.metrics == {"train_loss": 1.0, "val_accuracy": 0.7}


@pytest.mark.parametrize("status", ["failed", "diverged", "out_of_memory"])
def test_a_trial_that_failed_is_never_the_best(status: str) -> None:
    found = best_trial(results({"00000": [-0.9], "00001": [-0.6]}, {"00000": status}))
    assert found.trial_id == "00001"


def test_without_any_score_there_is_no_best() -> None:
    with pytest.raises(TooFewTrialsError, match="must have a finite val_accuracy, but none of 1"):
        best_trial(results({"00000": [float("nan")]}))


@pytest.mark.parametrize(
    ("cell", "value"), [("true", True), ("3", 3), ("high", "high"), (None, None)]
)
def test_options_of_mixed_types_are_read_back(cell: str | None, value: object) -> None:
    found = best_trial(results({"00000": [1.0]}, cells={"schedule.mixed": cell}))
    assert found.values["schedule.mixed"] is value or found.values["schedule.mixed"] == value
    assert type(found.values["schedule.mixed"]) is type(value)


def test_weights_are_of_the_report_that_counts_or_the_nearest() -> None:
    scores = {"00000": [-0.5, -0.9, -0.8]}
    cases = [
        ("last", (1, 2, 3), 3),
        ("last", (1, 2), 2),
        ("best", (1, 2, 3), 2),
        ("best", (1, 3), 3),
    ]
    for at, numbers, expected in cases:
        saved = tuple(("00000", number) for number in numbers)
        weights = best_trial(results(scores, at=at, saved=saved)).required_weights()
        assert weights.report == expected
        assert weights.path == Path(f"results/x/checkpoints/00000/{expected}.pt")
        assert weights.sha256 == f"{expected:064x}"


def test_no_weights_are_told() -> None:
    found = best_trial(results({"00000": [1.0]}))
    assert found.weights is None
    with pytest.raises(ResultsError, match="trial 00000: must have a checkpoint"):
        found.required_weights()


def test_ancestry_follows_the_copies_backwards() -> None:
    lineage = [
        ("00001", 2, "00000", 2),  # before the donor's own copy: part of it
        ("00000", 4, "00001", 4),
        ("00000", 4, "00001", 4),  # one row a hyperparameter
        ("00001", 6, "00002", 6),  # after the copy: no part of it
        ("00002", 4, None, None),  # stopped, not copied
    ]
    scores = {"00000": [-0.9] * 8, "00001": [-0.1] * 8, "00002": [-0.1] * 8}
    assert best_trial(results(scores, lineage=lineage)).ancestry == (
        Stretch("00000", 2),
        Stretch("00001", 4),
        Stretch("00000", 8),
    )


def test_a_lineage_that_leads_back_to_itself_is_refused() -> None:
    lineage: list[tuple[str, int, str | None, int | None]] = [
        ("00000", 1, "00001", 2),
        ("00001", 1, "00000", 2),
    ]
    scores = {"00000": [-0.9] * 2, "00001": [-0.1] * 2}
    with pytest.raises(ResultsError, match="those of trial 00000 at report 2 do"):
        best_trial(results(scores, lineage=lineage))


def test_the_best_trial_alone_is_an_experiment() -> None:
    experiment = Experiment.model_validate_json(
        """{
        "name": "x",
        "trial": {
            "dataset": {"kind": "digits"},
            "model": {"kind": "mlp"},
            "loss": {"kind": "cross_entropy"},
            "optimizer": {"kind": "adamw", "lr": 0.5}
        },
        "search_space": {
            "optimizer": {
                "kind": "choice",
                "options": [{"kind": "sgd", "lr": 1.0}, {"kind": "adamw"}]
            },
            "optimizer.lr": {"kind": "log_uniform", "low": 1e-4, "high": 1.0},
            "optimizer.momentum": {"kind": "choice", "options": [0.5, 0.9]}
        },
        "trials": 12
        }"""
    )
    found = best_trial(results({"00000": [1.0], "00001": [0.5]}))
    alone = experiment_of(experiment, found)
    assert (alone.name, alone.trials, alone.search_space) == ("x-best", 1, {})
    assert alone.trial == experiment.trial_with(found.values, "00001")
    assert alone.trial.optimizer.model_dump() == {
        **alone.trial.optimizer.model_dump(),
        "kind": "sgd",
        "lr": 0.1,
        "momentum": 0.9,
    }
