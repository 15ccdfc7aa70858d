"""Simulated time: who trains when, and that it decides as a real run does."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from raytune_pipe.experiment import Experiment
from raytune_pipe.results.journal import JOURNAL, read_events
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.scheduling.decisions import Decision
from raytune_pipe.scheduling.run_to_end import RunToEnd
from raytune_pipe.search_space import Values
from raytune_pipe.tuning.assignment import Answer
from raytune_pipe.tuning.runner import prepare

from benchmarks.scale_clock import Reported, Simulation
from benchmarks.scale_halving import SynchronousHalving
from benchmarks.simulated_run import Worker, experiment_of, run_to_end

EPOCHS = 9
SCHEDULERS: Mapping[str, dict[str, Any]] = {
    "fifo": {"kind": "fifo"},
    "asha": {"kind": "asha", "grace_epochs": 1, "reduction_factor": 2},
    "pbt": {"kind": "pbt", "interval_epochs": 2, "quantile": 0.25},
    "asynchronous pbt": {"kind": "pbt", "interval_epochs": 2, "synchronous": False},
}


def loss_and_seconds(values: Values, epoch: int) -> tuple[float, float]:
    """Rates differ in what they come to, in pace, and two of them cross; a high one diverges."""
    rate = float(values["optimizer.lr"] or 0)
    loss = float("nan") if rate > 0.7 and epoch > 2 else (abs(rate - 0.05) + 0.3) / epoch**rate
    return loss, 1 + 7 * rate


class TableWorker(Worker):
    """Trains as the simulation has it."""

    def answer(self) -> Answer:
        """Look an epoch up."""
        answer = super().answer()
        loss, _ = loss_and_seconds(answer.values_in_force or {}, len(self.way))
        return dataclasses.replace(answer, metrics={"val_loss": loss, "epoch_s": 1.0})


def experiment(scheduler: str) -> Experiment:
    return experiment_of(SCHEDULERS[scheduler], trials=8, epochs=EPOCHS)


def simulated(made: Experiment, workers: int) -> Simulation:
    plan = [(one.trial_id, one.values) for one in made.plan()]
    names = [name for name, _ in plan]
    return Simulation(
        made.scheduler.build(made.space(), names, EPOCHS, made.seed),
        plan,
        loss_and_seconds,
        epochs=EPOCHS,
        workers=workers,
        milestones=made.scheduler.milestones(EPOCHS),
    )


def fixed(seconds: Mapping[str, float], workers: int, **more: Any) -> Simulation:
    """Trials of two epochs that take so long each, none of which is stopped."""
    plan = [(name, {"s": each}) for name, each in seconds.items()]

    def train(values: Values, epoch: int) -> tuple[float, float]:
        return 1.0 / epoch, float(values["s"] or 0)

    return Simulation(RunToEnd(), plan, train, epochs=2, workers=workers, **more)


def times(simulation: Simulation) -> list[tuple[float, str, int]]:
    return [(one.time_s, one.report.trial, one.report.number) for one in simulation]


def test_two_workers_by_hand() -> None:
    simulation = fixed({"a": 1.0, "b": 3.0, "c": 1.5}, workers=2)
    assert times(simulation) == [
        (1.0, "a", 1),
        (2.0, "a", 2),  # its worker takes c up
        (3.0, "b", 1),
        (3.5, "c", 1),
        (5.0, "c", 2),
        (6.0, "b", 2),
    ]
    assert (simulation.now_s, simulation.busy_s, simulation.started) == (6.0, 11.0, 3)


def test_a_driver_answers_one_report_after_the_other() -> None:
    assert times(fixed({"a": 1.0, "b": 1.0}, workers=2, driver_s=0.5)) == [
        (1.5, "a", 1),
        (2.0, "b", 1),  # done at 1.0 as well, but the driver was busy
        (3.0, "a", 2),
        (3.5, "b", 2),
    ]


def test_a_copy_goes_on_from_its_donors_epoch_behind_the_others() -> None:
    """Four members that two workers train; at the barrier of epoch 2 the worst copies the best."""
    made = experiment_of({"kind": "pbt", "interval_epochs": 2}, trials=4, epochs=3)
    losses = {"00000": 3.0, "00001": 1.0, "00002": 2.0, "00003": 4.0}
    plan = [(name, {"optimizer.lr": 0.01 * loss}) for name, loss in losses.items()]
    simulation = Simulation(
        made.scheduler.build(made.space(), list(losses), 3, 0),
        plan,
        lambda values, _epoch: (float(values["optimizer.lr"] or 0), 1.0),
        epochs=3,
        workers=2,
        milestones=(2,),
    )
    seen = list(simulation)
    order = [(one.time_s, one.report.trial, one.report.epoch) for one in seen]
    assert order[:8] == [
        *((1.0, "00000", 1), (1.0, "00001", 1), (2.0, "00000", 2), (2.0, "00001", 2)),
        *((3.0, "00002", 1), (3.0, "00003", 1), (4.0, "00002", 2), (4.0, "00003", 2)),
    ]
    barrier = {one.trial: one for one in seen[7].decisions}
    assert barrier["00003"].action == "exploit"
    assert barrier["00003"].donor == "00001"
    assert [one.action for one in barrier.values()].count("go_on") == 3
    assert order[8:] == [(5.0, "00000", 3), (5.0, "00001", 3), (6.0, "00002", 3), (6.0, "00003", 3)]
    assert seen[-1].report.number == 3
    assert seen[-1].report.values == barrier["00003"].values


@pytest.mark.parametrize("workers", [1, 3, 100])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_never_more_train_than_there_are_workers(scheduler: str, workers: int) -> None:
    seen = list(simulated(experiment(scheduler), workers))
    assert max(one.training for one in seen) == min(workers, 8)
    assert [one.time_s for one in seen] == sorted(one.time_s for one in seen)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_one_worker_goes_in_the_order_of_a_real_run(scheduler: str, tmp_path: Path) -> None:
    made = experiment(scheduler)
    with RunDirectory.claim(tmp_path, made.name) as run:
        run_to_end(prepare(made, made.plan(), run, lambda _event: None), TableWorker)
    found = [
        (one["trial_id"], one["report"], one["epoch"], repr(one["score"]), one["values"])
        for one in read_events(tmp_path / made.name / JOURNAL)
        if one["event"] == "report"
    ]
    reports = [one.report for one in simulated(made, workers=1)]
    assert found == [(r.trial, r.number, r.epoch, repr(r.score), dict(r.values)) for r in reports]


@pytest.mark.parametrize("workers", [1, 3, 100])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_recorder_decides_the_same(scheduler: str, workers: int, tmp_path: Path) -> None:
    made = experiment(scheduler)
    seen = list(simulated(made, workers))
    with RunDirectory.claim(tmp_path, made.name) as run:
        recorder = prepare(made, made.plan(), run, lambda _event: None)
        for name in recorder.trials:
            recorder.on_start(name)
        for one in seen:
            decisions = recorder.on_answer(one.report.trial, answer_of(one))
            assert list(map(repr, decisions)) == list(map(repr, one.decisions))
        assert recorder.is_finished
    actions = {decision.action for one in seen for decision in one.decisions}
    expected = {"fifo": "stop", "asha": "stop"}.get(scheduler, "exploit")
    assert expected in actions


def answer_of(one: Reported) -> Answer:
    report, saved = one.report, one.report.checkpoint
    return Answer(
        number=report.number,
        epoch=report.epoch,
        step=int(report.epoch),
        metrics={"val_loss": report.score},
        values_in_force=dict(report.values),
        checkpoint={"path": saved.path, "sha256": saved.sha256, "bytes": 1} if saved else None,
    )


def halved(losses: list[float], workers: int) -> list[Decision]:
    """Decisions of synchronous halving over 9 trials of 9 epochs, whose losses stay as they are."""
    plan = [(f"{number:05d}", {"loss": loss}) for number, loss in enumerate(losses)]
    simulation = Simulation(
        SynchronousHalving(size=9, epochs=9),
        plan,
        lambda values, _epoch: (float(values["loss"] or 0), 1.0),
        epochs=9,
        workers=workers,
        released_first=True,
    )
    return [decision for one in simulation for decision in one.decisions]


@pytest.mark.parametrize("workers", [1, 4, 20])
def test_synchronous_halving_keeps_a_third_at_every_rung(workers: int) -> None:
    decisions = halved([5.0, 1.0, 9.0, 2.0, 8.0, 3.0, 7.0, 4.0, 6.0], workers)
    went_on = [(d.rung, d.trial) for d in decisions if d.action == "go_on"]
    assert went_on == [(1, "00001"), (1, "00003"), (1, "00005"), (3, "00001")]


def test_synchronous_halving_does_not_wait_for_what_has_diverged() -> None:
    nan = float("nan")
    decisions = halved([nan, 1.0, nan, 2.0, nan, nan, nan, nan, nan], 2)
    assert [d.trial for d in decisions if d.action == "go_on"] == ["00001", "00003", "00001"]
    assert [d.trial for d in decisions if d.diverged] == [
        *("00000", "00002", "00004", "00005", "00006", "00007", "00008")
    ]
