"""Importance at each rung, read from fits whose shares are known."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from raytune_pipe.analysis.budgets import importance_by_budget
from raytune_pipe.analysis.fits import Fits
from raytune_pipe.components.surrogates import Shares
from raytune_pipe.distributions import Uniform
from raytune_pipe.search_space import Hyperparameter, SearchSpace

Array = NDArray[np.float64]

SPACE = SearchSpace(
    tuple(Hyperparameter(name, Uniform(low=0.0, high=1.0)) for name in ("early", "late"))
)


@dataclass(frozen=True)
class Known:
    """A surrogate of which nothing but the total share of the first hyperparameter is asked."""

    early: float

    def predict(self, units: Array) -> Array:
        raise NotImplementedError

    def expected(self, axes: tuple[int, ...], units: Array) -> Array:
        raise NotImplementedError

    def shares(self) -> Shares:
        total = np.array([self.early, 1 - self.early])
        return Shares(total, total, np.zeros((2, 2)), 1.0)


def known(early: float) -> Fits:
    refits = tuple(Known(early + shift) for shift in np.linspace(-0.1, 0.1, 21))
    return Fits(SPACE, Known(early), refits)


def test_shares_are_those_of_each_rung_with_their_intervals() -> None:
    rungs = ((1.0, known(0.95)), (9.0, known(0.5)), (81.0, known(0.2)))
    fits = Fits(SPACE, Known(0.2), (Known(0.2), Known(0.2)), at_budgets=rungs)
    found = importance_by_budget(fits)
    assert [one.epochs for one in found] == [1.0, 9.0, 81.0]
    assert [one.total["early"].value for one in found] == [0.95, 0.5, 0.2]
    assert [list(one.total) for one in found] == 3 * [["early", "late"]]
    middle = found[1].total["late"]
    assert middle.low == pytest.approx(0.41, abs=0.02)
    assert middle.high == pytest.approx(0.59, abs=0.02)
    assert found[0].total["early"].high == 1.0  # a share beyond 1 is none
    assert found[0].total["late"].low == 0.0
    mapping = json.loads(json.dumps(found[2].to_mapping(), allow_nan=False))
    assert mapping["epochs"] == 81.0
    assert mapping["total"]["early"].keys() == {"value", "low", "high"}


def test_without_rungs_there_is_nothing_to_compare() -> None:
    assert importance_by_budget(known(0.5)) == ()
