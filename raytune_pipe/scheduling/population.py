"""Population-based training at a barrier (Jaderberg et al. 2017, arXiv:1711.09846, appendix A.1).

All members wait for each other at every milestone, the worst copy the best there, and each member
therefore competes against others of its own age, however many workers there are.
"""

from collections.abc import Sequence

from raytune_pipe.scheduling.decisions import Decision, Report, TrialId
from raytune_pipe.scheduling.exploit import Exploits, Ranking, has_diverged, rank


class PopulationBasedTraining:
    """Replaces the worst members at a barrier over all members that have not ended.

    A diverged member counts as arrived at once, is among the worst and is always replaced. Past
    the last milestone nothing is left to wait for: it is replaced there and then, from the donors
    of the latest barrier that had any. So it is too at a barrier where nobody is healthy. Without
    any such donor it is stopped.

    A member that has finished its budget is never a donor with its final weights, since a copy
    would have nothing left to train; but its checkpoint of the latest barrier is one for those
    that diverge later. A member that ends after it has arrived at a barrier is still ranked there,
    so that it makes no difference whether it was the first to arrive or the last.
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
        self._milestones = list(milestones)
        self._epochs = epochs
        self._quantile = quantile
        self._running = dict.fromkeys(plan)
        """Members that have not ended, in the plan's order."""
        self._arrived: dict[TrialId, Report] = {}
        self._donors: tuple[Report, ...] = ()
        """Of the latest barrier that had any."""

    def on_report(self, report: Report) -> list[Decision]:
        """Hold the member at the barrier, or decide on all when it is the last to arrive."""
        diverged = has_diverged(report)
        if diverged and not self._milestones:
            alone = Ranking(frozenset({report.trial}), self._donors, cutoff=None)
            return self._decide([report], alone, report.epoch)
        if not diverged and not self._at_barrier(report):
            return [Decision(report.trial, "go_on")]
        self._arrived[report.trial] = report
        return self._close() or [Decision(report.trial, "wait", rung=self._milestones[0])]

    def on_end(self, trial: TrialId) -> list[Decision]:
        """Wait for the member no longer; decide on all others if it was the last one missing."""
        self._running.pop(trial, None)
        return self._close()

    def donors(self) -> list[Report]:
        """Those of the latest barrier that had any, and all that have arrived at the next."""
        return [*self._donors, *self._arrived.values()]

    def _at_barrier(self, report: Report) -> bool:
        """Whether the next barrier holds the member; nothing does once its budget is used."""
        return bool(self._milestones) and self._milestones[0] <= report.epoch < self._epochs

    def _close(self) -> list[Decision]:
        """Decide on every member once all have arrived; nothing before that."""
        if not self._milestones or not self._running or self._running.keys() - self._arrived:
            return []
        ranking = rank(self._arrived.values(), self._quantile)
        self._donors = ranking.donors or self._donors
        waiting = [self._arrived[trial] for trial in self._running]
        self._arrived.clear()
        return self._decide(waiting, ranking._replace(donors=self._donors), self._milestones.pop(0))

    def _decide(self, reports: list[Report], ranking: Ranking, rung: float) -> list[Decision]:
        decisions = [self._exploits.decide(report, ranking, rung) for report in reports]
        for decision in decisions:
            if decision.action == "stop":
                self._running.pop(decision.trial, None)
        return decisions
