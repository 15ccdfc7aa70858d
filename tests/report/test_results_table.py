"""The end of a run as text."""

import io
from pathlib import Path

import pandas as pd
from rich.console import Console

from raytune_pipe.distributions import LogUniform
from raytune_pipe.report.results_table import results_table
from raytune_pipe.results.columns import REPORTS_TAIL, STANDARD_METRICS
from raytune_pipe.results.reading import Results
from raytune_pipe.search_space import Hyperparameter, SearchSpace


def run(statuses: list[str], scores: list[float]) -> Results:
    trials = pd.DataFrame(
        {
            "trial_id": [f"{number:05d}" for number in range(len(statuses))],
            "status": statuses,
            "score": scores,
            "best_report": 1,
        }
    )
    metrics = dict.fromkeys(STANDARD_METRICS, 0.5) | {"val_loss": trials["score"]}
    tail = dict.fromkeys((one.name for one in REPORTS_TAIL), None)
    state = {"report": 1, "epoch": 1.0, "optimizer.lr": 0.03}
    reports = trials[["trial_id"]].assign(**state, **metrics, **tail)
    lineage = pd.DataFrame(columns=["trial_id", "report", "donor", "donor_report"])
    return Results(
        trials=trials.convert_dtypes(dtype_backend="pyarrow"),
        reports=reports.convert_dtypes(dtype_backend="pyarrow"),
        lineage=lineage,
        experiment={},
        space=SearchSpace((Hyperparameter("optimizer.lr", LogUniform(low=1e-4, high=1.0)),)),
        objective={"metric": "val_loss", "mode": "min", "at": "last"},
        path=Path("results/x"),
    )


def shown(results: Results) -> str:
    console = Console(file=io.StringIO(), width=80)
    console.print(results_table(results))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_counts_and_the_best_trial() -> None:
    text = shown(run(["failed", "completed", "completed"], [0.1, 0.25, 0.3]))
    assert text.startswith("3 trials: 2 completed, 1 failed\n")
    assert "00001, completed" in text
    assert "0.25" in text
    assert "0.03" in text


def test_a_run_without_a_usable_trial_says_so() -> None:
    text = shown(run(["diverged"], [float("nan")]))
    assert text.startswith("1 trial: 1 diverged")
    assert "must have a finite val_loss" in text.replace("\n", " ")
