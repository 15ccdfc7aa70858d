"""The events of a small run, as its live display hears them."""

from collections.abc import Iterable
from typing import Any, cast

from raytune_pipe.cli.live_state import LiveState
from raytune_pipe.results.events import Event


def experiment(at: str = "last", epochs: int = 10) -> Event:
    event: dict[str, Any] = {
        "event": "experiment",
        "experiment": {"name": "small", "trial": {"epochs": epochs}},
        "objective": {"metric": "val_accuracy", "mode": "max", "at": at},
        "time": 90.0,
    }
    return cast(Event, event)


def plan(trial_id: str, epochs: int = 10) -> Event:
    return {"event": "plan", "trial_id": trial_id, "leaves": {"epochs": epochs}, "values": {}}


def start(trial_id: str, time: float) -> Event:
    return {"event": "start", "trial_id": trial_id, "attempt": 0, "start_from": None, "time": time}


def report(trial_id: str, number: int, accuracy: float, time: float, lr: float = 0.1) -> Event:
    event: dict[str, Any] = {
        "event": "report",
        "trial_id": trial_id,
        "report": number,
        "epoch": float(number),
        "score": -accuracy,
        "metrics": {"val_accuracy": accuracy},
        "values": {"optimizer.lr": lr, "optimizer.momentum": None},
        "time": time,
    }
    return cast(Event, event)


def end(trial_id: str, status: Any, time: float, reason: str = "budget") -> Event:
    return {
        "event": "end",
        "trial_id": trial_id,
        "status": status,
        "reason": reason,
        "error": None,
        "time": time,
    }


COPY: Event = {
    "event": "decision",
    "trial_id": "00001",
    "report": 2,
    "decisions": [
        {
            "trial": "00001",
            "action": "exploit",
            "diverged": False,
            "rung": 2.0,
            "bracket": None,
            "cutoff": None,
            "donor": "00000",
            "donor_report": 2,
            "checkpoint": None,
            "values": {"optimizer.lr": 0.25},
            "changes": [["optimizer.lr", "perturb", 0.5, 0.25]],
        }
    ],
}
RUN = [
    experiment(),
    plan("00000"),
    plan("00001"),
    plan("00002"),
    start("00000", 100.0),
    start("00001", 101.0),
    report("00000", 1, 0.9, 102.0, lr=0.3),
    report("00001", 1, 0.8, 104.0),
    report("00000", 2, 0.7, 106.0),
    COPY,
    end("00001", "failed", 108.0, "RuntimeError: no"),
]


def warning(trial_id: str) -> Event:
    return {
        "event": "warning",
        "trial_id": trial_id,
        "kind": "loss_terms_apart",
        "what": "a and b are apart",
        "time": 103.0,
    }


RESUMED: list[Event] = [
    *RUN,
    {"event": "finish", "state": "interrupted", "exit_code": 130, "error": "SIGINT", "time": 109.0},
    {"event": "resume", "package_version": "0.1.0", "time": 1000.0},
]


def state_after(events: Iterable[Event]) -> LiveState:
    state = LiveState()
    for event in events:
        state.apply(event)
    return state
