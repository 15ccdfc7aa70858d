"""A clock that is simulated: workers take trials, epochs take so long, decisions are the real ones.

What a worker is told follows `tuning.adapter`, `tuning.planned_trials` and `tuning.recorder`: a
trial that goes on keeps its worker; one that waits, ends or copies another gives it away, and takes
its turn again behind the trials that have not started. With one worker this is the order of
`simulated_run.run_to_end`, and for the same order of reports the recorder decides the same.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from raytune_pipe.scheduling.decisions import Checkpoint, Decision, DecisionMaker, Report, TrialId
from raytune_pipe.search_space import Values

Training = Callable[[Values, int], tuple[float, float]]
"""From hyperparameters and an epoch, counted from 1, to its loss and its seconds."""


class Reported(NamedTuple):
    """One report and what was decided on it."""

    time_s: float
    """When its worker was told."""
    report: Report
    decisions: list[Decision]
    """On this trial, where it does not just go on, and on those it releases."""
    training: int
    """How many workers were training when it came, its own included."""


@dataclass
class _Member:
    values: Values
    epoch: int = 0
    reports: int = 0
    saved: dict[str, int] = field(default_factory=dict)
    """The age of the weights in each checkpoint."""


class Simulation:
    """A run from its first trial to its last, or for as long as its reports are asked for.

    The driver answers one report after the other and takes ``driver_s`` seconds for each; a worker
    waits for its answer. ``released_first`` has trials that were held go before new ones, as
    synchronous halving needs it where new ones never run out.
    """

    def __init__(
        self,
        maker: DecisionMaker,
        plan: Iterable[tuple[TrialId, Values]],
        training: Training,
        *,
        epochs: int,
        workers: int,
        milestones: Sequence[int] = (),
        driver_s: float = 0.0,
        released_first: bool = False,
    ) -> None:
        self.now_s = 0.0
        self.busy_s = 0.0
        """Seconds of training begun so far, of all workers together."""
        self.started = 0
        self._maker = maker
        self._plan = iter(plan)
        self._training = training
        self._epochs = epochs
        self._workers = workers
        self._saved_at = frozenset(milestones)
        self._driver_s = driver_s
        self._released_first = released_first
        self._members: dict[TrialId, _Member] = {}
        self._released = deque[TrialId]()
        self._busy: list[tuple[float, int, TrialId]] = []
        """When each worker's epoch ends, the order in which they began, and the trial."""
        self._order = count()

    def __iter__(self) -> Iterator[Reported]:
        self._hand_out()
        while self._busy:
            training = len(self._busy)
            ended_s, _, trial = heapq.heappop(self._busy)
            self.now_s = max(ended_s, self.now_s) + self._driver_s
            report = self._report(trial)
            decisions = self._decide(report)
            self._apply(trial, decisions)
            yield Reported(self.now_s, report, decisions, training)
            self._hand_out()

    def _hand_out(self) -> None:
        """Give every free worker a trial, as long as there are any."""
        while len(self._busy) < self._workers:
            trial = None
            if self._released and self._released_first:
                trial = self._released.popleft()
            elif planned := next(self._plan, None):
                trial = planned[0]
                self._members[trial] = _Member(planned[1])
                self.started += 1
            elif self._released:
                trial = self._released.popleft()
            if trial is None:
                return
            self._train(trial)

    def _train(self, trial: TrialId) -> None:
        member = self._members[trial]
        _, seconds = self._training(member.values, member.epoch + 1)
        self.busy_s += seconds
        heapq.heappush(self._busy, (self.now_s + seconds, next(self._order), trial))

    def _report(self, trial: TrialId) -> Report:
        member = self._members[trial]
        member.epoch += 1
        member.reports += 1
        score, _ = self._training(member.values, member.epoch)
        checkpoint = None
        if member.epoch in self._saved_at or member.epoch == self._epochs:
            path = f"checkpoints/{trial}/{member.reports}.pt"
            checkpoint = Checkpoint(path, "0" * 64)
            member.saved[path] = member.epoch
        age = float(member.epoch)
        return Report(trial, member.reports, age, score, member.values, checkpoint)

    def _decide(self, report: Report) -> list[Decision]:
        """What the recorder would have told: a trial whose budget is used ends."""
        found = self._maker.on_report(report)
        decisions = [each for each in found if each.action != "go_on" or each.rung is not None]
        is_named = any(each.trial == report.trial and each.action != "go_on" for each in decisions)
        if report.epoch >= self._epochs and not is_named:
            released = self._maker.on_end(report.trial)
            decisions += [Decision(report.trial, "stop"), *released]
        return decisions

    def _apply(self, reporting: TrialId, decisions: Sequence[Decision]) -> None:
        action = "go_on"
        for decision in decisions:
            member = self._members[decision.trial]
            if decision.action == "exploit" and decision.donor and decision.checkpoint:
                member.epoch = self._members[decision.donor].saved[decision.checkpoint.path]
                member.values = decision.values or {}
            if decision.trial == reporting:
                action = decision.action
            if decision.action == "exploit" or (
                decision.action == "go_on" and decision.trial != reporting
            ):
                self._released.append(decision.trial)
        if action == "go_on":
            self._train(reporting)
