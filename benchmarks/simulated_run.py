"""A run without Ray and without training: the real recorder, journal and resume, invented workers.

A loss follows from the rates along the way of the weights, and a checkpoint holds that way; so
training is the same each time, and going on from a checkpoint is going on from those weights.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raytune_pipe.experiment import Experiment
from raytune_pipe.results.events import CheckpointReference, Event
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.tuning.assignment import Answer, Assignment
from raytune_pipe.tuning.recorder import Recorder
from raytune_pipe.tuning.resuming import recorder_of
from raytune_pipe.tuning.runner import prepare

Listener = Callable[[Event], None]


def experiment_of(
    scheduler: dict[str, Any], *, trials: int, epochs: int, **more: Any
) -> Experiment:
    """An experiment that searches the learning rate; no data is ever read."""
    trial = {
        "dataset": {"kind": "digits"},
        "model": {"kind": "mlp"},
        "loss": {"kind": "cross_entropy"},
        "optimizer": {"kind": "sgd", "lr": 0.1},
        "epochs": epochs,
    }
    # Not in the order of the alphabet: a run gone on with must keep the order it was written in.
    space = {
        "optimizer.momentum": {"kind": "uniform", "low": 0.5, "high": 0.9},
        "optimizer.lr": {"kind": "log_uniform", "low": 1e-3, "high": 1.0},
    }
    plain = {"name": "run", "trial": trial, "search_space": space, "trials": trials}
    return Experiment.model_validate_json(json.dumps({**plain, "scheduler": scheduler, **more}))


class Worker:
    """Trains one assignment, in no time."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.reports = assignment.reports
        self.way: list[float] = []
        """The learning rate of every epoch that the weights have behind them."""
        if assignment.start_from:
            path = Path(assignment.directory) / assignment.start_from.path
            self.way = json.loads(path.read_text())

    def answer(self) -> Answer:
        """Train an epoch."""
        rate = self.assignment.trial["optimizer"]["lr"]
        self.way.append(rate)
        self.reports += 1
        epoch = len(self.way)
        loss = sum(abs(each - 0.05) + 0.01 for each in self.way) / epoch**2
        is_saved = epoch in (*self.assignment.milestones, self.assignment.trial["epochs"])
        return Answer(
            number=self.reports,
            epoch=float(epoch),
            step=epoch,
            metrics={"val_loss": loss, "epoch_s": 1.0},
            values_in_force={"optimizer.lr": rate},
            checkpoint=self.save() if is_saved else None,
        )

    def save(self) -> CheckpointReference:
        """Write a checkpoint as the trainer names it."""
        assignment = self.assignment
        attempt = f"-{assignment.attempt}" if assignment.attempt else ""
        relative = f"checkpoints/{assignment.trial_id}/{self.reports}{attempt}.pt"
        path = Path(assignment.directory) / relative
        path.parent.mkdir(exist_ok=True)
        data = json.dumps(self.way).encode()
        path.write_bytes(data)
        return {"path": relative, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def launch(experiment: Experiment, storage: Path, listener: Listener) -> None:
    """Run to the end, one trial at a time."""
    with RunDirectory.claim(storage, experiment.name) as run:
        run_to_end(prepare(experiment, experiment.plan(), run, listener))


def resume(path: Path, listener: Listener) -> None:
    """Go on with a run to its end, one trial at a time."""
    with RunDirectory.reopen(path) as run:
        run_to_end(recorder_of(run, listener))


def run_to_end(
    recorder: Recorder,
    worker_of: Callable[[Assignment], Worker] = Worker,
    turn: Callable[[], None] = lambda: None,
) -> None:
    """One worker; a trial on hold gives it away, and one released waits for it, as under Ray.

    ``turn`` is called after each answer, as Ray's loop calls the runner.
    """
    trials = recorder.trials
    going = [trial for trial, one in trials.items() if not one.has_ended and not one.waiting]
    queue = sorted(going, key=lambda trial: trials[trial].status is None)
    while (trial := queue.pop(0) if queue else recorder.plan_next()) is not None:
        recorder.on_start(trial)
        worker, own = worker_of(recorder.assign(trial)), ["go_on"]
        while own in ([], ["go_on"]) and not trials[trial].start_due:
            decisions = recorder.on_answer(trial, worker.answer())
            own = [decision.action for decision in decisions if decision.trial == trial]
            released = [each for each in decisions if each.action in ("go_on", "exploit")]
            queue += [each.trial for each in released if each.trial != trial]
            turn()
        if own == ["exploit"] or trials[trial].start_due:
            queue.append(trial)
