"""Crowded designs are told from even ones."""

import numpy as np
import pytest
from numpy.typing import NDArray

from raytune_pipe.analysis.coverage import EVEN, crowding_notes, design_coverage
from raytune_pipe.analysis.observations import Observations
from raytune_pipe.distributions import Choice, IntUniform, LogUniform
from raytune_pipe.search_space import Hyperparameter, SearchSpace

SPACE = SearchSpace(
    (
        Hyperparameter("optimizer.lr", LogUniform(low=1e-4, high=1.0)),
        Hyperparameter("batch_size", Choice(options=(16, 32, 64))),
        Hyperparameter("model.depth", IntUniform(low=1, high=4)),
    )
)


def design(units: NDArray[np.float64]) -> Observations:
    rows = len(units)
    clusters = {"trials": np.arange(rows)}
    return Observations(SPACE, units, np.zeros(rows), clusters, "val_loss")


def test_even_draws_cover_everything() -> None:
    for seed in range(20):
        coverage = design_coverage(design(np.random.default_rng(seed).random((50, 3))))
        assert list(coverage) == list(SPACE.names)
        assert min(coverage.values()) > EVEN
        assert list(crowding_notes(coverage)) == []


def test_crowded_trials_are_said_by_name_the_worst_first() -> None:
    units = np.random.default_rng(0).random((200, 3))
    units[:180, 0] = 0.3 + 0.09 * units[:180, 0]
    units[:190, 1] = 0.5
    coverage = design_coverage(design(units))
    assert coverage["optimizer.lr"] < 0.3
    assert coverage["batch_size"] == pytest.approx(0.4, abs=0.05)
    assert coverage["model.depth"] > EVEN
    (note,) = crowding_notes(coverage)
    assert note.index("optimizer.lr") < note.index("batch_size")
    assert "model.depth" not in note


def test_what_never_applied_is_not_covered() -> None:
    units = np.random.default_rng(1).random((30, 3))
    units[:, 0] = np.nan
    assert design_coverage(design(units))["optimizer.lr"] == 0.0
