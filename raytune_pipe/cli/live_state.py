"""Where a run stands while it goes: a fold over its events."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from raytune_pipe.base import Value
from raytune_pipe.results.events import Event, ReportEvent, Status, WarningKind
from raytune_pipe.scheduling.decisions import trial_id_of

UNFIT: tuple[Status, ...] = ("diverged", "failed", "out_of_memory")
"""Statuses of trials that are never the best."""


class Best(NamedTuple):
    """The best report so far of a trial."""

    trial_id: str
    score: float
    """Lower is better."""
    value: float
    """The objective's metric."""
    epoch: float
    values: dict[str, Value]


@dataclass
class LiveState:
    """Where a run stands: nothing but what its events say, their clock included."""

    name: str = ""
    metric: str = ""
    at_best: bool = False
    imported: bool = False
    """Whether another program trained it, so that it cannot be gone on with."""
    planned: dict[str, float] = field(default_factory=dict)
    """Planned epochs of each trial; 0 where another program did not tell."""
    status: dict[str, Status] = field(default_factory=dict)
    """Of the trials that have begun."""
    trained: Counter[str] = field(default_factory=Counter)
    """Epochs trained by each trial; unlike the age of its weights this never goes back."""
    scored: dict[str, Best] = field(default_factory=dict)
    """The report of each trial that counts so far."""
    began: float | None = None
    """When the first trial started, or the run was gone on with: the time between counts not."""
    first_report: float | None = None
    """Since then."""
    trained_before: int = 0
    """Epochs trained until then."""
    warned: dict[WarningKind, list[str]] = field(default_factory=dict)
    """The trials that were warned of something, by what it was, and in their order."""
    now: float = 0.0
    """The time of the latest event, or when it is looked at."""

    def apply(self, event: Event) -> None:
        """Take the next event."""
        if event["event"] in (
            "experiment",
            "start",
            "report",
            "retry",
            "end",
            "grant",
            "anomaly",
            "warning",
            "resume",
            "finish",
        ):
            self.now = event["time"]
        if event["event"] == "experiment":
            self.name = event["experiment"]["name"]
            self.metric = event["objective"]["metric"]
            self.at_best = event["objective"]["at"] == "best"
            self.imported = "trial" not in event["experiment"]
            if not self.imported:  # all trials, also those that are drawn later
                epochs = float(event["experiment"]["trial"]["epochs"])
                numbers = range(event["experiment"].get("trials", 0))
                names = [*self.planned, *map(trial_id_of, numbers)]
                self.planned = dict.fromkeys(names, epochs)
        elif event["event"] == "plan":
            epochs = 0.0 if self.imported else float(event["leaves"]["epochs"] or 0)
            self.planned[event["trial_id"]] = epochs
        elif event["event"] == "start":
            self.status[event["trial_id"]] = "running"
            self.began = event["time"] if self.began is None else self.began
        elif event["event"] == "report":
            self._add_report(event)
        elif event["event"] == "end":
            self.status[event["trial_id"]] = event["status"]
        elif event["event"] == "warning":
            self.warned.setdefault(event["kind"], []).append(event["trial_id"])
        elif event["event"] == "finish":
            self.replace_status("running", "interrupted")
        elif event["event"] == "resume":
            self.replace_status("interrupted", "running")
            self.began, self.first_report = event["time"], None
            self.trained_before = self.trained.total()

    def replace_status(self, before: Status, after: Status) -> None:
        """Note what becomes of all trials of a status, as when the process of a run has ended."""
        for trial_id, status in self.status.items():
            if status == before:
                self.status[trial_id] = after

    def _add_report(self, event: ReportEvent) -> None:
        trial_id, score = event["trial_id"], event["score"]
        self.first_report = event["time"] if self.first_report is None else self.first_report
        self.trained[trial_id] = max(self.trained[trial_id], event["report"])
        value = event["metrics"].get(self.metric, score)
        report = Best(trial_id, score, value, event["epoch"], event["values"])
        earlier = self.scored.get(trial_id)
        if not (self.at_best and earlier and not score < earlier.score):
            self.scored[trial_id] = report

    @property
    def counts(self) -> dict[str, int]:
        """Trials by status; those that have not begun are ``waiting``."""
        counts = Counter[str](self.status.values())
        waiting = len(self.planned) - len(self.status)
        return {**counts, **({"waiting": waiting} if waiting else {})}

    @property
    def best(self) -> Best | None:
        """The best trial so far; None before the first finite score."""
        fit = [
            one
            for one in self.scored.values()
            if one.score == one.score and self.status.get(one.trial_id) not in UNFIT
        ]
        return min(fit, key=lambda one: one.score, default=None)

    @property
    def seconds_left(self) -> float | None:
        """The time that the epochs left would take at the pace so far; None before there is one.

        An upper bound where trials are stopped early. The pace is taken from the first report on,
        since the workers' start is paid once.
        """
        done = self.trained.total() - self.trained_before - 1
        if done < 1 or self.first_report is None:
            return None
        left = sum(
            max(0.0, epochs - self.trained[trial_id])
            for trial_id, epochs in self.planned.items()
            if self.status.get(trial_id, "running") in ("running", "interrupted")
        )
        return (self.now - self.first_report) * left / done
