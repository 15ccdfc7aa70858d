"""A run cut off after every event, gone on with: it must come to where the whole run came."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow.parquet as pq
import pytest

from raytune_pipe.base import ResultsError
from raytune_pipe.results.events import Event
from raytune_pipe.results.journal import JOURNAL, Journal, read_events
from raytune_pipe.results.reading import read_results
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.results.status import STATUS
from raytune_pipe.tuning.assignment import Answer, Failure
from raytune_pipe.tuning.recorder import Recorder
from raytune_pipe.tuning.resuming import recorder_of
from raytune_pipe.tuning.runner import prepare, resume

from benchmarks import simulated_run

SCHEDULERS: dict[str, dict[str, Any]] = {
    "fifo": {"kind": "fifo"},
    "asha": {"kind": "asha", "grace_epochs": 1, "reduction_factor": 2},
    "asha with controls": {"kind": "asha", "reduction_factor": 2, "control_fraction": 0.5},
    "pbt": {"kind": "pbt", "interval_epochs": 2, "quantile": 0.25},
    "asynchronous pbt": {"kind": "pbt", "interval_epochs": 2, "synchronous": False},
    "asha, drawn from results": {"kind": "asha", "grace_epochs": 1, "reduction_factor": 2},
}
SEARCHERS = {"asha, drawn from results": {"kind": "tpe", "startup": 2}}
"""By scheduler; all others draw at random."""


experiment_of = partial(simulated_run.experiment_of, trials=5, epochs=6)


class Worker(simulated_run.Worker):
    """Fails where the rate is too high; one more dies, so that its trial starts again."""

    def answer(self) -> Answer:
        assignment = self.assignment
        if assignment.trial["optimizer"]["lr"] > 0.9 and len(self.way) == 2:
            return Answer(failure=Failure("exception", "too fast", "Traceback"))
        if (assignment.trial_id, assignment.attempt, len(self.way)) == ("00002", 0, 3):
            return Answer(failure=Failure("worker_died", "the worker process died", "Traceback"))
        answer = super().answer()
        is_warned = assignment.trial_id in ("00001", "00002") and len(self.way) == 1
        return replace(answer, warnings={"loss_terms_apart": "they are"} if is_warned else {})


def run_to_end(recorder: Recorder) -> None:
    """Two workers, as the adapter keeps them; a trial on hold gives its worker away."""
    queue = [name for name, one in recorder.trials.items() if not one.has_ended]
    queue = [name for name in queue if not recorder.trials[name].waiting]
    workers: dict[str, Worker] = {}
    while True:
        while len(workers) < 2 and (name := queue.pop(0) if queue else recorder.plan_next()):
            recorder.on_start(name)
            workers[name] = Worker(recorder.assign(name))
        if not workers:
            break
        name = next(iter(workers))
        worker = workers.pop(name)
        decisions = recorder.on_answer(name, worker.answer())
        own = [decision.action for decision in decisions if decision.trial == name]
        if not own or own == ["go_on"]:
            workers[name] = worker
        if recorder.trials[name].start_due:
            queue.append(workers.pop(name).assignment.trial_id)
        if own == ["exploit"]:
            queue.append(name)
        queue += [
            decision.trial
            for decision in decisions
            if decision.trial != name and decision.action in ("go_on", "exploit")
        ]
    assert recorder.is_finished


def facts(events: Iterator[Event]) -> dict[Any, Any]:
    """What a run came to, whatever the order: reports, decisions and ends by what they are of."""
    found: dict[Any, Any] = {}
    for event in events:
        if event["event"] == "report":
            what = (event["epoch"], event["segment"], event["score"], event["values"])
            found["report", event["trial_id"], event["report"]] = what
        elif event["event"] == "warning":
            assert ("warning", event["trial_id"]) not in found
            found["warning", event["trial_id"]] = event["kind"]
        elif event["event"] == "end":
            assert ("end", event["trial_id"]) not in found
            found["end", event["trial_id"]] = (event["status"], event["reason"])
        elif event["event"] == "decision":
            for decision in event["decisions"]:
                if decision["action"] != "wait":
                    weights = decision["checkpoint"] and decision["checkpoint"]["sha256"]
                    told = {**decision, "checkpoint": weights}  # their path tells the attempt
                    found.setdefault(("decisions", decision["trial"]), []).append(told)
    return found


def cut_after(whole: Path, lines: int, target: Path) -> Path:
    """A copy of a run whose journal ends after so many events, in the middle of the next."""
    shutil.copytree(whole, target)
    (target / STATUS).unlink()  # no crash leaves a status that is ahead of its journal
    journal = target / JOURNAL
    kept = journal.read_bytes().splitlines(keepends=True)
    torn = kept[lines][: len(kept[lines]) // 2] if lines < len(kept) else b""
    journal.write_bytes(b"".join(kept[:lines]) + torn)
    return target


def whole_run(tmp_path: Path, scheduler: str) -> Path:
    """A run that nothing interrupts, with every file there was at any time: it will be cut."""
    searcher = SEARCHERS.get(scheduler, {"kind": "random"})
    experiment = experiment_of(SCHEDULERS[scheduler], searcher=searcher)
    with (
        patch.object(RunDirectory, "collect_garbage"),
        RunDirectory.claim(tmp_path, "run") as run,
    ):
        recorder = prepare(experiment, experiment.plan(), run, lambda _event: None)
        run_to_end(recorder)
    return tmp_path / "run"


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_run_cut_off_after_any_event_loses_and_doubles_nothing(
    scheduler: str, tmp_path: Path
) -> None:
    whole = whole_run(tmp_path, scheduler)
    events = list(read_events(whole / JOURNAL))
    expected = facts(iter(events))
    for lines in range(1, len(events) + 1):
        path = cut_after(whole, lines, tmp_path / f"cut-{lines}")
        with RunDirectory.reopen(path) as run:
            recorder = recorder_of(run, lambda _event: None)
            run_to_end(recorder)
        found = list(read_events(path / JOURNAL))
        assert [event for event in found if event["event"] == "anomaly"] == []
        assert found[:lines] == events[:lines]
        reached = facts(iter(found))
        if scheduler in ("fifo", "pbt"):  # elsewhere the order of arrival decides
            assert reached == expected, lines
        for trial in recorder.trials:
            numbers = [key[2] for key in reached if key[:2] == ("report", trial)]
            assert sorted(numbers) == list(range(1, len(numbers) + 1))


def test_decisions_that_come_out_otherwise_stand_and_are_told(tmp_path: Path) -> None:
    whole = whole_run(tmp_path, "pbt")
    events = list(read_events(whole / JOURNAL))
    (whole / JOURNAL).unlink()
    journal = Journal.create(whole / JOURNAL)
    last = max(n for n, event in enumerate(events) if "exploit" in str(event.get("decisions")))
    for event in events[: last + 1]:
        if event["event"] == "decision":
            for decision in event["decisions"]:
                if decision["action"] == "exploit" and event is events[last]:
                    decision["values"] = {"optimizer.lr": 0.123}
        journal.append(event)
    journal.close()
    with RunDirectory.reopen(whole) as run:
        recorder = recorder_of(run, lambda _event: None)
    assert 0.123 in [one.values["optimizer.lr"] for one in recorder.trials.values()]
    anomalies = [e for e in read_events(whole / JOURNAL) if e["event"] == "anomaly"]
    assert any("come out otherwise" in anomaly["what"] for anomaly in anomalies)


@pytest.mark.parametrize("harm", ["deleted", "changed"])
def test_a_broken_checkpoint_falls_back_to_the_one_before(tmp_path: Path, harm: str) -> None:
    scheduler = {"kind": "asha", "grace_epochs": 2, "reduction_factor": 2}
    experiment = experiment_of(scheduler)
    with RunDirectory.claim(tmp_path, "run") as run:
        recorder = prepare(experiment, experiment.plan(), run, lambda _event: None)
        recorder.on_start("00000")
        worker = Worker(recorder.assign("00000"))
        for _ in range(5):
            recorder.on_answer("00000", worker.answer())
        newest = recorder.trials["00000"].start_from
    assert newest is not None
    assert newest.path == "checkpoints/00000/4.pt"
    file = tmp_path / "run" / newest.path
    file.unlink() if harm == "deleted" else file.write_bytes(b"x")
    with RunDirectory.reopen(tmp_path / "run") as run:
        recorder = recorder_of(run, lambda _event: None)
        assignment = recorder.assign("00000")
        assert assignment.start_from is not None
        assert assignment.start_from.path == "checkpoints/00000/2.pt"
        assert assignment.reports == 2
        run_to_end(recorder)
    reports = [e for e in read_events(tmp_path / "run" / JOURNAL) if e["event"] == "report"]
    again = [(e["report"], e["attempt"]) for e in reports if e["trial_id"] == "00000"]
    assert again == [(1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (3, 1), (4, 1), (5, 1), (6, 1)]


def test_what_a_kill_left_behind_is_cleared_away(tmp_path: Path) -> None:
    run = cut_after(whole_run(tmp_path, "pbt"), 20, tmp_path / "cut")
    left = [".trials.parquet.12.tmp", "checkpoints/00001/.2.pt.12", "checkpoints/00001/77.pt"]
    for name in [*left, ".stop"]:
        (run / name).touch()
    with RunDirectory.reopen(run) as reopened:
        recorder = recorder_of(reopened, lambda _event: None)
        assert not any((run / name).exists() for name in left)
        assert (run / ".stop").exists()  # a request, not a leftover
        run_to_end(recorder)
    assert not [each for each in read_events(run / JOURNAL) if each["event"] == "anomaly"]


def test_a_folder_that_holds_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="must be the folder of a run"):
        RunDirectory.reopen(tmp_path)


def test_a_journal_without_an_experiment_is_told(tmp_path: Path) -> None:
    RunDirectory.claim(tmp_path, "run").close()
    with (
        RunDirectory.reopen(tmp_path / "run") as run,
        pytest.raises(ResultsError, match="ended before anything was planned"),
    ):
        recorder_of(run, lambda _event: None)


def test_a_run_killed_before_its_last_tables_is_published(tmp_path: Path) -> None:
    experiment = experiment_of(SCHEDULERS["fifo"])
    with RunDirectory.claim(tmp_path, "run") as run:
        recorder = prepare(experiment, experiment.plan(), run, lambda _event: None)
        recorder.publish()
        run_to_end(recorder)
        finish: Event = {
            "event": "finish",
            "state": "finished",
            "exit_code": 0,
            "error": None,
            "time": 0.5,
        }
        recorder.write(finish)
    outcome = resume(tmp_path / "run")
    assert (outcome.state, outcome.exit_code) == ("finished", 0)
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["state"] == "finished"
    table = pq.read_table(tmp_path / "run" / "reports.parquet")
    assert table.num_rows == len(read_results(tmp_path / "run").reports) > 0
    before = (tmp_path / "run" / JOURNAL).read_bytes()
    assert resume(tmp_path / "run") == outcome
    assert (tmp_path / "run" / JOURNAL).read_bytes() == before


def test_a_request_to_stop_that_comes_when_all_has_ended_is_not_left_behind(tmp_path: Path) -> None:
    run = whole_run(tmp_path, "fifo")

    def ask(event: Event) -> None:
        if event["event"] == "resume":
            (run / ".stop").touch()

    outcome = resume(run, listener=ask)
    assert outcome.state == "finished"
    assert not (run / ".stop").exists()
