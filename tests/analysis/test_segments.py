"""Segments of populations whose true driver is known."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from raytune_pipe.analysis.importance import rank_importance
from raytune_pipe.analysis.segments import is_population, segment_observations
from raytune_pipe.distributions import Choice, LogUniform, Uniform
from raytune_pipe.results.reading import Results
from raytune_pipe.search_space import Hyperparameter, SearchSpace

SPACE = SearchSpace(
    (
        Hyperparameter("optimizer.lr", LogUniform(low=1e-4, high=1.0)),
        Hyperparameter("batch_size", Choice(options=(16, 32, 64, 128))),
        Hyperparameter("optimizer.momentum", Uniform(low=0.0, high=0.99)),
        Hyperparameter("model.dropout", Uniform(low=0.0, high=0.5)),
    )
)
INTERVAL = 2
Drift = Callable[[Mapping[str, float], float], float]
Row = dict[str, Any]


def learning_rate_drives(units: Mapping[str, float], level: float) -> float:
    """Change of the log loss in an epoch: fast near one learning rate, slower as the loss falls."""
    speed = np.exp(-(((units["optimizer.lr"] - 0.6) / 0.2) ** 2)) * max(0.0, (level + 3) / 4)
    return float(-0.25 * speed - 0.03 * units["batch_size"])


def nothing_drives(units: Mapping[str, float], level: float) -> float:  # noqa: ARG001
    return -0.1


def population(drift: Drift, members: int, generations: int, seed: int) -> Results:
    """A synchronous population: the worst quarter copies the best and explores, each interval."""
    rng = np.random.default_rng(seed)
    values = [
        SPACE.from_units(dict(zip(SPACE.names, rng.random(len(SPACE)), strict=True)))
        for _ in range(members)
    ]
    level = np.ones(members)
    reports: list[Row] = []
    lineage: list[Row] = []
    for report in range(1, generations * INTERVAL + 1):
        for member in range(members):
            change = drift(SPACE.to_units(values[member]), level[member])
            level[member] += change + 0.02 * rng.standard_normal()
            row = {"trial_id": f"{member:05d}", "report": report, "score": np.exp(level[member])}
            reports.append(row | values[member])
        if report % INTERVAL == 0 and report < generations * INTERVAL:
            lineage += _exploit(values, level, report, rng)
    ends = [row | {"status": "completed"} for row in reports[-members:]]
    return results_of(ends, reports, lineage)


def _exploit(
    values: list[dict[str, Any]], level: Any, report: int, rng: np.random.Generator
) -> list[Row]:
    order, quarter = np.argsort(level), len(values) // 4
    rows = []
    for member in order[-quarter:]:
        donor = int(rng.choice(order[:quarter]))
        level[member], values[member] = level[donor], dict(values[donor])
        for one in SPACE:
            step = 0.1 * rng.choice([-1, 1])
            values[member][one.name] = (
                one.distribution.from_unit(rng.random())
                if rng.random() < 0.25
                else one.distribution.step(values[member][one.name], step)
            )
        row = {"trial_id": f"{member:05d}", "report": report, "operation": "perturb"}
        rows.append(row | {"donor": f"{donor:05d}", "donor_report": report})
    return rows


def results_of(trials: list[Row], reports: list[Row], lineage: list[Row]) -> Results:
    columns = ["trial_id", "report", "operation", "donor", "donor_report"]
    trials_table, reports_table, lineage_table = (
        table.convert_dtypes(dtype_backend="pyarrow")
        for table in (
            pd.DataFrame(trials),
            pd.DataFrame(reports),
            pd.DataFrame(lineage, columns=columns),
        )
    )
    return Results(
        trials=trials_table,
        reports=reports_table,
        lineage=lineage_table,
        experiment={"scheduler": {"kind": "pbt", "interval_epochs": INTERVAL}},
        space=SPACE,
        objective={"metric": "val_loss", "mode": "min", "at": "last"},
        path=Path(),
    )


def test_the_true_driver_is_ranked_first() -> None:
    for seed in range(5):
        results = population(learning_rate_drives, members=12, generations=10, seed=seed)
        importance = rank_importance(results, resamples=10)
        assert importance.ranking[0].name == "optimizer.lr"
        assert {one.name for one in importance.ranking} == set(SPACE.names)
        assert {one.name for one in importance.context} == {"(start score)", "(generation)"}
        assert (importance.trials, importance.rows) == (12, 120)
        assert "trials and generations" in importance.method


def test_a_world_without_effects_is_refused_or_left_open() -> None:
    asserted = 0
    for seed in range(10):
        importance = rank_importance(population(nothing_drives, 8, 10, seed), resamples=20)
        orders = [p for others in importance.above.values() for p in others.values()]
        asserted += importance.refused is None and max(orders) > 0.95
    assert asserted <= 1


def three_members(scores: Mapping[str, list[float]], lineage: list[Row]) -> Results:
    """Two intervals each; one learning rate per member."""
    rates = dict(zip(scores, [0.01, 0.1, 1.0], strict=True))
    reports = [
        {"trial_id": trial, "report": number, "score": score, "optimizer.lr": rates[trial]}
        | {"batch_size": 16, "optimizer.momentum": 0.0, "model.dropout": 0.0}
        for trial, series in scores.items()
        for number, score in enumerate(series, start=1)
    ]
    trials: list[Row] = [{"trial_id": trial, "status": "completed"} for trial in scores]
    return results_of(trials, reports, lineage)


def test_a_copy_starts_where_its_donor_was() -> None:
    copy: Row = {"trial_id": "c", "report": 2, "operation": "copy"}
    scores = {"a": [8.0, 4.0, 3.0, 2.0], "b": [8.0, 8.0, 8.0, 8.0], "c": [8.0, 9.0, 4.0, 1.0]}
    rows = segment_observations(three_members(scores, [copy | {"donor": "a", "donor_report": 2}]))
    logs = np.log([4 / 8, 8 / 8, 9 / 8, 2 / 4, 8 / 8, 1 / 4])
    epochs = [1, 1, 1, 2, 2, 2]  # the first interval starts at the first report
    assert rows.target == pytest.approx(logs / epochs)
    assert rows.clusters["trials"].tolist() == [0, 1, 2, 0, 1, 2]
    assert rows.clusters["generations"].tolist() == [0, 0, 0, 1, 1, 1]
    assert rows.objective == "change per epoch of log val_loss, last report"
    start = rows.units[3:, rows.space.names.index("(start score)")]
    assert start == pytest.approx([1 / 3, 5 / 6, 1 / 3])


def test_a_segment_that_ends_in_nan_counts_as_the_worst_change() -> None:
    scores = {
        "a": [8.0, 4.0, 3.0, 2.0],
        "b": [8.0, 8.0, 8.0, float("nan")],
        "c": [8.0, 4.0, 8.0, 16.0],
    }
    rows = segment_observations(three_members(scores, []))
    assert rows.target[4] == pytest.approx(np.log(16 / 4) / 2)
    assert any("segments that ended in NaN: 1," in note for note in rows.notes)


def test_scores_that_are_not_positive_are_compared_by_difference() -> None:
    scores = {"a": [-0.5, -0.6, -0.7, -0.9], "b": [-0.1] * 4, "c": [-0.1] * 4}
    rows = segment_observations(three_members(scores, []))
    assert rows.target[[0, 3]] == pytest.approx([-0.1, -0.15])
    assert rows.objective == "change per epoch of val_loss, last report"


def test_only_populations_are_ranked_on_segments() -> None:
    results = three_members({"a": [1.0], "b": [1.0], "c": [1.0]}, [])
    assert is_population(results)
    assert rank_importance(results).refused is not None
    results.experiment["scheduler"] = {"kind": "asha", "grace_epochs": 1}
    assert not is_population(results)
