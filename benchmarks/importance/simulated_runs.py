"""Runs by our own decision makers over curves that are known: looked up, not trained."""

import dataclasses
import heapq
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from raytune_pipe.tuning.journal_events import experiment_event

Array = NDArray[np.float64]
Seconds = Callable[[PlannedTrial], float]

WORKERS = 8


def simulated_run(
    made: Experiment,
    plan: Sequence[PlannedTrial],
    curves: Mapping[str, Array],
    seconds: Seconds,
) -> Results:
    """The results of a run in which eight workers train at once.

    ``curves`` holds the losses of each trial ``[epochs]``, NaN from where it diverges;
    ``seconds`` says how long an epoch of a trial takes, anew for each.
    """
    maker = made.scheduler.build(made.space(), list(curves), made.trial.epochs, made.seed)
    return results_of(made, plan, _events(plan, curves, maker, seconds))


def digits_experiment(
    search_space: Mapping[str, object],
    scheduler: Mapping[str, object],
    trials: int,
    epochs: int,
    seed: int,
) -> Experiment:
    """What a search that is simulated would be launched with."""
    plain = {
        "name": "simulated",
        "seed": seed,
        "trial": {
            "dataset": {"kind": "digits"},
            "model": {"kind": "mlp"},
            "loss": {"kind": "cross_entropy"},
            "optimizer": {"kind": "sgd", "lr": 0.1},
            "epochs": epochs,
        },
        "search_space": search_space,
        "scheduler": scheduler,
        "trials": trials,
    }
    return Experiment.model_validate_json(json.dumps(plain))


def results_of(made: Experiment, plan: Sequence[PlannedTrial], events: Iterable[Event]) -> Results:
    """What a run's tables say after these events."""
    fold = TableFold()
    fold.add(experiment_event(made, list(plan)))
    for one in plan:
        planned = {"event": "plan", "trial_id": one.trial_id, "leaves": leaves(one.trial)}
        fold.add(cast(Event, {**planned, "values": one.values}))
    for event in events:
        fold.add(event)
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


def _events(
    plan: Sequence[PlannedTrial],
    curves: Mapping[str, Array],
    maker: DecisionMaker,
    seconds: Seconds,
) -> Iterator[Event]:
    """Reports, decisions and ends in the order in which the workers would make them."""
    waiting = [one.trial_id for one in plan][::-1]
    released: list[str] = []
    """Those that go on, before a new one starts."""
    reached: dict[str, int] = dict.fromkeys(curves, 0)
    busy: list[tuple[float, str, int]] = []
    """When a worker's epoch ends, its trial, and the number of that epoch."""
    of_id = {one.trial_id: one for one in plan}
    now = 0.0
    while waiting or released or busy:
        while (released or waiting) and len(busy) < WORKERS:
            name = released.pop(0) if released else waiting.pop()
            heapq.heappush(busy, (now + seconds(of_id[name]), name, reached[name] + 1))
        now, name, epoch = heapq.heappop(busy)
        report = _report(of_id[name], epoch, float(curves[name][epoch - 1]), now)
        yield report
        reached[name] = epoch
        decisions = maker.on_report(
            Report(name, epoch, float(epoch), report["score"], report["values"])
        )
        for decision in decisions:
            if decision.action == "stop" or decision.rung is not None:
                yield _decided(name, decision, epoch)
            status = _end(decision, is_last=reached[decision.trial] == len(curves[decision.trial]))
            if status:
                yield _ended(decision.trial, status, now)
            elif decision.action != "wait":
                released.append(decision.trial)


def _ended(name: str, status: Status, now: float) -> Event:
    return {
        "event": "end",
        "trial_id": name,
        "status": status,
        "reason": None,
        "error": None,
        "time": now,
    }


def _end(decision: Decision, is_last: bool) -> Status | None:
    if decision.action == "stop":
        return "diverged" if decision.diverged else "stopped_early"
    return "completed" if is_last else None


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


def _decided(trial: str, decision: Decision, report: int) -> DecisionEvent:
    record = cast(DecisionRecord, dataclasses.asdict(decision))
    return {"event": "decision", "trial_id": trial, "report": report, "decisions": [record]}
