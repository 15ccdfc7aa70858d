"""Two accounts of what stopped trials would have come to, weighed against each other.

What bad trials come to late is nowhere in the data, and the evidence, which speaks of the
survivors, makes a poor guess (docs/log.md). In the first account hyperparameters shift curves
before the full budget. In the second, curves are parallel but for each trial's own fading. The less
was seen of a budget, the more the second counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raytune_pipe.analysis.curve_model import Curves, FittedCurves, fit_curve_model
from raytune_pipe.components.estimators_expansion import Expanded
from raytune_pipe.search_space import SearchSpace

Array = NDArray[np.float64]

SHIFT_DEGREE = 2
"""Of the first account; with 3 the errors of total shares grow by half."""
DOUBT = 1 / 3
"""Weight of the second account where nothing was seen; with 1/2 errors are the same."""


@dataclass(frozen=True)
class Accounts:
    """Two models of the same trials, and how much the second counts."""

    shifting: FittedCurves
    parallel: FittedCurves | None
    """None where it does not count."""
    doubt: Array
    """[rungs]: the second's weight."""

    def at(self, rung: int = -1) -> Expanded:
        """The expected score at a rung, by default at the full budget, over the space."""
        shifting = self.shifting.at(rung)
        if self.parallel is None:
            return shifting
        parallel, weight = self.parallel.at(rung), float(self.doubt[rung])
        return Expanded(
            shifting.terms,
            (1 - weight) * shifting.intercept + weight * parallel.intercept,
            (1 - weight) * shifting.coefficients + weight * parallel.coefficients,
        )

    def refits(self, samples: Sequence[NDArray[np.int64]]) -> list[Accounts]:
        """Fit again to some of the trials, many times.

        In turn the second account counts not at all and twice: so refits differ as much as the
        accounts do, which no resample would tell.
        """
        return [
            Accounts(
                self.shifting.refit(trials),
                self.parallel.refit(trials) if number % 2 and self.parallel else None,
                2 * self.doubt,
            )
            for number, trials in enumerate(samples)
        ]


def fit_curves(space: SearchSpace, curves: Curves) -> Accounts:
    """Fit both accounts to trials that ended at any rung."""
    return Accounts(
        fit_curve_model(space, curves, SHIFT_DEGREE),
        fit_curve_model(space, curves, 0),
        DOUBT * np.isnan(curves.scores).mean(axis=0),
    )
