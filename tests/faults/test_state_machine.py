"""Random sequences of all that can happen to trials; `make faults` runs 10,000 of them."""

import random
from pathlib import Path

import pytest

from raytune_pipe.results.events import EndEvent, Event, PlanEvent, ReportEvent, StartEvent

from benchmarks.random_trials import Crash, World, run_sequences
from benchmarks.trial_transitions import TRANSITIONS, IllegalTransition, TransitionChecker

PLAN = PlanEvent(event="plan", trial_id="00000", leaves={}, values={})
START = StartEvent(event="start", trial_id="00000", attempt=0, start_from=None, time=0.0)
END = EndEvent(
    event="end", trial_id="00000", status="completed", reason="budget", error=None, time=0.0
)
REPORT: ReportEvent = {
    "event": "report",
    "trial_id": "00000",
    "report": 1,
    "attempt": 0,
    "segment": 0,
    "epoch": 1.0,
    "step": 1,
    "time_s": 1.0,
    "score": 0.5,
    "metrics": {},
    "values": {},
    "checkpoint": None,
    "verdict": None,
    "time": 0.0,
}


def test_whatever_happens_every_transition_is_legal_and_each_is_seen(tmp_path: Path) -> None:
    seen = run_sequences(500, tmp_path)
    assert seen.keys() == TRANSITIONS.keys()


@pytest.mark.parametrize(
    "events",
    [
        [PLAN, START, END, END],
        [PLAN, START, END, REPORT],
        [PLAN, START, START],
        [PLAN, REPORT],
        [PLAN, START, {**REPORT, "report": 2}],
        [PLAN, START, {**REPORT, "attempt": 1}],
        [PLAN, START, {**REPORT, "segment": 1}],
        [PLAN, START, REPORT, REPORT],
        [START],
    ],
    ids=[
        "ends twice",
        "reports after its end",
        "an attempt begins twice",
        "reports before its start",
        "a gap in the reports",
        "an attempt that has not begun",
        "a segment that has not begun",
        "a report twice in an attempt",
        "starts unplanned",
    ],
)
def test_what_must_not_happen_is_seen(events: list[Event]) -> None:
    checker = TransitionChecker()
    for event in events[:-1]:
        checker.hear(event)
    with pytest.raises(IllegalTransition):
        checker.hear(events[-1])


def test_a_sequence_comes_out_the_same_each_time(tmp_path: Path) -> None:
    one, other = (run_sequences(3, tmp_path, first=7) for _ in range(2))
    assert one == other


def test_a_torn_write_ends_the_driver(tmp_path: Path) -> None:
    """The world does tear writes: none of the sequences would show that it does not."""
    world = World(tmp_path, random.Random(0), tear_next=True)
    written: list[bytes] = []

    def write(_descriptor: int, data: bytes) -> int:
        written.append(data)
        return len(data)

    data = b'100 00000000 {"event":"report"}\n'
    with pytest.raises(Crash):
        world.write(write, 0, data)
    assert data.startswith(written[0])
    assert len(written[0]) < len(data)
