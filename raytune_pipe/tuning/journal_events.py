"""What the driver tells the journal, event by event, and what it reads back from there."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version

from raytune_pipe.base import Value
from raytune_pipe.components.searchers import draws_from_results
from raytune_pipe.components.stoppers import DIVERGED
from raytune_pipe.experiment import Experiment, Objective, PlannedTrial
from raytune_pipe.results.column_types import column_types
from raytune_pipe.results.events import (
    SCHEMA_VERSION,
    AnomalyEvent,
    DecisionEvent,
    DecisionRecord,
    EndEvent,
    ExperimentEvent,
    FailureKind,
    PlanEvent,
    ReportEvent,
    RetryEvent,
    StartEvent,
    Status,
    WarningEvent,
    WarningKind,
)
from raytune_pipe.scheduling.decisions import Change, Checkpoint, Decision, Report
from raytune_pipe.trial import leaves
from raytune_pipe.tuning.assignment import Answer
from raytune_pipe.tuning.jobs import current_job
from raytune_pipe.tuning.progress import TrialProgress, checkpoint_of
from raytune_pipe.variants import component_trials, to_plain


def experiment_event(experiment: Experiment, plan: Sequence[PlannedTrial]) -> ExperimentEvent:
    """What is run, before its trials are planned; again where it is extended."""
    space = experiment.space()
    event: ExperimentEvent = {
        "event": "experiment",
        "schema_version": SCHEMA_VERSION,
        "package_version": version("raytune-pipe"),
        "experiment": experiment.resolved(),
        "space": space.to_mappings(),
        "columns": column_types(_known_leaves(experiment, plan), space),
        "objective": experiment.objective.model_dump(mode="json"),
        "time": time.time(),
    }
    if job := current_job():
        event["job"] = job
    return event


def _known_leaves(
    experiment: Experiment, plan: Sequence[PlannedTrial]
) -> Iterator[Mapping[str, Value]]:
    """What the columns must hold: of all trials that are planned, and of any drawn later."""
    yield from (one.leaves() for one in plan)
    if draws_from_results(experiment.searcher):
        plain = to_plain(experiment.trial)
        yield from map(leaves, component_trials(plain, experiment.search_space))


def experiment_of(event: ExperimentEvent) -> Experiment:
    """The experiment that a journal tells of, its search space in the order it was written in.

    Trials are drawn, and changes made, in that order.
    """
    return Experiment.model_validate_json(json.dumps(event["experiment"]))


def plan_event(planned: PlannedTrial) -> PlanEvent:
    """A trial as it was drawn."""
    return {
        "event": "plan",
        "trial_id": planned.trial_id,
        "leaves": planned.leaves(),
        "values": dict(planned.values),
    }


def planned_of(event: PlanEvent, experiment: Experiment) -> PlannedTrial:
    """The trial that a journal tells was drawn."""
    trial_id, values = event["trial_id"], event["values"]
    return PlannedTrial(trial_id, values, experiment.trial_with(values, trial_id))


def start_event(trial_id: str, state: TrialProgress) -> StartEvent:
    """A worker has taken a trial up: for the first time, or after another died."""
    return {
        "event": "start",
        "trial_id": trial_id,
        "attempt": state.attempt,
        "start_from": state.start_from.path if state.start_from else None,
        "time": time.time(),
    }


def report_event(
    trial_id: str, state: TrialProgress, answer: Answer, objective: Objective
) -> ReportEvent:
    """An epoch that a worker has answered with; ``state`` is that before it."""
    metrics, in_force = answer.metrics or {}, answer.values_in_force or {}
    score = objective.score(metrics)
    return {
        "event": "report",
        "trial_id": trial_id,
        "report": answer.number,
        "attempt": state.attempt,
        "segment": state.segment,
        "epoch": answer.epoch,
        "step": answer.step,
        "time_s": state.time_s + metrics.get("epoch_s", 0.0),
        "score": float("nan") if answer.verdict in DIVERGED else score,
        "metrics": metrics,
        "values": {
            name: None if value is None else in_force.get(name, value)
            for name, value in state.values.items()
        },
        "checkpoint": answer.checkpoint,
        "verdict": answer.verdict,
        "time": time.time(),
    }


def report_of(event: ReportEvent) -> Report:
    """A report, as the decision maker hears it."""
    return Report(
        trial=event["trial_id"],
        number=event["report"],
        epoch=event["epoch"],
        score=event["score"],
        values=event["values"],
        checkpoint=checkpoint_of(event),
    )


def decision_event(
    trial_id: str, report: int | None, decisions: Sequence[Decision]
) -> DecisionEvent:
    """What was decided on a report of a trial, or, where that is None, on its end."""
    return {
        "event": "decision",
        "trial_id": trial_id,
        "report": report,
        # asdict gives a plain mapping; a record has just these fields
        "decisions": [asdict(decision) for decision in decisions],  # type: ignore[misc]  # see above
    }


def decision_of(record: DecisionRecord) -> Decision:
    """A decision as the journal tells it."""
    checkpoint = record["checkpoint"]
    changes = tuple(Change(*change) for change in record["changes"])
    fields = {**record, "changes": changes, "checkpoint": checkpoint and Checkpoint(**checkpoint)}
    return Decision(**fields)  # type: ignore[arg-type]  # the record has a decision's fields


def retry_event(
    trial_id: str, attempt: int, kind: FailureKind, reason: str, error: str | None
) -> RetryEvent:
    """An attempt of a trial has failed, and another follows."""
    return {
        "event": "retry",
        "trial_id": trial_id,
        "attempt": attempt,
        "kind": kind,
        "reason": reason,
        "error": error,
        "time": time.time(),
    }


def end_event(trial_id: str, status: Status, reason: str, error: str | None) -> EndEvent:
    """A trial has ended."""
    return {
        "event": "end",
        "trial_id": trial_id,
        "status": status,
        "reason": reason,
        "error": error,
        "time": time.time(),
    }


def warning_event(trial_id: str, kind: WarningKind, what: str) -> WarningEvent:
    """A trial trains in a way that it most likely should not."""
    return {
        "event": "warning",
        "trial_id": trial_id,
        "kind": kind,
        "what": what,
        "time": time.time(),
    }


def anomaly_event(what: str, trial_id: str | None) -> AnomalyEvent:
    """Something that must not happen has; ``trial_id`` where it is of one trial."""
    event: AnomalyEvent = {"event": "anomaly", "what": what, "time": time.time()}
    if trial_id is not None:
        event["trial_id"] = trial_id
    return event
