"""Searches over a factorial that has been trained: what they report is looked up, not trained."""

import dataclasses
import heapq
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from raytune_pipe.experiment import Experiment, PlannedTrial
from raytune_pipe.results.events import DecisionEvent, DecisionRecord, Event, ReportEvent, Status
from raytune_pipe.results.reading import Results
from raytune_pipe.results.tables import TableFold
from raytune_pipe.scheduling.decisions import Decision, DecisionMaker, Report
from raytune_pipe.trial import leaves
from raytune_pipe.tuning.extending import experiment_event

from benchmarks.importance.factorial_grid import EPOCHS, cells, experiment, trial_id

Array = NDArray[np.float64]

WORKERS = 8
ASHA: Mapping[str, str | float] = {"kind": "asha", "grace_epochs": 1, "reduction_factor": 3}


def search(losses: Array, scheduler: Mapping[str, str | float], trials: int, seed: int) -> Results:
    """The results of a random search over the grid under a scheduler, such as ``ASHA``.

    ``losses`` is ``[cells, seeds, epochs]``. No cell is drawn twice; which of its trainings is
    taken is drawn as well. Eight workers train at once, the smaller the batch the longer.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.choice(len(losses), trials, replace=False).tolist()
    repetitions = rng.integers(losses.shape[1], size=trials).tolist()
    made = experiment(scheduler, trials)
    trained = list(zip(drawn, repetitions, strict=True))
    curves = {trial_id(*one): losses[one] for one in trained}
    plan = [_planned(made, *one) for one in trained]
    maker = made.scheduler.build(made.space(), list(curves), EPOCHS, made.seed)
    fold = TableFold()
    fold.add(experiment_event(made, plan))
    for one in plan:
        planned = {"event": "plan", "trial_id": one.trial_id, "leaves": leaves(one.trial)}
        fold.add(cast(Event, {**planned, "values": one.values}))
    for event in _events(plan, curves, maker, rng):
        fold.add(event)
    return _results(fold, made)


def _planned(made: Experiment, cell: int, repetition: int) -> PlannedTrial:
    name, values = trial_id(cell, repetition), cells()[cell]
    trial = made.trial_with(values, name)
    validated = leaves(trial)
    return PlannedTrial(name, {each: validated[each] for each in values}, trial)


def _events(
    plan: list[PlannedTrial],
    curves: dict[str, Array],
    maker: DecisionMaker,
    rng: np.random.Generator,
) -> Iterator[Event]:
    """Reports, decisions and ends in the order in which eight workers would make them."""
    waiting = plan[::-1]
    busy: list[tuple[float, str, int]] = []
    """When a worker's epoch ends, its trial, and the number of that epoch."""
    of_id = {one.trial_id: one for one in plan}
    now = 0.0
    while waiting or busy:
        while waiting and len(busy) < WORKERS:
            name = waiting.pop().trial_id
            heapq.heappush(busy, (now + _duration(of_id[name], rng), name, 1))
        now, name, epoch = heapq.heappop(busy)
        report = _report(of_id[name], epoch, float(curves[name][epoch - 1]), now)
        yield report
        (decision,) = maker.on_report(
            Report(name, epoch, float(epoch), report["score"], report["values"])
        )
        if decision.action == "stop" or decision.rung is not None:
            yield _decided(decision, epoch)
        status = _end(decision, epoch)
        if status:
            yield {
                "event": "end",
                "trial_id": name,
                "status": status,
                "reason": None,
                "error": None,
                "time": now,
            }
        else:
            heapq.heappush(busy, (now + _duration(of_id[name], rng), name, epoch + 1))


def _end(decision: Decision, epoch: int) -> Status | None:
    if decision.action == "stop":
        return "diverged" if decision.diverged else "stopped_early"
    return "completed" if epoch == EPOCHS else None


def _duration(planned: PlannedTrial, rng: np.random.Generator) -> float:
    """Seconds of an epoch: so much an update, and a fifth more or less by chance."""
    return (0.1 + 16 / planned.trial.batch_size) * float(rng.uniform(0.8, 1.2))


def _report(planned: PlannedTrial, epoch: int, loss: float, now: float) -> ReportEvent:
    return {
        "event": "report",
        "trial_id": planned.trial_id,
        "report": epoch,
        "attempt": 0,
        "segment": 0,
        "epoch": float(epoch),
        "step": epoch,
        "time_s": now,
        "score": loss,
        "metrics": {"val_loss": loss},
        "values": planned.values,
        "checkpoint": None,
        "verdict": None,
        "time": now,
    }


def _decided(decision: Decision, report: int) -> DecisionEvent:
    record = cast(DecisionRecord, dataclasses.asdict(decision))
    trial = decision.trial
    return {"event": "decision", "trial_id": trial, "report": report, "decisions": [record]}


def _results(fold: TableFold, made: Experiment) -> Results:
    trials, reports, lineage = (
        table.to_pandas(types_mapper=pd.ArrowDtype) for table in fold.tables(0)
    )
    return Results(
        trials=trials,
        reports=reports,
        lineage=lineage,
        experiment=made.resolved(),
        space=made.space(),
        objective=made.objective.model_dump(mode="json"),
        path=Path(),
    )
