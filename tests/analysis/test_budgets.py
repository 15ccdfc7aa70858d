"""Importance at every rung of an early-stopped run."""

import numpy as np
import pytest

from raytune_pipe.analysis.budgets import importance_by_budget
from raytune_pipe.analysis.fits import Fits
from raytune_pipe.components.surrogates import Shares
from tests.analysis.simulated_search import SPACE, Array, search, valley


class Known:
    """A surrogate of which nothing but the total shares is known."""

    def __init__(self, *total: float) -> None:
        self.total = np.array(total)

    def predict(self, units: Array) -> Array:
        raise NotImplementedError

    def expected(self, axes: tuple[int, ...], units: Array) -> Array:
        raise NotImplementedError

    def shares(self) -> Shares:
        return Shares(self.total, self.total, np.zeros((5, 5)), 1.0)


def fits(lr: float, batch_size: float) -> Fits:
    """The learning rate and the batch size share, and refits differ by a twentieth."""
    refits = [Known(lr + by, batch_size - by, 0, 0, 0) for by in (-0.05, 0.0, 0.05)]
    return Fits(SPACE, Known(lr, batch_size, 0, 0, 0), tuple(refits))


def test_shares_are_told_at_each_budget_with_their_intervals() -> None:
    early, late = fits(0.2, 0.8), fits(0.98, 0.02)
    by_rung = Fits(SPACE, late.surrogate, late.refits, at_budgets=((1.0, early), (27.0, late)))
    first, last = importance_by_budget(by_rung)
    assert (first.epochs, last.epochs) == (1.0, 27.0)
    assert list(first.total) == list(SPACE.names)
    assert first.total["optimizer.lr"].value == pytest.approx(0.2)
    assert last.total["optimizer.lr"].value == pytest.approx(0.98)
    for one in (first, last):
        assert all(0 <= low <= value <= high <= 1 for value, low, high in one.total.values())
    assert first.total["optimizer.lr"].low < 0.2 < first.total["optimizer.lr"].high
    assert last.total["optimizer.lr"].high == 1.0  # a share, whatever the refits say


def test_where_nothing_was_stopped_there_is_but_one_budget() -> None:
    assert importance_by_budget(search(valley).fits) == ()


def test_a_budget_is_plain_values() -> None:
    one = fits(0.2, 0.8)
    (budget,) = importance_by_budget(Fits(SPACE, one.surrogate, one.refits, ((3.0, one),)))
    mapping = budget.to_mapping()
    assert mapping["epochs"] == 3.0
    assert mapping["total"]["batch_size"].keys() == {"value", "low", "high"}
