"""Synchronous successive halving (Jamieson & Talwalkar 2016, arXiv:1502.07943), to compare with."""

import math
from collections import Counter

from raytune_pipe.scheduling.decisions import Decision, Report, TrialId


class SynchronousHalving:
    """Brackets of equally many trials, which wait for each other at every rung.

    Trials are named by number and belong to brackets in that order; once all of a bracket have
    arrived at a rung, the best ``1 / factor`` of as many as there should be go on.
    """

    def __init__(self, *, size: int, epochs: int, factor: int = 3) -> None:
        self._size = size
        self._factor = factor
        self._rungs = [factor**k for k in range(round(math.log(epochs, factor)))]
        """Epochs; the budget itself is none."""
        self._arrived: dict[tuple[int, int], dict[TrialId, float]] = {}
        """By bracket and rung, the scores so far; infinite for those that have diverged."""
        self._diverged: Counter[int] = Counter()
        """By bracket, how many have diverged, all of which count as arrived."""

    def on_report(self, report: Report) -> list[Decision]:
        """Hold the trial at a rung; decide on all once the last one of its bracket is there."""
        bracket = int(report.trial) // self._size
        if not math.isfinite(report.score):
            self._diverged[bracket] += 1
            rungs = [rung for rung in self._rungs if rung >= report.epoch]
            closed = self._close(bracket, rungs[0]) if rungs else []
            return [Decision(report.trial, "stop", diverged=True), *closed]
        rung = int(report.epoch)
        if rung not in self._rungs:
            return [Decision(report.trial, "go_on")]
        self._arrived.setdefault((bracket, rung), {})[report.trial] = report.score
        return self._close(bracket, rung) or [Decision(report.trial, "wait", rung=rung)]

    def _close(self, bracket: int, rung: int) -> list[Decision]:
        """Let the best go on and stop the others, once none is missing."""
        scores = self._arrived.get((bracket, rung), {})
        expected = self._size // self._factor ** self._rungs.index(rung)
        if len(scores) + self._diverged[bracket] < expected or not scores:
            return []
        del self._arrived[bracket, rung]
        self._diverged[bracket] = 0
        ranked = sorted(scores, key=lambda trial: (scores[trial], trial))
        best = expected // self._factor
        # A rung that is short of trials, as many have diverged, leaves the next one short, too.
        self._diverged[bracket] = max(0, best - len(ranked))
        return [
            Decision(trial, "go_on" if place < best else "stop", rung=rung)
            for place, trial in enumerate(ranked)
        ]

    def on_end(self, trial: TrialId) -> list[Decision]:
        """Nothing: trials end past the last rung, or are stopped here."""
        return []

    def donors(self) -> list[Report]:
        """None: no trial ever starts from another's checkpoint."""
        return []
