"""Going on with a run: its journal, fed to a recorder again, must come out of it again."""

import json
from collections.abc import Iterable, Sequence

from raytune_pipe.base import to_json
from raytune_pipe.results.events import Event
from raytune_pipe.scheduling.decisions import Decision, TrialId
from raytune_pipe.tuning.journal_events import decision_of

INCIDENTS = ("anomaly", "finish", "grant", "resume", "warning")
"""Kinds of events that nothing follows from; no trial is other for them."""


class Replay:
    """Recorded events, taken off one by one as the recorder brings them about again.

    What is recorded stands, also where the recorder comes to another result; that is a difference.
    Left out is what nothing follows from. It can stand between any two events: a listener fails, or
    a second Ctrl-C ends the launch between a report and what is decided on it.
    Once all is taken off, what the recorder brings about is new: a crash had kept it from the disk.
    """

    def __init__(self, recorded: Iterable[Event]) -> None:
        self._rest = (event for event in recorded if event["event"] not in INCIDENTS)
        self.next: Event | None = next(self._rest, None)
        """The first recorded event that has not been taken off."""
        self.differences: list[str] = []

    def take(self) -> Event:
        """Take off the next event."""
        if self.next is None:
            raise IndexError("all recorded events are taken off")
        event, self.next = self.next, next(self._rest, None)
        return event

    def match(self, events: Sequence[Event]) -> Sequence[Event]:
        """Take off what is recorded of these events; the rest is new."""
        for index, event in enumerate(events):
            if self.next is None:
                return events[index:]
            if event is self.next:
                self.take()
                continue
            if _subject(event) != _subject(self.next):
                self.differences.append(f"{_words(event)} is not in the journal")
                continue
            recorded = self.take()
            if _timeless(event) != _timeless(recorded):
                self.differences.append(f"{_words(event)} differs from the journal's")
        return ()

    def decisions(
        self, trial: TrialId, report: int | None, computed: list[Decision]
    ) -> list[Decision]:
        """The recorded decisions on that report or end; the computed ones if there are none yet."""
        event = self.next
        if event is None:
            return computed
        recorded: list[Decision] = []
        if event["event"] == "decision" and (event["trial_id"], event["report"]) == (trial, report):
            recorded = [decision_of(record) for record in event["decisions"]]
        if recorded != computed:
            self.differences.append(
                f"the decisions on report {report} of trial {trial} come out otherwise"
            )
        return recorded


def _subject(event: Event) -> tuple[object, ...]:
    """What an event is about: its kind, its trial, its report."""
    return (event["event"], event.get("trial_id"), event.get("report"))


def _timeless(event: Event) -> str:
    plain = {key: value for key, value in event.items() if key != "time"}
    return to_json(json.loads(to_json(plain)))


def _words(event: Event) -> str:
    trial = event.get("trial_id")
    return f"the {event['event']} of trial {trial}" if trial else f"the {event['event']}"
