import math
from typing import Any, cast

import pytest

from raytune_pipe.base import Value
from raytune_pipe.distributions import Choice, LogUniform
from raytune_pipe.results.events import Event, ReportEvent, Status
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
    )
)
SGD: dict[str, Value] = {"optimizer.kind": "sgd", "optimizer.lr": 0.01, "optimizer.momentum": 0.5}
ADAMW: dict[str, Value] = {
    "optimizer.kind": "adamw",
    "optimizer.lr": 0.1,
    "optimizer.momentum": None,
}

COPIED = {**ADAMW, "optimizer.lr": 0.125}


def report(trial_id: str, number: int, score: float, values: Any, **changes: Any) -> ReportEvent:
    event: dict[str, Any] = {
        "event": "report",
        "trial_id": trial_id,
        "report": number,
        "attempt": 0,
        "segment": 0,
        "epoch": float(number),
        "step": number * 10,
        "time_s": number * 0.5,
        "score": score,
        "metrics": {"val_loss": score, "train_loss": score / 2, "lr": 0.01},
        "values": values,
        "checkpoint": {
            "path": f"checkpoints/{trial_id}/{number}.pt",
            "sha256": f"{number:064x}",
            "bytes": 100,
        },
        "verdict": None,
        "time": 1_700_000_000.25 + number,
    }
    return cast(ReportEvent, {**event, **changes})


def experiment(at: str) -> Event:
    return {
        "event": "experiment",
        "schema_version": 1,
        "package_version": "0.1.0",
        "experiment": {"name": "small", "trial": {"epochs": 3}},
        "space": SPACE.to_mappings(),
        "columns": {
            "optimizer.kind": "string",
            "optimizer.lr": "float64",
            "optimizer.momentum": "float64",
            "model.widths": "string",
            "batch_size": "int64",
            "optimizer.nesterov": "bool",
        },
        "objective": {"metric": "val_loss", "mode": "min", "at": at},
        "time": 1_700_000_000.0,
    }


def plan(trial_id: str, values: dict[str, Value]) -> Event:
    leaves: dict[str, Value] = {"model.widths": "[32,16]", "batch_size": 64}
    return {
        "event": "plan",
        "trial_id": trial_id,
        "leaves": {**leaves, "optimizer.nesterov": None, **values},
        "values": values,
    }


def start(trial_id: str, attempt: int = 0, start_from: str | None = None) -> Event:
    return {
        "event": "start",
        "trial_id": trial_id,
        "attempt": attempt,
        "start_from": start_from,
        "time": 1_700_000_000.5 + attempt,
    }


def end(trial_id: str, status: Status, reason: str) -> Event:
    return {
        "event": "end",
        "trial_id": trial_id,
        "status": status,
        "reason": reason,
        "error": None,
        "time": 1_700_000_010.0,
    }


def decision(trial_id: str, report: int, *decisions: dict[str, Any]) -> Event:
    """Decisions at the first rung; what a decision does not say is null."""
    unsaid = dict.fromkeys(
        ("bracket", "cutoff", "donor", "donor_report", "checkpoint", "values"), None
    )
    records: list[Any] = [
        {"diverged": False, "rung": 1.0, **unsaid, "changes": (), **said} for said in decisions
    ]
    return {"event": "decision", "trial_id": trial_id, "report": report, "decisions": records}


EXPLOIT = {
    "trial": "00000",
    "action": "exploit",
    "cutoff": 1.5,
    "donor": "00001",
    "donor_report": 1,
    "checkpoint": {"path": "checkpoints/00001/1.pt", "sha256": "ab"},
    "values": COPIED,
    "changes": (
        ("optimizer.kind", "copy", "sgd", "adamw"),
        ("optimizer.lr", "perturb", 0.01, 0.125),
        ("optimizer.momentum", "copy", 0.5, None),
    ),
}


def small_run(at: str = "last") -> list[Event]:
    """A population of four: one exploits, one diverges, one is restarted, one never starts."""
    return [
        experiment(at),
        *(plan(f"{number:05}", values) for number, values in enumerate([SGD, ADAMW, SGD, ADAMW])),
        *(start(f"{number:05}") for number in range(3)),
        report("00000", 1, 2.0, SGD, metrics={"val_loss": 2.0, "my_f1": 0.25}),
        report("00001", 1, 1.0, ADAMW),
        decision(
            "00001",
            1,
            {"trial": "00001", "action": "go_on"},
            {"trial": "00002", "action": "wait"},
            EXPLOIT,
        ),
        report("00002", 1, math.nan, SGD, metrics={"val_loss": math.inf}, checkpoint=None),
        decision("00002", 1, {"trial": "00002", "action": "stop", "diverged": True}),
        end("00002", "diverged", "not_a_number"),
        report("00000", 2, 0.75, COPIED, segment=1),
        report("00001", 2, 0.25, ADAMW),
        report("00001", 3, 0.5, ADAMW),
        start("00001", attempt=1, start_from="checkpoints/00001/1.pt"),
        report("00001", 2, 0.375, ADAMW, attempt=1),
        end("00001", "completed", "budget"),
    ]


@pytest.fixture(name="small_run")
def small_run_fixture() -> list[Event]:
    return small_run()


@pytest.fixture
def small_run_at_best() -> list[Event]:
    return small_run(at="best")
