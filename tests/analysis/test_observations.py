"""Rows from trials of every status, with hyperparameters of every kind."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from raytune_pipe.analysis.observations import trial_observations, units_of
from raytune_pipe.distributions import Choice, LogUniform, Uniform
from raytune_pipe.results.reading import Results
from raytune_pipe.search_space import Condition, Hyperparameter, SearchSpace

SPACE = SearchSpace(
    (
        Hyperparameter("optimizer.lr", LogUniform(low=1e-4, high=1.0)),
        Hyperparameter("optimizer.kind", Choice(options=({"kind": "sgd"}, {"kind": "adamw"}))),
        Hyperparameter(
            "optimizer.momentum",
            Uniform(low=0.0, high=0.9),
            (Condition("optimizer.kind", ("sgd",)),),
        ),
        Hyperparameter("model.norm", Choice(options=("batch", False, 1))),
    )
)


def run(statuses: list[str], scores: list[float | None]) -> Results:
    count = len(statuses)
    trials = pd.DataFrame(
        {
            "trial_id": [f"{number:05d}" for number in range(count)],
            "status": statuses,
            "score": pd.array(scores, dtype="float64[pyarrow]"),
            "optimizer.lr": [1e-2] * count,
            "optimizer.kind": ["sgd", "adamw"] * (count // 2) + ["sgd"] * (count % 2),
            "optimizer.momentum": [0.45, None] * (count // 2) + [0.45] * (count % 2),
            "model.norm": ["batch", "false", "1"] * (count // 3) + ["1"] * (count % 3),
        }
    )
    return Results(
        trials=trials.convert_dtypes(dtype_backend="pyarrow"),
        reports=pd.DataFrame(),
        lineage=pd.DataFrame(),
        experiment={"scheduler": {"kind": "fifo"}},
        space=SPACE,
        objective={"metric": "val_loss", "mode": "min", "at": "last"},
        path=Path(),
    )


def test_units_are_on_the_declared_scales_and_nan_where_not_applicable() -> None:
    units = units_of(SPACE, run(["completed"] * 3, [1.0, 2.0, 3.0]).trials)
    expected = [[0.5, 0.25, 0.5, 1 / 6], [0.5, 0.75, np.nan, 3 / 6], [0.5, 0.25, 0.5, 5 / 6]]
    assert units == pytest.approx(np.array(expected), nan_ok=True)


def test_units_of_an_empty_table_keep_their_axes() -> None:
    assert units_of(SPACE, run([], []).trials).shape == (0, 4)


def test_every_status_is_counted_as_it_should() -> None:
    statuses = ["completed", "stopped_early", "timed_out", "diverged", "failed", "out_of_memory"]
    scores = [1.0, 3.0, 2.0, None, 0.5, None]
    rows = trial_observations(run([*statuses, "running", "interrupted"], [*scores, 0.1, 0.1]))
    assert rows.target.tolist() == [1.0, 3.0, 2.0, 3.0, 3.0, 3.0]
    assert rows.trials == 6
    assert len(rows.notes) == 3
    assert rows.notes[0].startswith("1 diverged, 1 failed: counted as the worst")
    assert rows.notes[1].startswith("1 out_of_memory: infeasible on this hardware")
    assert rows.notes[2] == "2 unfinished: left out."
    assert rows.status == tuple(statuses)


def test_a_completed_trial_without_a_finite_score_counts_as_the_worst() -> None:
    rows = trial_observations(run(["completed"] * 3, [1.0, float("nan"), 2.0]))
    assert rows.target.tolist() == [1.0, 2.0, 2.0]


def test_a_score_beyond_float32_counts_as_the_worst_and_this_is_said() -> None:
    rows = trial_observations(run(["completed"] * 4, [1.0, 1e300, 2.0, -1e300]))
    assert rows.target.tolist() == [1.0, 2.0, 2.0, 2.0]
    assert rows.notes == ("2 without a finite score below 1e+39: counted as the worst score seen.",)


def test_nothing_is_usable_where_no_score_is_finite() -> None:
    rows = trial_observations(run(["diverged", "failed"], [None, None]))
    assert rows.trials == 0
    assert rows.units.shape == (0, 4)


def test_heavy_tails_go_to_the_log_scale_and_this_is_said() -> None:
    rows = trial_observations(run(["completed"] * 6, [0.1, 0.2, 0.15, 0.3, 0.12, 900.0]))
    assert rows.objective == "log of val_loss, last report"
    assert rows.target[-1] == pytest.approx(np.log(900.0))


def test_what_broke_is_the_worst_on_whatever_scale() -> None:
    """One score above all others: on no scale may a broken trial be worse than it, or better."""
    for scores in ([0.1, 0.2, 0.15, 0.3, 0.12, 900.0], [-9.0, 0.2, 0.15, 0.3, 0.12, 0.4]):
        rows = trial_observations(run(["completed"] * 6 + ["diverged"], [*scores, None]))
        assert rows.target[6] == rows.target.max() == rows.target[int(np.argmax(scores))]
        assert rows.scale.to_score(rows.target[6:]) == pytest.approx([max(scores)])


def test_tails_both_ways_go_to_ranks_and_this_is_said() -> None:
    scores: list[float | None] = [*np.linspace(-1, 1, 15).tolist(), -500.0]
    rows = trial_observations(run(["completed"] * 16, scores))
    assert rows.objective == "rank of val_loss, last report"
    assert rows.target.min() == rows.target[15] == 0.5 / 16
    assert rows.target.max() == 15.5 / 16


def test_context_is_no_hyperparameter_and_a_trial_counts_once() -> None:
    rows = trial_observations(run(["completed"] * 4, [1.0, 2.0, 3.0, 4.0]))
    assert rows.hyperparameters == SPACE.names
    segments = replace(
        rows, clusters={"trials": np.array([0, 0, 1, 1])}, context=("optimizer.kind",)
    )
    assert segments.trials == 2
    assert segments.hyperparameters == ("optimizer.lr", "optimizer.momentum", "model.norm")


def test_the_objective_says_which_report_counts() -> None:
    best = run(["completed"] * 3, [1.0, 2.0, 3.0])
    best.objective["at"] = "best"
    assert trial_observations(best).objective == "val_loss, best report"
