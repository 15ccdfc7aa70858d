"""A surrogate of all rows and those of resampled trials: what every figure is read from."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raytune_pipe.analysis.estimates import Estimates, estimates_of
from raytune_pipe.components.surrogates import Surrogate
from raytune_pipe.search_space import SearchSpace

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fits:
    """A surrogate and its refits, one for each resample of the trials."""

    space: SearchSpace
    surrogate: Surrogate
    refits: tuple[Surrogate, ...]
    at_budgets: "tuple[tuple[float, Fits], ...]" = ()
    """The same at lower budgets, in epochs, and at the full one; of early-stopped runs only."""

    def estimates(self, functional: Callable[[Surrogate], Array]) -> Estimates:
        """Anything that can be read from a surrogate, with its intervals over the resamples."""
        return estimates_of(functional(self.surrogate), [functional(one) for one in self.refits])
