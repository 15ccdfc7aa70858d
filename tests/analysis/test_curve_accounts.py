"""The two accounts of learning curves, on curves whose ends are known."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from raytune_pipe.analysis.curve_accounts import Accounts, fit_curves
from raytune_pipe.analysis.curve_model import Curves
from raytune_pipe.distributions import Uniform
from raytune_pipe.search_space import Hyperparameter, SearchSpace

Array = NDArray[np.float64]
SPACE = SearchSpace(
    tuple(Hyperparameter(name, Uniform(low=0.0, high=1.0)) for name in ("rate", "late", "idle"))
)
BUDGETS = np.array([1.0, 3.0, 9.0, 27.0])


def losses(units: Array) -> Array:
    """At once the rate decides, at the end what works late: ``[trials, rungs]``."""
    rate, late, _ = units.T
    fade = BUDGETS**-1.0
    full = 1.0 - 2.0 * late
    result: Array = full[:, None] + fade * (2.0 * (1 - rate) + 2.0 * late)[:, None]
    return result


def stopped(trials: int, seed: int) -> Curves:
    """Successive halving: at each rung the better third goes on, and of the others one in ten."""
    rng = np.random.default_rng(seed)
    units = rng.random((trials, 3))
    scores = losses(units) + 0.02 * rng.standard_normal((trials, 4))
    going = np.ones(trials, dtype=bool)
    for rung in range(3):
        cutoff = np.quantile(scores[going, rung], 1 / 3)
        going = going & ((scores[:, rung] <= cutoff) | (rng.random(trials) < 0.1))
        scores[~going, rung + 1 :] = np.nan
    return Curves(units, BUDGETS, scores)


@pytest.fixture(scope="module")
def fitted() -> Accounts:
    return fit_curves(SPACE, stopped(200, 0))


def test_what_works_late_is_found_though_few_trials_got_there(fitted: Accounts) -> None:
    reached = (~np.isnan(fitted.shifting.curves.scores)).sum(axis=0)
    assert reached[-1] < 20
    assert fitted.at(0).shares().total == pytest.approx([1.0, 0.0, 0.0], abs=0.05)
    assert fitted.shifting.at().shares().total == pytest.approx([0.0, 1.0, 0.0], abs=0.05)
    assert fitted.at().shares().total == pytest.approx([0.0, 1.0, 0.0], abs=0.2)


def test_scores_at_the_full_budget_are_predicted(fitted: Accounts) -> None:
    units = np.random.default_rng(9).random((500, 3))
    error = fitted.at().predict(units) - losses(units)[:, -1]
    assert np.sqrt((error**2).mean()) < 0.4 * losses(units)[:, -1].std()


def test_a_refit_sees_only_its_trials(fitted: Accounts) -> None:
    rng = np.random.default_rng(1)
    half = rng.permutation(200)[:100]
    scores = fitted.shifting.curves.scores.copy()
    scores[np.setdiff1d(np.arange(200), half)] = 1e6
    assert fitted.parallel is not None
    curves = Curves(fitted.shifting.curves.units, BUDGETS, scores)
    spoiled = replace(
        fitted,
        shifting=replace(fitted.shifting, curves=curves),
        parallel=replace(fitted.parallel, curves=curves),
    )
    for one, other in zip(spoiled.refits([half, half]), fitted.refits([half, half]), strict=True):
        total = one.at().shares().total
        assert (total == other.at().shares().total).all()


def test_trials_that_all_reach_the_end_are_fitted_like_any() -> None:
    rng = np.random.default_rng(2)
    units = rng.random((120, 3))
    scores = losses(units) + 0.02 * rng.standard_normal((120, 4))
    shares = fit_curves(SPACE, Curves(units, BUDGETS, scores)).at().shares()
    assert shares.total == pytest.approx([0.0, 1.0, 0.0], abs=0.05)


def test_scores_that_are_all_equal_give_a_flat_function() -> None:
    units = np.random.default_rng(3).random((30, 3))
    flat = fit_curves(SPACE, Curves(units, BUDGETS, np.full((30, 4), 0.5))).at()
    assert flat.predict(units) == pytest.approx(np.full(30, 0.5))


def test_where_nothing_is_missing_there_is_no_doubt_between_the_accounts() -> None:
    units = np.random.default_rng(4).random((60, 3))
    whole = fit_curves(SPACE, Curves(units, BUDGETS, losses(units)))
    assert (whole.doubt == 0).all()
    assert (whole.at().coefficients == whole.shifting.at().coefficients).all()


def test_refits_hold_the_doubt_between_the_accounts(fitted: Accounts) -> None:
    assert fitted.doubt.tolist() == sorted(fitted.doubt)
    everything = np.arange(200)
    alone, doubled = fitted.refits([everything, everything])
    assert alone.parallel is None
    assert doubled.parallel is not None
    apart = [one.at().shares().total[0] for one in (alone, doubled)]
    assert min(apart) <= fitted.at().shares().total[0] <= max(apart)
