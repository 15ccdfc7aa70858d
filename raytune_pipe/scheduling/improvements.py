"""How much members of a population improved in each interval, from their reports alone."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from raytune_pipe.scheduling.decisions import Report, TrialId
from raytune_pipe.scheduling.gaussian_process import Process
from raytune_pipe.search_space import SearchSpace, Values

Array = NDArray[np.float64]

MOST_ROWS = 200
"""The latest intervals are kept; a fit takes 70 ms with so many."""
CLIP = 2.5
"""Standard deviations beyond which an improvement counts as so much."""


class _Row(NamedTuple):
    generation: int
    """The number of the interval from 1, by the age of the weights."""
    trial: TrialId
    number: int
    """Of the report that ends the interval."""
    values: Values
    start: float
    """The score before."""
    end: float
    """The score after; NaN where the trial diverged."""
    epochs: float


class Improvements:
    """The intervals of a population, as observations of a Gaussian process.

    An interval is a stretch of training between two milestones under the same hyperparameters. A
    copy's begins with its donor's score; a trial's first one with its first report.
    """

    def __init__(self, space: SearchSpace, *, interval_epochs: int) -> None:
        self._space = space
        self._interval = interval_epochs
        self._starts: dict[TrialId, Report] = {}
        self._rows: list[_Row] = []
        self._scores: tuple[float, float] = (math.inf, -math.inf)
        """The lowest and the highest score heard."""
        self._process: Process | None = None

    def add(self, report: Report) -> bool:
        """Hear a report; whether it ends an interval."""
        diverged = not math.isfinite(report.score)
        start = self._starts.get(report.trial)
        if not diverged:
            low, high = self._scores
            self._scores = min(low, report.score), max(high, report.score)
        if not diverged and report.epoch % self._interval:
            self._starts.setdefault(report.trial, report)
            return False
        if start is not None:
            row = _Row(
                generation=math.ceil(report.epoch / self._interval),
                trial=report.trial,
                number=report.number,
                values=report.values,
                start=start.score,
                end=math.nan if diverged else report.score,
                epochs=report.epoch - start.epoch,
            )
            self._rows.append(row)
            self._process = None
        if not diverged:
            self._starts[report.trial] = report
        return True

    def copy(self, trial: TrialId, donor: Report) -> None:
        """Have the trial's next interval begin where the donor's report was made."""
        self._starts[trial] = donor

    def context(self, donor: Report) -> tuple[float, float]:
        """Place in time of the interval that a copy trains next, and its start."""
        return donor.epoch / self._interval + 1, float(self._places(np.array([donor.score]))[0])

    def units(self, values: Values) -> Array:
        """Units ``[axes]``; 0.5 where a hyperparameter does not apply."""
        return np.nan_to_num(list(self._space.to_units(values).values()), nan=0.5)

    def process(self) -> Process:
        """What is known of improvements, larger being better; with unit variance."""
        if self._process is None:
            rows = sorted(self._rows, key=lambda row: row[:3])[-MOST_ROWS:]
            units = np.array([self.units(row.values) for row in rows])
            starts = self._places(np.array([row.start for row in rows]))
            points = np.column_stack([units.reshape(len(rows), len(self._space)), starts])
            times = np.array([float(row.generation) for row in rows])
            self._process = Process.fitted(points, times, self._targets(rows))
        return self._process

    def _targets(self, rows: list[_Row]) -> Array:
        """Improvements per epoch, standardized; what diverged has not improved, or worse.

        That is, it counts as the worst that was seen, or as 0 where all have improved.
        """
        if not rows:
            return np.zeros(0)
        starts = self._levels(np.array([row.start for row in rows]))
        ends = self._levels(np.array([row.end for row in rows]))
        gains = (starts - ends) / np.array([max(row.epochs, 1.0) for row in rows])
        known = np.isfinite(gains)
        gains = np.where(known, gains, gains[known].min(initial=0.0))
        deviation = float(gains.std())
        if deviation == 0:
            return np.zeros(len(rows))
        return np.asarray(np.clip((gains - gains.mean()) / deviation, -CLIP, CLIP))

    def _levels(self, scores: Array) -> Array:
        """Scores on the scale on which they improve: logarithms, where all are positive."""
        return np.log(scores) if self._scores[0] > 0 else scores

    def _places(self, scores: Array) -> Array:
        """Scores from 0, the lowest heard, to 1, the highest."""
        if not self._scores[0] < self._scores[1]:
            return np.zeros(len(scores))
        low, high = self._levels(np.array(self._scores))
        return np.asarray((self._levels(scores) - low) / (high - low))
