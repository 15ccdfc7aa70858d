"""A kill after each report, and what is decided then: it must be what is decided without one."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from raytune_pipe.results.events import Event
from raytune_pipe.results.journal import JOURNAL, read_events

from benchmarks.decided import decided, differing
from benchmarks.simulated_run import experiment_of, launch, resume

SCHEDULERS: dict[str, dict[str, Any]] = {
    "asha": {"kind": "asha", "grace_epochs": 1, "reduction_factor": 2},
    "asha with brackets": {"kind": "asha", "grace_epochs": 1, "reduction_factor": 2, "brackets": 2},
    "hyperband": {"kind": "hyperband", "reduction_factor": 2},
    "median": {"kind": "median", "grace_epochs": 2, "min_trials": 2},
    "pbt": {"kind": "pbt", "interval_epochs": 2, "quantile": 0.25},
    "pb2": {"kind": "pb2", "interval_epochs": 2, "quantile": 0.25},
    "asynchronous pbt": {"kind": "pbt", "interval_epochs": 2, "synchronous": False},
    "asynchronous pb2": {"kind": "pb2", "interval_epochs": 2, "synchronous": False},
}
LEARNS_IN_TURN = "asynchronous pb2"
"""Members take their turns in another order after a kill, and so each selects from what others have
reported by then. What was decided before stands, as everywhere."""


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_kill_after_any_report_changes_no_decision(scheduler: str, tmp_path: Path) -> None:
    experiment = experiment_of(SCHEDULERS[scheduler], trials=6, epochs=8)
    whole, killed = tmp_path / "run", list[Path]()

    def keep_a_copy(event: Event) -> None:
        """What a kill leaves just after a report is on disk, and before it is decided on."""
        if event["event"] == "report":
            killed.append(tmp_path / f"killed-{len(killed) + 1}" / "run")
            shutil.copytree(whole, killed[-1])

    launch(experiment, tmp_path, keep_a_copy)
    expected = decided(read_events(whole / JOURNAL))
    actions = {action for each in expected.values() for (_, action, *_) in each}
    assert {"'exploit'" if "pb" in scheduler else "'stop'"} < actions
    reports = sum(event["event"] == "report" for event in read_events(whole / JOURNAL))
    assert len(killed) == reports > 15
    for run in killed:
        resume(run, lambda _event: None)
        found = list(read_events(run / JOURNAL))
        if scheduler != LEARNS_IN_TURN:
            assert differing(decided(found), expected) == 0, run.parent.name
        assert not [event for event in found if event["event"] == "anomaly"]


def test_another_decision_counts_as_a_difference(tmp_path: Path) -> None:
    """Two seeds decide otherwise, so a comparison that sees no difference says something."""
    found = []
    for seed in (0, 1):
        experiment = experiment_of(SCHEDULERS["pbt"], trials=6, epochs=8, seed=seed)
        launch(experiment, tmp_path / str(seed), lambda _event: None)
        found.append(decided(read_events(tmp_path / str(seed) / "run" / JOURNAL)))
    assert differing(*found) > 0
