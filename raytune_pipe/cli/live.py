"""What a launch looks like while it runs: a fold over its events, and two ways to show it."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from time import time
from typing import NamedTuple

from rich.console import Console
from rich.live import Live
from rich.table import Table

from raytune_pipe.base import Value
from raytune_pipe.results.events import DecisionRecord, Event, ReportEvent, Status, WarningKind

REFRESH_HZ = 4
"""Drawings of the table per second."""
UNFIT = ("diverged", "failed", "out_of_memory")
"""Statuses of trials that are never the best."""
TROUBLE = (*UNFIT, "timed_out")
"""Statuses of trials whose end is worth a line of its own."""


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
                names = [*self.planned, *(f"{number:05d}" for number in numbers)]
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


def table(state: LiveState) -> Table:
    """The live table: counts, epochs, time left, the best trial and its hyperparameters."""
    grid = Table.grid("", "", padding=(0, 2))
    for label, text in rows(state):
        grid.add_row(label, text)
    if state.planned and state.began is None:
        grid.add_row("", "starting Ray")
    return grid


def rows(state: LiveState) -> Iterator[tuple[str, str]]:
    """The rows of the live table, each with its label; none before the plan is made."""
    if not state.planned:  # the launch may still be refused
        return
    counts = ", ".join(f"{count} {status}" for status, count in state.counts.items())
    yield "trials", f"{len(state.planned)}: {counts}"
    if state.began is None:
        return
    left = state.seconds_left
    remaining = f", at most {duration(left)} left" if left else ""
    yield "epochs", f"{epochs_so_far(state)}, {duration(_elapsed(state))} so far{remaining}"
    best = state.best
    if best:
        yield "best", f"{state.metric} {best.value:.4g} ({best.trial_id}, {_at(best)})"
        for name, value in best.values.items():
            if value is not None:
                yield "", f"{name} {shown(value)}"
    for kind, warned in state.warned.items():
        yield "warning", f"{kind} ({len(warned)} of {len(state.status)} trials: {_some(warned)})"


def epochs_so_far(state: LiveState) -> str:
    """The epochs that are trained, and of how many where that is known."""
    planned = sum(state.planned.values())
    return f"{state.trained.total()}" + (f" of {planned:g}" if planned else "")


def line(event: Event, state: LiveState) -> str | None:
    """The line that an event is worth where nothing can be redrawn; None for most reports.

    ``state`` includes the event.
    """
    clock = f"{_elapsed(state):8.1f} s  "
    return "\n".join(f"{clock}{one}" for one in words(event, state)) or None


def words(event: Event, state: LiveState) -> list[str]:
    """What an event is worth in words, a line each; empty for most.

    ``state`` includes the event.
    """
    if event["event"] == "start":
        again = f" again from {event['start_from'] or 'nothing'}" if event["attempt"] else ""
        return [f"{event['trial_id']} started{again}"]
    if event["event"] == "end":
        counted = state.scored.get(event["trial_id"])
        score = f"; {state.metric} {counted.value:.4g}, {_at(counted)}" if counted else ""
        reason = f" ({event['reason']})" if event["reason"] else ""
        return [f"{event['trial_id']} {event['status']}{reason}{score}"]
    if event["event"] == "retry":
        return [f"{event['trial_id']} failed ({event['reason']}): starts again"]
    if event["event"] == "decision":
        return [copied(one) for one in event["decisions"] if one["action"] == "exploit"]
    if event["event"] == "grant":
        at_once = f"up to {event['slots']} trials at once"
        return [f"{at_once}; {event['how']}" if event["how"] else at_once]
    if event["event"] == "anomaly":
        about = f"{event['trial_id']}: " if "trial_id" in event else ""
        return [f"warning: {about}{event['what']}"]
    if event["event"] == "warning":
        return [f"warning: {event['trial_id']}: {event['what']}"]
    if event["event"] == "resume":
        gone_on = [f"{state.name} is gone on with after {state.trained.total()} epochs"]
        if "took_over" in event:
            gone_on.append(f"taken over from {event['took_over']}")
        if "window" in event:
            gone_on.append(event["window"])
        return gone_on
    if event["event"] == "finish":
        return [
            f"{state.name} {event['state']}" + (f": {event['error']}" if event["error"] else "")
        ]
    return []


def copied(decision: DecisionRecord) -> str:
    """An exploit in words: who copies whom, and what changes with it."""
    changes = ", ".join(
        f"{name} {shown(before)} -> {shown(after)}"
        for name, _, before, after in decision["changes"]
    )
    return f"{decision['trial']} copies {decision['donor']}: {changes}"


class Display(NamedTuple):
    """Shows a run while it goes."""

    hear: Callable[[Event], None]
    """Called with every event of the run."""
    recall: Callable[[Event], None]
    """Called with those of before instead: only what they have come to is shown."""


@contextmanager
def display(console: Console) -> Iterator[Display]:
    """A display: a table on a terminal, else lines."""
    state = LiveState()
    if not console.is_terminal:

        def print_line(event: Event) -> None:
            state.apply(event)
            text = line(event, state)
            if text:
                console.print(text)

        yield Display(print_line, state.apply)
        return

    lock = Lock()

    def draw() -> Table:
        with lock:
            state.now = max(state.now, time())
            return table(state)

    def hear(event: Event) -> None:
        with lock:
            state.apply(event)
        is_trouble = event["event"] == "end" and event["status"] in TROUBLE
        is_first = event["event"] == "warning" and len(state.warned[event["kind"]]) == 1
        if is_trouble or is_first or event["event"] in ("retry", "anomaly"):
            console.print(line(event, state))

    def recall(event: Event) -> None:
        with lock:
            state.apply(event)

    # Drawn by a thread of its own, so that events cost nothing and the time goes on between them.
    with Live(get_renderable=draw, console=console, refresh_per_second=REFRESH_HZ):
        yield Display(hear, recall)


def duration(seconds: float) -> str:
    """A time as people write it: ``42 s``, ``3 min 20 s``, ``2 h 05 min``."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def shown(value: Value) -> str:
    """A hyperparameter's value, floats with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _some(trials: Sequence[str], most: int = 3) -> str:
    """The first of them."""
    return ", ".join(trials[:most]) + (", ..." if len(trials) > most else "")


def _at(best: Best) -> str:
    return f"epoch {best.epoch:g}"


def _elapsed(state: LiveState) -> float:
    return 0.0 if state.began is None else state.now - state.began
