"""Segments of populations whose true driver is known."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytune_pipe.analysis.importance import rank_importance
from raytune_pipe.analysis.segments import is_population, segment_observations
from raytune_pipe.components.schedulers_populations import Pbt
from raytune_pipe.distributions import Choice, LogUniform, Uniform
from raytune_pipe.results.reading import Results
from raytune_pipe.scheduling.decisions import Checkpoint, Decision, Report
from raytune_pipe.search_space import Hyperparameter, SearchSpace

from benchmarks.importance.simulated_populations import WORLDS, population_run

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


def nothing_drives(units: Mapping[str, float], level: float) -> float:  # noqa: ARG001  # a `Drift`
    return -0.1


def population(drift: Drift, members: int, generations: int, seed: int) -> Results:
    """A synchronous population: the worst quarter copies the best and explores, each interval."""
    rng = np.random.default_rng(seed)
    values = [
        SPACE.from_units(dict(zip(SPACE.names, rng.random(len(SPACE)), strict=True)))
        for _ in range(members)
    ]
    level = np.ones(members)
    segments: Counter[int] = Counter()
    reports: list[Row] = []
    lineage: list[Row] = []
    for report in range(1, generations * INTERVAL + 1):
        for member in range(members):
            change = drift(SPACE.to_units(values[member]), level[member])
            level[member] += change + 0.02 * rng.standard_normal()
            row = {"trial_id": f"{member:05d}", "report": report, "segment": segments[member]}
            row |= {"epoch": float(report), "score": np.exp(level[member])}
            reports.append(row | values[member])
        if report % INTERVAL == 0 and report < generations * INTERVAL:
            copies = _exploit(values, level, report, rng)
            segments.update(int(copy["trial_id"]) for copy in copies)
            lineage += copies
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


def results_of(
    trials: list[Row], reports: list[Row], lineage: list[Row], interval: int = INTERVAL
) -> Results:
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
        experiment={"scheduler": {"kind": "pbt", "interval_epochs": interval}},
        space=SPACE,
        objective={"metric": "val_loss", "mode": "min", "at": "last"},
        path=Path(),
    )


def test_the_true_driver_is_ranked_first() -> None:
    for seed in range(3):
        results = population(learning_rate_drives, members=12, generations=10, seed=seed)
        importance = rank_importance(results, resamples=10)
        assert importance.ranking[0].name == "optimizer.lr"
        assert {one.name for one in importance.ranking} == set(SPACE.names)
        assert {one.name for one in importance.context} == {"(start score)", "(generation)"}
        assert (importance.trials, importance.rows) == (12, 120)
        assert "trials and generations" in importance.method


def test_the_segments_of_a_population_of_bandits_are_ranked() -> None:
    results = population_run(WORLDS[0], members=8, epochs=16, seed=0, kind="pb2")
    assert is_population(results)
    assert "select" in set(results.lineage["operation"])
    importance = rank_importance(results, resamples=10)
    assert importance.ranking[0].name == "optimizer.lr"
    assert {one.name for one in importance.context} == {"(start score)", "(generation)"}


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
    copied = {(copy["trial_id"], copy["report"]) for copy in lineage}
    reports: list[Row] = []
    for trial, series in scores.items():
        segment = 0
        for number, score in enumerate(series, start=1):
            row = report_row(trial, number, segment, epoch=number, score=score)
            reports.append(row | {"optimizer.lr": rates[trial]})
            segment += (trial, number) in copied
    trials: list[Row] = [{"trial_id": trial, "status": "completed"} for trial in scores]
    return results_of(trials, reports, lineage)


def report_row(trial: str, number: int, segment: int, *, epoch: float, score: float) -> Row:
    row: Row = {"trial_id": trial, "report": number, "segment": segment, "epoch": float(epoch)}
    fixed: Row = {"batch_size": 16, "optimizer.momentum": 0.0, "model.dropout": 0.0}
    return row | {"score": score} | fixed


def test_a_copy_starts_where_its_donor_was() -> None:
    copy: Row = {"trial_id": "c", "report": 2, "operation": "copy"}
    scores = {"a": [8.0, 4.0, 3.0, 2.0], "b": [8.0, 8.0, 8.0, 8.0], "c": [8.0, 9.0, 4.0, 1.0]}
    rows = segment_observations(three_members(scores, [copy | {"donor": "a", "donor_report": 2}]))
    logs = np.log([4 / 8, 8 / 8, 9 / 8, 2 / 4, 8 / 8, 1 / 4])
    epochs = [1, 1, 1, 2, 2, 2]  # the first interval starts at the first report
    assert rows.target == pytest.approx(logs / epochs)
    assert rows.clusters["trials"].tolist() == [0, 1, 2, 0, 1, 2]
    assert rows.clusters["generations"].tolist() == [1, 1, 1, 2, 2, 2]
    assert rows.objective == "change per epoch of log val_loss, last report"
    start = rows.units[3:, rows.space.names.index("(start score)")]
    assert start == pytest.approx([1 / 3, 5 / 6, 1 / 3])


def member_replaced_at(epoch: int) -> Results:
    """Two members, 9 epochs, an interval of 3: ``a`` is NaN once and copies the last milestone.

    The score of ``b`` falls by 1 an epoch, that of ``a`` by 2 before the NaN and by 4 after it.
    """
    nan = float("nan")
    milestone = min(3 * math.ceil(epoch / 3), 6)
    series = [(0, n, -2.0 * n if n < epoch else nan) for n in range(1, epoch + 1)]
    series += [(1, n, -milestone - 4.0 * (n - milestone)) for n in range(milestone + 1, 10)]
    reports = [
        report_row("a", number, segment, epoch=age, score=score)
        | {"optimizer.lr": 0.01 if segment else 1.0}
        for number, (segment, age, score) in enumerate(series, start=1)
    ]
    reports += [
        report_row("b", n, 0, epoch=n, score=-float(n)) | {"optimizer.lr": 0.1}
        for n in range(1, 10)
    ]
    copy: Row = {"trial_id": "a", "report": epoch, "operation": "copy", "donor": "b"}
    trials: list[Row] = [{"trial_id": trial, "status": "completed"} for trial in "ab"]
    return results_of(trials, reports, [copy | {"donor_report": milestone}], interval=3)


IN_INTERVAL_1 = [(1, 1.0, 0.0), (2, 0.5, -4.0), (3, 0.5, -4.0)]
IN_INTERVAL_2 = [(1, 1.0, -2.0), (2, 1.0, 0.0), (3, 0.5, -4.0)]
IN_INTERVAL_3 = [(1, 1.0, -2.0), (2, 1.0, -2.0), (3, 1.0, 0.0), (3, 0.5, -4.0)]


@pytest.mark.parametrize(
    ("epoch", "of_a"),
    [(epoch, IN_INTERVAL_1) for epoch in (1, 2, 3)]
    + [(epoch, IN_INTERVAL_2) for epoch in (4, 5, 6)]
    + [(epoch, IN_INTERVAL_3) for epoch in (7, 8, 9)],
)
def test_a_nan_inside_an_interval_is_told_of_the_values_that_led_to_it(
    epoch: int, of_a: list[tuple[int, float, float]]
) -> None:
    """Rows are generation, unit of the learning rate and change per epoch; the worst is none."""
    rows = segment_observations(member_replaced_at(epoch))
    found: dict[int, list[tuple[int, float, float]]] = {0: [], 1: []}
    units, generations = rows.units[:, 0].tolist(), rows.clusters["generations"].tolist()
    columns = (rows.clusters["trials"].tolist(), generations, units, rows.target.tolist())
    for trial, generation, unit, change in zip(*columns, strict=True):
        found[trial].append((generation, round(unit, 9), round(change, 9)))
    assert found[0] == of_a
    assert found[1] == [(1, 0.75, -1.0), (2, 0.75, -1.0), (3, 0.75, -1.0)]
    assert "segments that ended in NaN: 1, counted as the worst change seen." in rows.notes


def test_the_start_of_a_trial_whose_first_score_is_nan_is_unknown() -> None:
    rows = segment_observations(member_replaced_at(1))
    start = rows.units[:, rows.space.names.index("(start score)")]
    assert start[:2] == pytest.approx([np.nan, 0.5], nan_ok=True)


@dataclass
class Members:
    """Members of a population that a scheduler decides on, and what they leave in the tables.

    Each epoch lowers a score by 1 and the unit of the learning rate. Reports in ``nan_at`` are NaN.
    """

    nan_at: Set[tuple[str, int]]
    values: dict[str, Any]
    """The hyperparameters in force, by member."""
    places: dict[str, tuple[int, float]]
    """Age and score of the weights, by member."""
    history: dict[tuple[str, int], tuple[int, float]] = field(default_factory=dict)
    numbers: Counter[str] = field(default_factory=Counter)
    segments: Counter[str] = field(default_factory=Counter)
    reports: list[Row] = field(default_factory=list)
    lineage: list[Row] = field(default_factory=list)

    def train(self, trial: str) -> Report:
        """One epoch."""
        self.numbers[trial] += 1
        key, (age, score) = (trial, self.numbers[trial]), self.places[trial]
        age, score = age + 1, score - 1 - SPACE.to_units(self.values[trial])["optimizer.lr"]
        self.places[trial] = self.history[key] = (age, score)
        checkpoint = None if key in self.nan_at else Checkpoint("a.pt", "0" * 64)
        score = score if checkpoint else float("nan")
        row = report_row(*key, self.segments[trial], epoch=age, score=score)
        self.reports.append(row | self.values[trial])
        return Report(*key, age, score, self.values[trial], checkpoint)

    def exploit(self, decision: Decision) -> None:
        """Go on with the donor's weights and other values."""
        trial, donor = decision.trial, (decision.donor or "", decision.donor_report or 0)
        row: Row = {"trial_id": trial, "report": self.numbers[trial], "operation": "perturb"}
        self.lineage.append(row | {"donor": donor[0], "donor_report": donor[1]})
        self.places[trial] = self.history[donor]
        self.values[trial] = dict(decision.values or {})
        self.segments[trial] += 1


def decided_population(
    scheduler: Pbt, nan_at: Set[tuple[str, int]], rng: np.random.Generator
) -> Results:
    """Four members that train for 7 epochs, one at a time in any order."""
    plan = dict(zip("abcd", (0.2, 0.4, 0.6, 0.8), strict=True))
    values = {t: SPACE.from_units(dict.fromkeys(SPACE.names, unit)) for t, unit in plan.items()}
    members = Members(nan_at, values, dict.fromkeys(plan, (0, 0.0)))
    maker = scheduler.build(SPACE, list(plan), epochs=7, seed=0)
    ready = set(plan)
    while ready:
        report = members.train(str(rng.choice(sorted(ready))))
        decisions = maker.on_report(report)
        decided = {decision.trial for decision in decisions if decision.action != "go_on"}
        if report.epoch >= 7 and report.trial not in decided:
            ready.discard(report.trial)
            decisions += maker.on_end(report.trial)
        for decision in decisions:
            if decision.action in ("stop", "wait"):
                ready.discard(decision.trial)
            elif decision.rung is not None:
                ready.add(decision.trial)
            if decision.action == "exploit":
                members.exploit(decision)
    trials: list[Row] = [{"trial_id": trial, "status": "completed"} for trial in plan]
    return results_of(trials, members.reports, members.lineage, scheduler.interval_epochs)


@settings(max_examples=30)
@given(
    synchronous=st.booleans(),
    interval=st.integers(1, 3),
    nan_at=st.sets(st.tuples(st.sampled_from("abcd"), st.integers(1, 9)), max_size=5),
    seed=st.integers(0, 100),
)
def test_every_change_is_told_of_the_values_that_made_it(
    synchronous: bool, interval: int, nan_at: set[tuple[str, int]], seed: int
) -> None:
    scheduler = Pbt(interval_epochs=interval, synchronous=synchronous)
    results = decided_population(scheduler, nan_at, np.random.default_rng(seed))
    rows = segment_observations(results)
    broken = rows.target == 0
    assert broken.sum() == results.reports["score"].isna().sum()
    assert rows.target[~broken] == pytest.approx(-1 - rows.units[~broken, 0])


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
