"""Populations whose hyperparameters have known effects, driven by the real decision maker.

Two worlds, so that the analysis is tuned to neither. In `rates` weights improve by so much an
epoch, however good they are. In `targets` they approach a level that depends on the
hyperparameters, so that what is left to gain shrinks; late a lower learning rate is better, and a
very high one turns the loss NaN. In an idle world all members train alike, whatever their values.
"""

import dataclasses
import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from raytune_pipe.experiment import Experiment, PlannedTrial
from raytune_pipe.results.events import DecisionEvent, DecisionRecord, Event, ReportEvent
from raytune_pipe.results.reading import Results
from raytune_pipe.scheduling.decisions import Checkpoint, Decision, Report
from raytune_pipe.search_space import SearchSpace, Values

from benchmarks.importance.simulated_runs import digits_experiment, results_of

Array = NDArray[np.float64]

SEARCH_SPACE = {
    "optimizer.lr": {"kind": "log_uniform", "low": 1e-4, "high": 1.0},
    "batch_size": {"kind": "choice", "options": [16, 32, 64, 128]},
    "optimizer.weight_decay": {"kind": "log_uniform", "low": 1e-6, "high": 1e-2},
    "model.dropout": {"kind": "uniform", "low": 0.0, "high": 0.6},
}
LEVEL = 2.3
"""The loss before any training."""


class State(NamedTuple):
    """Where weights are."""

    level: float
    """Log of the loss."""
    progress: float
    """Share of the planned epochs behind them."""


@dataclass(frozen=True)
class World:
    """How weights change in a whole run, if it went on as it goes."""

    name: str
    step: Callable[[State, Array], Array]
    """From units of the hyperparameters ``[rows, axes]`` to changes of the log loss ``[rows]``."""
    noise: float
    """Standard deviation of an epoch's change by chance, and of a measurement."""
    nan_above: float = math.inf
    """A learning rate, in units, above which the loss turns NaN now and then."""
    is_idle: bool = False
    """Whether the hyperparameters do nothing."""


def _rates(state: State, units: Array) -> Array:
    """A valley in log lr whose bottom moves with the batch size; dropout costs late."""
    lr, batch, decay, dropout = units.T
    valley = (lr - 0.55 - 0.15 * (batch - 0.5)) ** 2
    rest = 0.75 * (decay - 0.6) ** 2 + 1.0 * dropout * state.progress
    return np.asarray(8.75 * valley + rest - 2.5)


def _targets(state: State, units: Array) -> Array:
    lr, batch, decay, dropout = units.T
    bottom = 0.65 - 0.3 * state.progress
    target = -3.0 + 9.0 * (lr - bottom) ** 2 + 1.5 * (dropout - 0.3) ** 2 + 0.6 * decay * batch
    return np.asarray(4.0 * (target - state.level))


WORLDS = (
    World("rates", _rates, noise=0.02),
    World("targets", _targets, noise=0.03, nan_above=0.95),
)
IDLE_WORLDS = tuple(
    dataclasses.replace(world, name=f"{world.name}, idle", nan_above=math.inf, is_idle=True)
    for world in WORLDS
)


def experiment(members: int, epochs: int, seed: int, **scheduler: Any) -> Experiment:
    """What the population would be launched with."""
    return digits_experiment(SEARCH_SPACE, {"kind": "pbt", **scheduler}, members, epochs, seed)


@dataclass
class _Member:
    planned: PlannedTrial
    values: Values
    level: float = math.log(LEVEL)
    epoch: int = 0
    reports: int = 0
    segment: int = 0
    saved: dict[int, tuple[int, float]] = field(default_factory=dict)
    """Epoch and level of the weights at each report."""


def population_run(
    world: World, *, members: int = 16, epochs: int = 25, seed: int = 0, **scheduler: Any
) -> Results:
    """The results of a run; the members take turns, an epoch each."""
    made = experiment(members, epochs, seed, **scheduler)
    plan = made.plan()
    return results_of(made, plan, _events(world, made, plan, np.random.default_rng(seed)))


def _events(
    world: World, made: Experiment, plan: list[PlannedTrial], rng: np.random.Generator
) -> Iterator[Event]:
    epochs, space = made.trial.epochs, made.space()
    maker = made.scheduler.build(space, [one.trial_id for one in plan], epochs, made.seed)
    members = {one.trial_id: _Member(one, one.values) for one in plan}
    turns = deque(members)
    while turns:
        name = turns.popleft()
        member = members[name]
        loss = _trained(world, member, space, epochs, rng)
        report = _report(member, loss)
        yield report
        decisions = maker.on_report(
            Report(
                name,
                member.reports,
                float(member.epoch),
                loss,
                member.values,
                Checkpoint(f"{name}-{member.reports}", "0" * 64),
            )
        )
        if any(one.rung is not None or one.action != "go_on" for one in decisions):
            yield _decided(name, member.reports, decisions)
        for decision in decisions:
            _apply(decision, members)
            if decision.action == "stop":
                yield _end(decision.trial, "diverged")
            elif decision.action != "wait" and decision.trial not in turns:
                turns.append(decision.trial)
        if member.epoch >= epochs and name in turns:
            turns.remove(name)
            yield _end(name, "completed")


def _trained(
    world: World, member: _Member, space: SearchSpace, epochs: int, rng: np.random.Generator
) -> float:
    """Train the member an epoch; the loss that it measures."""
    units = np.array([list(space.to_units(member.values).values())])
    acting = np.full_like(units, 0.5) if world.is_idle else units
    change = world.step(State(member.level, member.epoch / epochs), acting) / epochs
    member.level += float(change[0]) + world.noise * float(rng.standard_normal())
    member.epoch += 1
    member.reports += 1
    member.saved[member.reports] = (member.epoch, member.level)
    if units[0, 0] > world.nan_above and rng.random() < 0.5:
        return math.nan
    return math.exp(member.level + world.noise * float(rng.standard_normal()))


def _apply(decision: Decision, members: dict[str, _Member]) -> None:
    if decision.action != "exploit" or decision.donor is None or decision.donor_report is None:
        return
    member, donor = members[decision.trial], members[decision.donor]
    member.epoch, member.level = donor.saved[decision.donor_report]
    member.values = dict(decision.values or {})
    member.segment += 1


def _report(member: _Member, loss: float) -> ReportEvent:
    return {
        "event": "report",
        "trial_id": member.planned.trial_id,
        "report": member.reports,
        "attempt": 0,
        "segment": member.segment,
        "epoch": float(member.epoch),
        "step": member.epoch,
        "time_s": float(member.reports),
        "score": loss,
        "metrics": {"val_loss": loss},
        "values": dict(member.values),
        "checkpoint": None,
        "verdict": None,
        "time": float(member.reports),
    }


def _decided(name: str, report: int, decisions: list[Decision]) -> DecisionEvent:
    records = [cast(DecisionRecord, dataclasses.asdict(one)) for one in decisions]
    return {"event": "decision", "trial_id": name, "report": report, "decisions": records}


def _end(name: str, status: str) -> Event:
    ended = {"event": "end", "trial_id": name, "status": status, "reason": None, "error": None}
    return cast(Event, {**ended, "time": 0.0})
