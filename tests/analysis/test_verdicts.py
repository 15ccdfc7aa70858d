"""Orders, tiers and advice from resampled shares."""

import numpy as np
import pytest

from raytune_pipe.analysis.verdicts import probabilities, tiers_of, verdicts_of

RNG = np.random.default_rng(0)


def resampled(means: list[float], deviation: float) -> np.ndarray:
    return np.array(means) + deviation * RNG.standard_normal((400, len(means)))


def test_probabilities_are_fractions_and_ties_count_half() -> None:
    above = probabilities(np.array([[1.0, 0.0], [0.5, 0.5]]))
    assert above.tolist() == [[0.5, 0.75], [0.25, 0.5]]


def test_tiers_are_cut_where_all_above_exceed_all_below() -> None:
    names = ("a", "b", "c", "d")
    assert tiers_of(names, resampled([0.8, 0.75, 0.2, 0.0], 0.05)) == (("a", "b"), ("c",), ("d",))
    assert tiers_of(names, resampled([0.1, 0.1, 0.1, 0.1], 0.05)) == (names,)
    assert tiers_of(("a",), resampled([0.5], 0.1)) == (("a",),)


def test_the_higher_one_is_the_one_that_is_more_often_above() -> None:
    totals = resampled([0.5, 0.1], 0.05)
    (verdict,) = verdicts_of(("a", "b"), np.array([0.5, 0.1]), totals, trials=60)
    assert (verdict.higher, verdict.lower, verdict.more_trials) == ("a", "b", 0)
    assert verdict.is_resolved
    (turned,) = verdicts_of(("b", "a"), np.array([0.1, 0.5]), totals[:, ::-1], trials=60)
    assert (turned.higher, turned.lower) == ("a", "b")


def test_more_trials_shrink_the_deviation_by_the_root_of_their_number() -> None:
    """A difference of one deviation needs 1.645 of them: 2.7 times the trials."""
    totals = np.column_stack([0.1 + 0.1 * RNG.standard_normal(4000), np.zeros(4000)])
    (verdict,) = verdicts_of(("a", "b"), np.array([0.1, 0.0]), totals, trials=100)
    assert verdict.probability == pytest.approx(0.84, abs=0.02)
    assert verdict.more_trials == pytest.approx(170, abs=15)


def test_equal_shares_are_not_told_apart_by_any_number_of_trials() -> None:
    totals = resampled([0.1, 0.1], 0.05)
    (verdict,) = verdicts_of(("a", "b"), np.array([0.1, 0.1]), totals, trials=60)
    assert not verdict.is_resolved
    assert verdict.more_trials is None
