"""What may happen to a trial, told by the events of a journal alone: a table, and its checker."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from raytune_pipe.results.events import DecisionEvent, Event, ReportEvent

State = str
Transition = tuple[State, str]
"""A state, and what happens in it: an event, for a decision its action."""

TRANSITIONS: dict[Transition, State] = {
    ("new", "plan"): "planned",
    ("planned", "start"): "training",
    ("planned", "resume"): "planned",
    ("training", "report"): "training",
    ("training", "report made again"): "training",
    ("training", "go_on"): "training",
    ("training", "wait"): "waiting",
    ("training", "exploit"): "released",
    ("training", "stop"): "stopping",
    ("training", "end"): "ended",
    ("training", "retry"): "due",
    ("training", "resume"): "due",
    ("waiting", "go_on"): "released",
    ("waiting", "exploit"): "released",
    ("waiting", "stop"): "stopping",
    ("waiting", "resume"): "waiting",
    ("released", "start"): "training",
    ("released", "report"): "training",
    ("released", "end"): "ended",
    ("released", "retry"): "due",
    ("released", "resume"): "due",
    ("due", "start"): "training",
    ("due", "resume"): "due",
    ("stopping", "end"): "ended",
    ("ended", "resume"): "ended",
}
"""All that may happen. Waiting: held at a barrier. Due: its next attempt is to begin."""


class IllegalTransition(BaseException):
    """Something happened to a trial that must not; no `Exception`, which a recorder survives."""


@dataclass
class TrialHistory:
    """One trial, as far as the events have told."""

    state: State = "new"
    attempt: int = -1
    """Of its latest start."""
    reports: int = 0
    """The highest number so far."""
    latest: int | None = None
    """The number of the latest report of this attempt."""
    exploits: int = 0
    decided: set[int] = field(default_factory=set)
    """The reports that were decided on."""


class TransitionChecker:
    """Hears the events of a run, and raises at what must not happen."""

    def __init__(self) -> None:
        self.trials: dict[str, TrialHistory] = defaultdict(TrialHistory)
        self.seen: Counter[Transition] = Counter()
        self.heard = 0
        """Events that tell of the run, those of files left out: no listener hears them."""

    def hear(self, event: Event) -> None:
        """Take the next event."""
        if event["event"] == "file":
            return
        self.heard += 1
        if event["event"] == "resume":
            for trial_id in self.trials:
                self._pass(trial_id, "resume")
        elif event["event"] == "decision":
            self._decide(event)
        elif event["event"] == "report":
            self._report(event)
        elif event["event"] in ("plan", "start", "retry", "end"):
            trial_id = event["trial_id"]
            if event["event"] == "start":
                self._require(trial_id, event["attempt"] > self.trials[trial_id].attempt, event)
                self.trials[trial_id].attempt, self.trials[trial_id].latest = event["attempt"], None
            elif event["event"] == "retry":
                self._require(trial_id, event["attempt"] == self.trials[trial_id].attempt, event)
            self._pass(trial_id, event["event"])

    def require_all_ended(self) -> None:
        """Raise unless every trial has ended."""
        for trial_id, history in self.trials.items():
            if history.state != "ended":
                raise IllegalTransition(f"trial {trial_id} is left {history.state}")

    def _report(self, event: ReportEvent) -> None:
        trial_id, number = event["trial_id"], event["report"]
        history = self.trials[trial_id]
        follows = history.latest is None or number == history.latest + 1
        self._require(trial_id, follows and 1 <= number <= history.reports + 1, event)
        self._require(trial_id, event["attempt"] == history.attempt, event)
        self._require(trial_id, event["segment"] == history.exploits, event)
        self._pass(trial_id, "report" if number > history.reports else "report made again")
        history.latest, history.reports = number, max(history.reports, number)

    def _decide(self, event: DecisionEvent) -> None:
        trial_id, number = event["trial_id"], event["report"]
        if number is not None:
            history = self.trials[trial_id]
            is_new = number == history.reports and number not in history.decided
            self._require(trial_id, is_new, event)
            history.decided.add(number)
        for decision in event["decisions"]:
            self._pass(decision["trial"], decision["action"])
            self.trials[decision["trial"]].exploits += decision["action"] == "exploit"

    def _pass(self, trial_id: str, what: str) -> None:
        history = self.trials[trial_id]
        transition = (history.state, what)
        if transition not in TRANSITIONS:
            raise IllegalTransition(f"trial {trial_id}: {what} when it is {history.state}")
        self.seen[transition] += 1
        history.state = TRANSITIONS[transition]

    def _require(self, trial_id: str, holds: bool, event: Event) -> None:
        if not holds:
            raise IllegalTransition(f"trial {trial_id}, as {self.trials[trial_id]}: {event}")
