"""Asynchronous successive halving, stopping type (Li et al. 2020, arXiv:1810.05934).

Equal to Ray Tune's `AsyncHyperBandScheduler` in every decision, but for what Ray leaves open:
bracket draws are keyed by the seed, a diverged trial is stopped, and each decision says its rung,
cutoff and bracket.
"""

import math

import numpy as np

from raytune_pipe.base import unit_draw
from raytune_pipe.scheduling.decisions import Decision, Report, TrialId


def rungs(
    grace_epochs: int, reduction_factor: float, epochs: int, bracket: int = 0
) -> tuple[float, ...]:
    """The epochs at which a bracket decides, lowest first: grace * factor ** (bracket + k).

    The last one may be the budget itself, where there is nothing left to stop; it counts in the
    bracket's weight, as Ray counts it.
    """
    # Ray's formula to the bit: its rounding decides whether a rung at the budget is counted.
    count = int(np.log(epochs / grace_epochs) / np.log(reduction_factor) - bracket + 1)
    return tuple(grace_epochs * reduction_factor ** (bracket + k) for k in range(count))


class SuccessiveHalving:
    """Stops a trial at a rung unless it is in the best 1 / reduction_factor of those before it.

    The cutoff is that quantile of the scores recorded at the rung so far, in the trial's own
    bracket and without its own score; the first trial to arrive therefore always passes. A trial
    that reports past several rungs at once is judged at the highest, and at the next lower one by
    each later report. Diverged trials leave no score, so they never make a cutoff easier.
    """

    def __init__(
        self, *, epochs: int, grace_epochs: int, reduction_factor: float, brackets: int, seed: int
    ) -> None:
        self._epochs = epochs
        self._reduction_factor = reduction_factor
        self._seed = seed
        self._brackets: list[dict[float, dict[TrialId, float]]] = [
            {rung: {} for rung in rungs(grace_epochs, reduction_factor, epochs, bracket)}
            for bracket in range(brackets)
        ]
        """Per bracket, the score of each trial that reached a rung."""

    def on_report(self, report: Report) -> list[Decision]:
        """Stop the trial where its score misses the cutoff of a rung it has reached."""
        trial, bracket = report.trial, self.bracket_of(report.trial)
        if not math.isfinite(report.score):
            return [Decision(trial, "stop", diverged=True, bracket=bracket)]
        rung, cutoff = self._record(report, bracket)
        if report.epoch >= self._epochs or rung is None:
            return [Decision(trial, "go_on", bracket=bracket)]
        if cutoff is None or report.score <= cutoff:
            return [Decision(trial, "go_on", rung=rung, bracket=bracket, cutoff=cutoff)]
        # Ray hears of a stopped trial twice and so records it at one more rung it jumped over.
        self._record(report, bracket)
        return [Decision(trial, "stop", rung=rung, bracket=bracket, cutoff=cutoff)]

    def on_end(self, trial: TrialId) -> list[Decision]:
        """Nothing: no trial waits for another, and recorded scores stay."""
        return []

    def donors(self) -> list[Report]:
        """None: no trial ever starts from another's checkpoint."""
        return []

    def bracket_of(self, trial: TrialId) -> int:
        """The trial's bracket, drawn with weight exp(its number of rungs), as Ray's."""
        weights = [math.exp(len(bracket)) for bracket in self._brackets]
        draw = unit_draw(self._seed, "bracket", trial) * sum(weights)
        for bracket, weight in enumerate(weights):
            draw -= weight
            if draw < 0:
                return bracket
        return len(weights) - 1

    def _record(self, report: Report, bracket: int) -> tuple[float | None, float | None]:
        """Record the score at the highest rung reached and not yet recorded: (rung, cutoff)."""
        for rung, scores in reversed(self._brackets[bracket].items()):
            if report.epoch >= rung and report.trial not in scores:
                cutoff = self._cutoff(list(scores.values()))
                scores[report.trial] = report.score
                return rung, cutoff
        return None, None

    def _cutoff(self, scores: list[float]) -> float | None:
        """The score that the best 1 / reduction_factor of these reach; None where there are none.

        Taken as a high percentile of rewards (negated scores), as Ray takes it, so that the two
        agree to the bit.
        """
        if not scores:
            return None
        return -float(np.percentile(np.negative(scores), (1 - 1 / self._reduction_factor) * 100))
