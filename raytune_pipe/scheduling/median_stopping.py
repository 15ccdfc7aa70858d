"""The median stopping rule (Golovin et al. 2017, KDD, "Google Vizier", section 3.2.2).

Equal to Ray Tune's `MedianStoppingRule` in every decision on finite scores, but for a fault of
Ray's: it hears a trial's last report once more when the trial ends, and so counts it twice.
"""

import math
from bisect import insort
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from raytune_pipe.scheduling.decisions import Decision, Report, TrialId


@dataclass
class _Course:
    """What one trial has reported so far."""

    best: float = math.inf
    """Its lowest score, the grace epochs included."""
    total: float = 0.0
    """Sum of its scores from the end of the grace on."""
    reports: int = 0
    """How many scores are in the sum."""


class MedianStopping:
    """Stops a trial whose best score is worse than the median of the others' running averages.

    All others that have reported at that epoch count, as Ray's do, whether they still run, have
    finished or were stopped; with fewer than ``min_trials`` of them nothing is decided. (In the
    paper only those that have finished count; of trials that begin together none has.) Averages
    begin where the grace ends, as Ray's do: the high losses of the first epochs would raise them so
    far that no trial would be worse. (The paper's begin with the first report: ``grace_epochs`` of
    1.)

    A diverged trial is stopped, and counts with what it had reported before.
    """

    def __init__(self, *, epochs: int, grace_epochs: int, min_trials: int) -> None:
        self._epochs = epochs
        self._grace_epochs = grace_epochs
        self._min_trials = min_trials
        self._courses: defaultdict[TrialId, _Course] = defaultdict(_Course)
        self._averages: defaultdict[float, list[float]] = defaultdict(list)
        """By epoch, the running averages of all trials that have reported then, ascending."""

    def on_report(self, report: Report) -> list[Decision]:
        """Stop the trial where its best score so far is above the median."""
        trial, epoch, score = report.trial, report.epoch, report.score
        if not math.isfinite(score):
            return [Decision(trial, "stop", diverged=True)]
        course = self._courses[trial]
        course.best = min(course.best, score)
        if epoch < self._grace_epochs:
            return [Decision(trial, "go_on")]
        others = self._averages[epoch]
        cutoff = median(others) if len(others) >= self._min_trials else None
        course.total += score
        course.reports += 1
        insort(others, course.total / course.reports)
        if cutoff is None or epoch >= self._epochs:
            return [Decision(trial, "go_on")]
        if course.best > cutoff:
            return [Decision(trial, "stop", rung=epoch, cutoff=cutoff)]
        return [Decision(trial, "go_on", rung=epoch, cutoff=cutoff)]

    def on_end(self, trial: TrialId) -> list[Decision]:
        """Nothing: no trial waits for another, and what it reported goes on counting."""
        return []

    def donors(self) -> list[Report]:
        """None: no trial ever starts from another's checkpoint."""
        return []


def median(ordered: Sequence[float]) -> float:
    """The median of numbers in ascending order."""
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2
