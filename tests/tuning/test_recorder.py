"""The recorder without Ray: what is on disk, in which order, and what it tells the adapter."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from raytune_pipe.base import ResultsError
from raytune_pipe.experiment import Experiment
from raytune_pipe.results.events import Event
from raytune_pipe.results.journal import read_events
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.tuning.assignment import Answer, Failure
from raytune_pipe.tuning.recorder import RETRIES_WITHOUT_FAULT, Recorder
from raytune_pipe.tuning.runner import prepare

BASE: dict[str, Any] = {
    "name": "run",
    "trial": {
        "dataset": {"kind": "digits"},
        "model": {"kind": "mlp"},
        "loss": {"kind": "cross_entropy"},
        "optimizer": {"kind": "sgd", "lr": 0.1},
        "epochs": 4,
    },
    "search_space": {"optimizer.lr": {"kind": "log_uniform", "low": 1e-3, "high": 1.0}},
    "trials": 4,
}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunDirectory]:
    with RunDirectory.claim(tmp_path, "run") as run:
        yield run


def recorder_of(run: RunDirectory, **changes: Any) -> Recorder:
    experiment = Experiment.model_validate_json(json.dumps(BASE | changes))
    return prepare(experiment, experiment.plan(), run, lambda _event: None)


def answer(recorder: Recorder, trial_id: str, epoch: int, loss: float, **changes: Any) -> Answer:
    state = recorder.trials[trial_id]
    path = f"checkpoints/{trial_id}/{state.reports + 1}.pt"
    fields: dict[str, Any] = {
        "number": state.reports + 1,
        "epoch": float(epoch),
        "step": epoch * 10,
        "metrics": {"val_loss": loss, "epoch_s": 0.5},
        "values_in_force": {"optimizer.lr": state.values.get("optimizer.lr", 0.1)},
        "checkpoint": {"path": path, "sha256": "0" * 64, "bytes": 1},
        "verdict": "not_a_number" if math.isnan(loss) else None,
    }
    return Answer(**fields | changes)


def events_of(run: RunDirectory) -> list[Event]:
    return list(read_events(run.path / "journal.jsonl"))


def test_the_plan_is_on_disk_before_a_trial_starts(run: RunDirectory) -> None:
    recorder = recorder_of(run)
    recorder.on_start("00000")
    kinds = [event["event"] for event in events_of(run)]
    assert kinds == ["experiment", "file", "plan", "plan", "plan", "plan", "start"]


def test_a_trial_completes_at_its_budget(run: RunDirectory) -> None:
    recorder = recorder_of(run)
    recorder.on_start("00000")
    for epoch in (1, 2, 3):
        assert recorder.on_answer("00000", answer(recorder, "00000", epoch, 0.5)) == []
    (decision,) = recorder.on_answer("00000", answer(recorder, "00000", 4, 0.5))
    assert (decision.trial, decision.action) == ("00000", "stop")
    *_, report, end = events_of(run)
    assert (report["event"], end["event"]) == ("report", "end")
    assert end["event"] == "end"
    assert (end["status"], end["reason"]) == ("completed", "budget")


def test_training_time_adds_up_over_the_trial_itself(run: RunDirectory) -> None:
    recorder = recorder_of(run)
    recorder.on_start("00000")
    for epoch in (1, 2):
        recorder.on_answer("00000", answer(recorder, "00000", epoch, 0.5))
    times = [event["time_s"] for event in events_of(run) if event["event"] == "report"]
    assert times == [0.5, 1.0]


def test_a_stop_is_on_disk_before_it_is_returned(run: RunDirectory) -> None:
    scheduler = {"kind": "asha", "grace_epochs": 1, "reduction_factor": 2}
    recorder = recorder_of(run, scheduler=scheduler)
    recorder.on_answer("00000", answer(recorder, "00000", 1, 0.5))
    (decision,) = recorder.on_answer("00001", answer(recorder, "00001", 1, 0.9))
    assert (decision.action, decision.rung, decision.cutoff) == ("stop", 1, 0.5)
    *_, report, decided, end = events_of(run)
    assert [report["event"], decided["event"], end["event"]] == ["report", "decision", "end"]
    assert end["event"] == "end"
    assert end["status"] == "stopped_early"


def test_an_exploit_changes_the_assignment(run: RunDirectory) -> None:
    recorder = recorder_of(run, scheduler={"kind": "pbt", "interval_epochs": 2, "quantile": 0.25})
    decisions = []
    for trial_id, loss in zip(recorder.trials, (0.1, 0.2, 0.3, math.nan), strict=True):
        recorder.on_start(trial_id)
        decisions = recorder.on_answer(trial_id, answer(recorder, trial_id, 2, loss))
    (exploit,) = [decision for decision in decisions if decision.action == "exploit"]
    assert (exploit.trial, exploit.donor) == ("00003", "00000")
    assignment = recorder.assign("00003")
    assert assignment.start_from is not None
    assert assignment.start_from.path == "checkpoints/00000/1.pt"
    assert exploit.values is not None
    assert assignment.trial["optimizer"]["lr"] == exploit.values["optimizer.lr"]
    own_seeds = {recorder.assign(trial_id).trial["seed"] for trial_id in recorder.trials}
    assert len(own_seeds) == 4


def test_a_value_that_is_not_in_force_ends_the_trial(run: RunDirectory) -> None:
    recorder = recorder_of(run)
    recorder.on_start("00000")
    wrong = {"optimizer.lr": 0.123}
    (decision,) = recorder.on_answer(
        "00000", answer(recorder, "00000", 1, 0.5, values_in_force=wrong)
    )
    assert decision.action == "stop"
    *_, anomaly, end = events_of(run)
    assert anomaly["event"] == "anomaly"
    assert "optimizer.lr: must be" in anomaly["what"]
    assert end["event"] == "end"
    assert end["status"] == "failed"


def test_a_failure_releases_the_barrier_that_waits_for_it(run: RunDirectory) -> None:
    recorder = recorder_of(run, scheduler={"kind": "pbt", "interval_epochs": 2})
    for trial_id in ("00000", "00001", "00002"):
        (wait,) = recorder.on_answer(trial_id, answer(recorder, trial_id, 2, 0.5))
        assert wait.action == "wait"
    decisions = recorder.on_failure("00003", Failure("exception", "it raised", "Traceback"))
    assert {decision.trial for decision in decisions} == set(recorder.trials)
    assert recorder.trials["00003"].status == "failed"
    assert recorder.on_failure("00003", Failure("exception", "again", "")) == []


def test_an_objective_that_is_not_reported_is_told(run: RunDirectory) -> None:
    trial = BASE["trial"] | {"dataset": {"kind": "imported", "target": "poison:data"}}
    recorder = recorder_of(run, trial=trial, objective={"metric": "val_los", "mode": "min"})
    recorder.on_answer("00000", answer(recorder, "00000", 1, 0.5))
    *_, end = events_of(run)
    assert end["event"] == "end"
    assert end["reason"] == (
        "objective.metric: must be a metric that the trial reports (epoch_s, val_loss), "
        "but got val_los"
    )


def retries_of(run: RunDirectory) -> list[tuple[int, str]]:
    events = [event for event in events_of(run) if event["event"] == "retry"]
    return [(event["attempt"], event["kind"]) for event in events]


def test_a_trial_starts_again_as_often_as_its_failure_allows(run: RunDirectory) -> None:
    recorder = recorder_of(run, retries={"worker_died": 2, "exception": 1})
    died, raised = Failure("worker_died", "it died", ""), Failure("exception", "it raised", "Trace")
    for failure in (died, raised, died):
        recorder.on_start("00000")
        assert recorder.on_failure("00000", failure) == []
        assert recorder.trials["00000"].start_due
    recorder.on_start("00000")
    (stop,) = recorder.on_failure("00000", raised)
    assert stop.action == "stop"
    assert retries_of(run) == [(0, "worker_died"), (1, "exception"), (2, "worker_died")]
    starts = [event["attempt"] for event in events_of(run) if event["event"] == "start"]
    assert starts == [0, 1, 2, 3]
    *_, end = events_of(run)
    assert end["event"] == "end"
    assert (end["status"], end["reason"], end["error"]) == ("failed", "it raised", "Trace")


def test_what_is_no_fault_of_the_trials_is_not_counted(run: RunDirectory) -> None:
    recorder = recorder_of(run, retries={"worker_died": 0})
    recorder.on_start("00000")
    for _ in range(RETRIES_WITHOUT_FAULT):
        assert recorder.on_failure("00000", Failure("node_lost", "the node was lost", "")) == []
    recorder.on_failure("00000", Failure("node_lost", "the node was lost", ""))
    assert recorder.trials["00000"].status == "failed"


@pytest.mark.parametrize(
    ("kind", "status"), [("out_of_memory", "out_of_memory"), ("timed_out", "timed_out")]
)
def test_a_failure_has_a_status_of_its_own(run: RunDirectory, kind: Any, status: str) -> None:
    recorder = recorder_of(run)
    recorder.on_start("00000")
    recorder.on_failure("00000", Failure(kind, "why", ""))
    assert recorder.trials["00000"].status == status


def test_a_trial_starts_again_from_its_last_whole_checkpoint(run: RunDirectory) -> None:
    recorder = recorder_of(run)
    recorder.on_start("00000")
    for epoch in (1, 2):
        recorder.on_answer("00000", answer(recorder, "00000", epoch, 0.5))  # names no real file
    recorder.on_failure("00000", Failure("worker_died", "it died", ""))
    assignment = recorder.assign("00000")
    assert (assignment.start_from, assignment.reports, assignment.attempt) == (None, 0, 1)
    told = [event["what"] for event in events_of(run) if event["event"] == "anomaly"]
    assert told == [
        "checkpoints/00000/2.pt is gone or damaged: starts from checkpoints/00000/1.pt",
        "checkpoints/00000/1.pt is gone or damaged: starts from nothing",
    ]


def test_a_storage_that_fails_ends_the_run_and_not_the_trial(run: RunDirectory) -> None:
    recorder = recorder_of(run)
    recorder.on_start("00000")
    with pytest.raises(ResultsError, match="no space"):
        recorder.on_answer("00000", Answer(failure=Failure("storage", "no space left", "")))
    assert recorder.trials["00000"].status == "running"


def test_a_trial_that_has_ended_is_not_heard_any_more(run: RunDirectory) -> None:
    recorder = recorder_of(run)
    recorder.on_start("00000")
    late = answer(recorder, "00000", 1, 0.5)
    recorder.on_failure("00000", Failure("exception", "it raised", ""))
    before = events_of(run)
    assert recorder.on_answer("00000", late) == []
    assert recorder.on_failure("00000", Failure("worker_died", "it died", "")) == []
    assert events_of(run) == before


def test_a_value_that_does_not_apply_is_null_though_the_trial_has_its_own(
    run: RunDirectory,
) -> None:
    search_space = {
        "optimizer.momentum": {
            "kind": "uniform",
            "low": 0.5,
            "high": 0.9,
            "when": {"batch_size": [32]},
        },
        "batch_size": {"kind": "choice", "options": [32, 64]},
    }
    recorder = recorder_of(run, search_space=search_space)
    without = [id_ for id_, state in recorder.trials.items() if state.values["batch_size"] == 64]
    in_force = {"optimizer.momentum": 0.9, "batch_size": 64}
    for trial_id in without:
        recorder.on_start(trial_id)
        fields = {"values_in_force": in_force}
        recorder.on_answer(trial_id, answer(recorder, trial_id, 1, 0.5, **fields))
        assert recorder.assign(trial_id).trial["optimizer"]["momentum"] == 0.9
    run.publish()
    for name in ("trials", "reports"):
        rows = pq.read_table(run.path / f"{name}.parquet").to_pylist()
        assert len(rows) == len(without) > 0
        assert {row["optimizer.momentum"] for row in rows} == {None}
        assert {row["batch_size"] for row in rows} == {64}


def test_a_warning_is_told_once_for_each_trial(run: RunDirectory) -> None:
    recorder = recorder_of(run)
    warned: dict[str, Any] = {"warnings": {"loss_terms_apart": "a and b are"}}
    for trial_id in ("00000", "00001"):
        recorder.on_start(trial_id)
        for epoch in (1, 2):
            recorder.on_answer(trial_id, answer(recorder, trial_id, epoch, 0.5, **warned))
    told = [event for event in events_of(run) if event["event"] == "warning"]
    assert [(event["trial_id"], event["what"]) for event in told] == [
        ("00000", "a and b are"),
        ("00001", "a and b are"),
    ]
    run.publish()
    table = pq.read_table(run.path / "trials.parquet")
    assert table.column("warnings").to_pylist() == ["loss_terms_apart: a and b are"] * 2


def test_a_warning_that_the_file_ignores_is_not_told(run: RunDirectory) -> None:
    recorder = recorder_of(run, ignore=["loss_terms_apart"])
    recorder.on_start("00000")
    warned: dict[str, Any] = {"warnings": {"loss_terms_apart": "a and b are"}}
    recorder.on_answer("00000", answer(recorder, "00000", 1, 0.5, **warned))
    assert not [event for event in events_of(run) if event["event"] == "warning"]
