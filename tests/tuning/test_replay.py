"""Recorded events come out again, and what does not is told."""

from dataclasses import asdict
from typing import Any, cast

import pytest

from raytune_pipe.results.events import (
    AnomalyEvent,
    DecisionEvent,
    Event,
    FinishEvent,
    ReportEvent,
    ResumeEvent,
    WarningEvent,
)
from raytune_pipe.scheduling.decisions import Change, Checkpoint, Decision
from raytune_pipe.tuning.replay import Replay

ANOMALY: AnomalyEvent = {"event": "anomaly", "what": "the listener failed", "time": 1.0}
FINISH: FinishEvent = {
    "event": "finish",
    "state": "interrupted",
    "exit_code": 130,
    "error": "KeyboardInterrupt",
    "time": 1.0,
}
RESUME: ResumeEvent = {"event": "resume", "package_version": "0.1.0", "time": 1.0}
WARNING: WarningEvent = {
    "event": "warning",
    "trial_id": "00001",
    "kind": "loss_terms_apart",
    "what": "they are",
    "time": 1.0,
}
EXPLOIT = Decision(
    "00001",
    "exploit",
    donor="00000",
    donor_report=2,
    checkpoint=Checkpoint("checkpoints/00000/2.pt", "ab"),
    values={"optimizer.lr": 0.1},
    changes=(Change("optimizer.lr", "perturb", 0.2, 0.1),),
)


def report(number: int, score: float = 0.5, time: float = 2.0) -> ReportEvent:
    event: dict[str, Any] = {"event": "report", "trial_id": "00001", "report": number}
    return cast(ReportEvent, event | {"score": score, "time": time})


def decided(*decisions: Decision) -> DecisionEvent:
    records: list[Any] = [asdict(decision) for decision in decisions]
    return {"event": "decision", "trial_id": "00001", "report": 2, "decisions": records}


def test_what_is_recorded_is_taken_off_and_the_rest_is_new() -> None:
    replay = Replay([report(1), report(2)])
    assert replay.match([report(1, time=9.0)]) == ()
    assert replay.match([report(2), decided(EXPLOIT)]) == [decided(EXPLOIT)]
    assert replay.next is None
    assert replay.differences == []


def test_decisions_come_back_as_they_were_made() -> None:
    replay = Replay([decided(EXPLOIT)])
    assert replay.decisions("00001", 2, [EXPLOIT]) == [EXPLOIT]
    assert replay.differences == []


def test_recorded_decisions_win() -> None:
    replay = Replay([decided(EXPLOIT)])
    assert replay.decisions("00001", 2, [Decision("00001", "go_on")]) == [EXPLOIT]
    assert replay.differences == ["the decisions on report 2 of trial 00001 come out otherwise"]


def test_another_score_is_told() -> None:
    replay = Replay([report(1)])
    replay.match([report(1, score=0.25)])
    assert replay.differences == ["the report of trial 00001 differs from the journal's"]


@pytest.mark.parametrize(
    "incident", [ANOMALY, FINISH, RESUME, WARNING], ids=lambda each: each["event"]
)
def test_an_incident_between_a_report_and_its_decision_changes_nothing(incident: Event) -> None:
    replay = Replay([incident, report(2), incident, decided(EXPLOIT), incident])
    assert replay.match([report(2)]) == ()
    assert replay.decisions("00001", 2, [EXPLOIT]) == [EXPLOIT]
    assert replay.match([decided(EXPLOIT)]) == ()
    assert replay.next is None
    assert replay.differences == []


def test_a_decision_that_an_interrupt_kept_from_the_disk_is_new() -> None:
    replay = Replay([report(2), FINISH])
    assert replay.match([report(2)]) == ()
    assert replay.decisions("00001", 2, [EXPLOIT]) == [EXPLOIT]
    assert replay.match([decided(EXPLOIT)]) == [decided(EXPLOIT)]
    assert replay.differences == []
