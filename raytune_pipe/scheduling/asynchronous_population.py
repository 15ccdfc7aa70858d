"""Population-based training without a barrier (Jaderberg et al. 2017, arXiv:1711.09846)."""

from collections.abc import Sequence

from raytune_pipe.scheduling.decisions import Decision, Report, TrialId
from raytune_pipe.scheduling.exploit import Exploits, Ranking, has_diverged, rank


class AsynchronousPopulationBasedTraining:
    """Compares a member at each of its milestones with the latest milestone of every other.

    Members differ in age, so a copy's epoch may go back. A diverged member is replaced at once, or
    waits for the first donor as long as any other member runs that may become one.

    A member that has finished its budget stays a donor with the checkpoint of its last milestone,
    which leaves a copy epochs to train; with few workers most of the population has finished when
    the last ones start. One that ended in any other way is none: its values may be what ended it.
    A member that has just been replaced is not ranked until its next milestone.
    """

    def __init__(
        self,
        plan: Sequence[TrialId],
        exploits: Exploits,
        *,
        milestones: Sequence[int],
        epochs: int,
        quantile: float,
    ) -> None:
        self._exploits = exploits
        self._milestones = frozenset(milestones)
        self._epochs = epochs
        self._quantile = quantile
        self._running = dict.fromkeys(plan)
        """Members that have not ended, in the plan's order."""
        self._finished: set[TrialId] = set()
        self._latest: dict[TrialId, Report] = {}
        """Each member's report at its latest milestone."""
        self._diverged: dict[TrialId, Report] = {}
        """Members that wait for a donor."""

    def on_report(self, report: Report) -> list[Decision]:
        """Decide on the member at a milestone or when it has diverged; release those who wait."""
        if has_diverged(report):
            self._diverged[report.trial] = report
            return self._replace_diverged() or [Decision(report.trial, "wait", rung=report.epoch)]
        if report.epoch >= self._epochs:
            self._finished.add(report.trial)
        if report.epoch not in self._milestones:
            return [Decision(report.trial, "go_on")]
        self._latest[report.trial] = report
        return [*self._decide([report]), *self._replace_diverged()]

    def on_end(self, trial: TrialId) -> list[Decision]:
        """Forget the member unless it may still be a donor; let nobody wait where nobody runs."""
        self._running.pop(trial, None)
        self._diverged.pop(trial, None)
        if trial not in self._finished:
            self._latest.pop(trial, None)
        return self._replace_diverged()

    def donors(self) -> list[Report]:
        """Every member's latest milestone."""
        return list(self._latest.values())

    def _replace_diverged(self) -> list[Decision]:
        """Replace all that wait once there is a donor; stop them when none can come any more."""
        some_run = bool(self._running.keys() - self._diverged)
        if not self._diverged or (some_run and not self._rank().donors):
            return []
        decisions = self._decide(list(self._diverged.values()))
        self._diverged.clear()
        return decisions

    def _rank(self) -> Ranking:
        return rank((self._latest | self._diverged).values(), self._quantile)

    def _decide(self, reports: list[Report]) -> list[Decision]:
        ranking = self._rank()
        decisions = [self._exploits.decide(report, ranking, report.epoch) for report in reports]
        for decision in decisions:
            if decision.action != "go_on":
                self._latest.pop(decision.trial, None)
            if decision.action == "stop":
                self._running.pop(decision.trial, None)
        return decisions
