"""One run killed at one named phase after the other; `make faults` kills at every one."""

from pathlib import Path

import pytest

from raytune_pipe.results.journal import JOURNAL, read_events

from benchmarks.fault_phases import TRIALS, KilledRun
from benchmarks.killed_driver import phases

pytestmark = [pytest.mark.slow, pytest.mark.ray]

PHASES = (
    *("before the folder", "before the journal", "mid plan", "before Ray"),
    *("a checkpoint", "the replay", "the finish"),
)


def test_a_run_killed_at_seven_phases_comes_to_what_an_undisturbed_one_does(tmp_path: Path) -> None:
    undisturbed = KilledRun(tmp_path / "undisturbed", "pbt")
    undisturbed.end()
    run = KilledRun(tmp_path / "killed", "pbt")
    for phase in PHASES:
        run.kill_at(phase)
    run.end()
    found = run.findings(undisturbed.path)
    assert [*undisturbed.wrong, *found.wrong] == []
    assert (found.lost, found.duplicated) == (0, 0)
    assert found.acknowledged > 0
    assert found.compared == TRIALS * 4
    resumes = [e for e in read_events(run.path / JOURNAL) if e["event"] == "resume"]
    assert len(resumes) == 4  # of the five processes after the plan one died in its replay


def test_every_phase_says_how_it_is_hit() -> None:
    assert all(phase.how for phase in phases(TRIALS).values())
