"""Trials that a searcher draws from results: journaled before they start, never drawn twice."""

from pathlib import Path
from typing import Any

import pytest

from raytune_pipe.experiment import Experiment
from raytune_pipe.results.events import Event
from raytune_pipe.results.journal import JOURNAL, read_events
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.tuning.extending import extend, is_extension
from raytune_pipe.tuning.planned_trials import PlannedTrials
from raytune_pipe.tuning.resuming import recorder_of
from raytune_pipe.tuning.runner import prepare
from raytune_pipe.tuning.slots import Slots
from raytune_pipe.tuning.trial_request import TrialRequest

from benchmarks.simulated_run import experiment_of, launch, run_to_end

TRIALS = 6
SCHEDULERS: dict[str, dict[str, Any]] = {
    "fifo": {"kind": "fifo"},
    "asha": {"kind": "asha", "grace_epochs": 1, "reduction_factor": 2},
}
TPE = {"kind": "tpe", "startup": 3}
SEARCHERS: dict[str, dict[str, Any]] = {
    "tpe": TPE,
    "points": {"kind": "points", "configurations": [{"optimizer.lr": 0.05}], "then": TPE},
}


def made(scheduler: str = "fifo", searcher: str = "tpe", **more: Any) -> Experiment:
    fields: dict[str, Any] = {"trials": TRIALS, "epochs": 2, "searcher": SEARCHERS[searcher]}
    return experiment_of(SCHEDULERS[scheduler], **{**fields, **more})


def told(path: Path) -> list[Event]:
    return list(read_events(path / JOURNAL))


def plans(events: list[Event]) -> dict[str, Any]:
    """Each trial's values; every trial is planned once."""
    found: dict[str, Any] = {}
    for event in events:
        if event["event"] == "plan":
            assert event["trial_id"] not in found
            found[event["trial_id"]] = event["values"]
    return found


def ends(events: list[Event]) -> dict[str, Any]:
    return {each["trial_id"]: each["status"] for each in events if each["event"] == "end"}


def cut_after(events: list[bytes], lines: int, path: Path) -> None:
    """A run whose journal ends after so many events, in the middle of the next."""
    path.mkdir()
    (path / "checkpoints").mkdir()
    torn = events[lines][:20] if lines < len(events) else b""
    (path / JOURNAL).write_bytes(b"".join(events[:lines]) + torn)


@pytest.mark.parametrize(("scheduler", "searcher"), [("fifo", "tpe"), ("asha", "points")])
def test_a_run_killed_after_any_event_draws_the_same_trials_as_the_whole_one(
    scheduler: str, searcher: str, tmp_path: Path
) -> None:
    launch(made(scheduler, searcher), tmp_path, lambda _event: None)
    whole = told(tmp_path / "run")
    expected = plans(whole)
    assert len(expected) == len(ends(whole)) == TRIALS
    lines = (tmp_path / "run" / JOURNAL).read_bytes().splitlines(keepends=True)
    for number in range(1, len(lines) + 1):
        path = tmp_path / f"cut-{number}"
        cut_after(lines, number, path)
        with RunDirectory.reopen(path) as run:
            recorder = recorder_of(run, lambda _event: None)
            run_to_end(recorder)
            assert recorder.is_finished
        found = told(path)
        assert found[:number] == whole[:number]
        assert plans(found) == expected
        assert ends(found) == ends(whole)
        differences = [e["what"] for e in found if e["event"] == "anomaly"]
        assert [what for what in differences if what.startswith("replay")] == []


def test_a_trial_is_journaled_before_it_starts_and_after_what_it_was_drawn_from(
    tmp_path: Path,
) -> None:
    launch(made(), tmp_path, lambda _event: None)
    kinds = [(each["event"], str(each.get("trial_id"))) for each in told(tmp_path / "run")]
    kinds = [kind for kind in kinds if kind[0] in ("plan", "start", "end")]
    first = [kind for kind, _ in kinds[:3]]
    assert first == ["plan", "plan", "plan"]
    for number in range(3, TRIALS):
        drawn = kinds.index(("plan", f"{number:05d}"))
        assert kinds.index(("end", f"{number - 1:05d}")) < drawn
        assert drawn < kinds.index(("start", f"{number:05d}"))


def test_a_plan_that_was_not_yet_started_is_taken_up_and_not_drawn_again(tmp_path: Path) -> None:
    launch(made(), tmp_path, lambda _event: None)
    lines = (tmp_path / "run" / JOURNAL).read_bytes().splitlines(keepends=True)
    whole = told(tmp_path / "run")
    at = max(number for number, event in enumerate(whole) if event["event"] == "plan")
    cut_after(lines, at + 1, tmp_path / "cut")
    with RunDirectory.reopen(tmp_path / "cut") as run:
        recorder = recorder_of(run, lambda _event: None)
        assert recorder.are_all_planned
        assert not recorder.is_finished
        assert recorder.plan_next() is None
        assert recorder.trials["00005"].status is None


def test_ray_is_handed_a_trial_drawn_anew_only_for_a_free_slot(tmp_path: Path) -> None:
    with RunDirectory.claim(tmp_path, "run") as run:
        recorder = prepare(made(), made().plan(), run, lambda _event: None)
        slots = Slots(1)
        planned = PlannedTrials(recorder, slots, TrialRequest(({"CPU": 1.0},)))
        assert planned.total_samples == TRIALS
        for trial_id in list(recorder.trials):
            recorder.end(trial_id, "failed", "before Ray hears of any")
        assert len(recorder.trials) == 3
        assert not planned.is_finished()
        assert not recorder.is_finished
        for number in range(3, TRIALS):
            assert recorder.plan_next() == f"{number:05d}"
            recorder.end(f"{number:05d}", "failed", "likewise")
        assert recorder.plan_next() is None
        assert planned.is_finished()
        assert recorder.is_finished


def test_more_trials_are_drawn_from_all_results_before_them(tmp_path: Path) -> None:
    launch(made(), tmp_path, lambda _event: None)
    before = plans(told(tmp_path / "run"))
    asked = made(trials=TRIALS + 3)
    assert is_extension(made(), asked)
    with RunDirectory.reopen(tmp_path / "run") as run:
        recorder = recorder_of(run, lambda _event: None)
        extend(recorder, asked)
        run_to_end(recorder)
    found = plans(told(tmp_path / "run"))
    assert len(found) == TRIALS + 3
    assert {name: found[name] for name in before} == before
    assert set(ends(told(tmp_path / "run")).values()) == {"completed"}


def test_columns_hold_components_that_are_drawn_later(tmp_path: Path) -> None:
    optimizers = [{"kind": "sgd"}, {"kind": "adamw"}]
    space = {"optimizer": {"kind": "choice", "options": optimizers}}
    searcher = {"kind": "tpe", "startup": 1}
    few = experiment_of(
        SCHEDULERS["fifo"], trials=3, epochs=1, search_space=space, searcher=searcher
    )
    launch(few, tmp_path, lambda _event: None)
    header = told(tmp_path / "run")[0]
    assert header["event"] == "experiment"
    assert {"optimizer.momentum", "optimizer.beta2"} <= set(header["columns"])
