import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from raytune_pipe.components.schedulers import Asha, Fifo, Hyperband, Median, Scheduler
from raytune_pipe.components.schedulers_populations import Pb2, Pbt
from raytune_pipe.distributions import Choice, LogUniform, Uniform
from raytune_pipe.scheduling.decisions import Checkpoint, Decision, DecisionMaker, Report
from raytune_pipe.search_space import Hyperparameter, SearchSpace, Values

MEMBERS = get_args(get_args(Scheduler)[0])
ADAPTER: TypeAdapter[Any] = TypeAdapter(Scheduler)
SPACE = SearchSpace(
    (
        Hyperparameter("lr", LogUniform(low=1e-4, high=1.0)),
        Hyperparameter("dropout", Uniform(low=0.0, high=0.5)),
        Hyperparameter("batch_size", Choice(options=(16, 32, 64))),
    )
)
SCHEDULERS = [
    Fifo(),
    Asha(),
    Asha(reduction_factor=2.5, brackets=2),
    Asha(reduction_factor=2, control_fraction=0.5),
    Hyperband(),
    Hyperband(reduction_factor=2, grace_epochs=2),
    Median(),
    Median(grace_epochs=3, min_trials=1),
    Pbt(interval_epochs=2),
    Pbt(interval_epochs=3, quantile=0.5),
    Pbt(interval_epochs=20),
    Pbt(interval_epochs=1, synchronous=False),
    Pb2(interval_epochs=1),
    Pb2(interval_epochs=3, quantile=0.5),
    Pb2(interval_epochs=2, synchronous=False, quantile=0.5),
    Pbt(interval_epochs=2, synchronous=False, quantile=0.5),
]
EPOCHS = 7


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.__name__)
def test_scheduler_contract(member: Any) -> None:
    scheduler = member()
    assert ADAPTER.validate_python({"kind": scheduler.kind}) == scheduler
    assert ADAPTER.validate_json(scheduler.model_dump_json()) == scheduler
    fields = member.model_fields.items()
    assert all(info.description for name, info in fields if name != "kind")
    for epochs in (1, 2, 20):
        milestones = scheduler.milestones(epochs)
        assert list(milestones) == sorted(set(milestones))
        assert all(0 < milestone < epochs for milestone in milestones)


@pytest.mark.parametrize(
    ("scheduler", "milestones"),
    [
        (Fifo(), ()),
        (Asha(), (1, 4, 16)),
        (Asha(grace_epochs=2, reduction_factor=3, brackets=3), (2, 6, 18)),
        (Asha(grace_epochs=2, reduction_factor=2.5), (2, 5, 13)),
        (Asha(grace_epochs=20), ()),
        (Asha(grace_epochs=30), ()),
        (Hyperband(), (2, 6)),
        (Hyperband(grace_epochs=2, reduction_factor=2), (2, 5, 10)),
        (Hyperband(grace_epochs=20), ()),
        (Median(grace_epochs=17), (17, 18, 19)),
        (Median(grace_epochs=20), ()),
        (Pbt(interval_epochs=6), (6, 12, 18)),
        (Pb2(interval_epochs=6), (6, 12, 18)),
        (Pbt(interval_epochs=5), (5, 10, 15)),
        (Pbt(interval_epochs=20), ()),
    ],
)
def test_milestones_of_20_epochs(scheduler: Any, milestones: tuple[int, ...]) -> None:
    assert scheduler.milestones(20) == milestones


@pytest.mark.parametrize(
    "mapping",
    [
        {"kind": "asha", "grace_epochs": 0},
        {"kind": "asha", "reduction_factor": 1},
        {"kind": "asha", "reduction_factor": 1.0001},
        {"kind": "asha", "brackets": 0},
        {"kind": "asha", "control_fraction": 1},
        {"kind": "asha", "control_fraction": -0.1},
        {"kind": "hyperband", "reduction_factor": 1.9},
        {"kind": "hyperband", "grace_epochs": 0},
        {"kind": "median", "min_trials": 0},
        {"kind": "pbt", "interval_epochs": 0},
        {"kind": "pbt", "interval_epochs": 1.5},
        {"kind": "pbt", "quantile": 0},
        {"kind": "pbt", "quantile": 0.6},
        {"kind": "pbt", "perturbation": 0},
        {"kind": "pbt", "resample_probability": 1.1},
        {"kind": "pbt", "quantiles": 0.25},
        {"kind": "pb2", "interval_epochs": 0},
        {"kind": "pb2", "quantile": 0.6},
        {"kind": "pb2", "perturbation": 0.1},
    ],
    ids=str,
)
def test_senseless_settings_are_refused(mapping: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=list(mapping)[-1]):
        ADAPTER.validate_python(mapping)


@dataclass
class Simulation:
    """Trials run by hand: whoever is not waiting may report or end at any time."""

    maker: DecisionMaker
    epochs: dict[str, float]
    values: dict[str, Values]
    waiting: set[str] = field(default_factory=set)
    reports: list[Report] = field(default_factory=list)
    calls: list[Callable[[DecisionMaker], list[Decision]]] = field(default_factory=list)
    answers: list[list[Decision]] = field(default_factory=list)

    def running(self) -> list[str]:
        return sorted(self.epochs.keys() - self.waiting)

    def report(self, trial: str, score: float) -> None:
        epoch = self.epochs[trial] = self.epochs[trial] + 1
        number = 1 + sum(report.trial == trial for report in self.reports)
        checkpoint = Checkpoint(f"{trial}/{number}.pt", "0" * 64)
        report = Report(trial, number, epoch, score, self.values[trial], checkpoint)
        self.reports.append(report)
        decisions = self.call(lambda maker: maker.on_report(report))
        decided = [made.action for made in decisions if made.trial == trial]
        assert len(decided) == 1, "a report is answered once"
        if epoch >= EPOCHS and not math.isnan(score):
            assert decided == ["go_on"], "nothing is left to decide"
            self.end(trial)

    def end(self, trial: str) -> None:
        del self.epochs[trial]
        self.waiting.discard(trial)
        self.call(lambda maker: maker.on_end(trial))

    def call(self, call: Callable[[DecisionMaker], list[Decision]]) -> list[Decision]:
        decisions = call(self.maker)
        self.calls.append(call)
        self.answers.append(decisions)
        for decision in decisions:
            self.apply(decision)
        return decisions

    def apply(self, decision: Decision) -> None:
        trial = decision.trial
        assert trial in self.epochs, "only trials that have not ended are decided on"
        self.waiting.discard(trial)
        if decision.action == "wait":
            self.waiting.add(trial)
        if decision.action == "stop":
            del self.epochs[trial]
        if decision.action == "exploit":
            donor = self.donor_report(decision)
            assert math.isfinite(donor.score)
            assert donor.epoch < EPOCHS
            assert decision.checkpoint == donor.checkpoint is not None
            assert decision.values is not None
            assert SPACE.contains(decision.values)
            before = self.values[trial]
            assert {change.name: change.after for change in decision.changes} == {
                name: value for name, value in decision.values.items() if value != before[name]
            }
            assert all(change.before == before[change.name] for change in decision.changes)
            self.epochs[trial], self.values[trial] = donor.epoch, decision.values

    def donor_report(self, decision: Decision) -> Report:
        wanted = decision.donor, decision.donor_report
        return next(r for r in self.reports if (r.trial, r.number) == wanted)


def build(scheduler: Any, trials: int) -> DecisionMaker:
    maker: DecisionMaker = scheduler.build(SPACE, plan(trials), epochs=EPOCHS, seed=3)
    return maker


def plan(trials: int) -> list[str]:
    return [f"{index:05d}" for index in range(trials)]


@pytest.mark.parametrize("scheduler", SCHEDULERS, ids=repr)
@settings(max_examples=40)
@given(trials=st.integers(1, 6), seed=st.integers(0, 2**32))
def test_every_run_ends_and_its_replay_decides_the_same(
    scheduler: Any, trials: int, seed: int
) -> None:
    rng = random.Random(seed)
    nan_rate, end_rate = rng.choice([0.0, 0.1, 0.5, 1.0]), rng.choice([0.0, 0.1])
    values = {trial: SPACE.from_units(dict.fromkeys(SPACE.names, 0.4)) for trial in plan(trials)}
    run = Simulation(build(scheduler, trials), dict.fromkeys(values, 0.0), dict(values))
    while run.epochs:
        assert run.running(), f"all wait: {run.waiting}"
        trial = rng.choice(run.running())
        if rng.random() < end_rate:
            run.end(rng.choice(sorted(run.epochs)))
        else:
            run.report(trial, math.nan if rng.random() < nan_rate else rng.random())
        assert len(run.reports) <= trials * EPOCHS * (EPOCHS + 1), "trains for ever"
    again = build(scheduler, trials)
    assert [call(again) for call in run.calls] == run.answers
