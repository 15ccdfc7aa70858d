"""Estimators: how the variance of an objective is shared out among the hyperparameters.

An estimator fits a surrogate of the target over the units of a search space. The surrogate predicts
and gives the variance shares (Sobol indices) over the space's own measure, in which every searched
hyperparameter is spread evenly on its declared scale, whatever the observed trials look like.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from raytune_pipe.base import Component, Count, Positive
from raytune_pipe.components.surrogates import Refittable
from raytune_pipe.search_space import SearchSpace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


class Expansion(Component):
    """Orthonormal polynomials of single hyperparameters and of pairs, shrunk group by group.

    Bayesian linear regression in which every hyperparameter and every pair has its own prior
    variance, set by maximizing the evidence (automatic relevance determination; MacKay 1992,
    doi:10.1162/neco.1992.4.3.415). The shares follow from the coefficients in closed form (Sudret
    2008, doi:10.1016/j.ress.2007.04.002). Best on smooth responses.
    """

    kind: Literal["expansion"] = "expansion"
    degree: Count = 8
    """Highest degree in a single hyperparameter."""
    pair_degree: Annotated[Count, Field(ge=2)] = 6
    """Highest sum of the two degrees in a product of two hyperparameters."""
    triple_degree: Annotated[Count, Field(ge=3)] = 4
    """Highest sum of the three degrees in a product of three hyperparameters."""

    def fit(self, space: SearchSpace, units: Array, target: Array) -> Refittable:
        """Fit to rows of units ``[rows, axes]``, NaN where an axis does not apply."""
        from raytune_pipe.components.estimators_expansion import fit_expansion

        degrees = (self.degree, self.pair_degree, self.triple_degree)
        return fit_expansion(space, degrees, units, target)


class Boosting(Component):
    """Gradient-boosted trees (Friedman 2001, doi:10.1214/aos/1013203451).

    The shares are estimated at quasi-random points (Saltelli et al. 2010,
    doi:10.1016/j.cpc.2009.09.018; Jansen 1999, doi:10.1016/S0010-4655(98)00154-4). Ten times as
    slow as an expansion, and blurred below some hundred trials; a check on it where the response
    has cliffs.
    """

    kind: Literal["boosting"] = "boosting"
    trees: Count = 200
    """Number of trees."""
    depth: Count = 4
    """Levels of splits in each tree."""
    shrinkage: Annotated[Positive, Field(le=1)] = 0.12
    """Factor on what each tree adds."""

    def fit(self, space: SearchSpace, units: Array, target: Array) -> Refittable:
        """Fit to rows of units ``[rows, axes]``, NaN where an axis does not apply."""
        from raytune_pipe.components.estimators_boosting import Trees, fit_boosting

        return fit_boosting(Trees(self.trees, self.depth, self.shrinkage), space, units, target)


Estimator = Annotated[Expansion | Boosting, Field(discriminator="kind")]
