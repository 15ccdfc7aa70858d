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
    (verdict,) = verdicts_of(("a", "b"), np.array([0.5, 0.1]), totals, totals, trials=60)
    assert (verdict.higher, verdict.lower, verdict.more_trials) == ("a", "b", 0)
    assert verdict.is_resolved
    (turned,) = verdicts_of(
        ("b", "a"), np.array([0.1, 0.5]), totals[:, ::-1], totals[:, ::-1], trials=60
    )
    assert (turned.higher, turned.lower) == ("a", "b")


def test_more_trials_shrink_the_deviation_by_the_root_of_their_number() -> None:
    """A difference of one deviation needs 1.645 of them: 2.7 times the trials."""
    totals = np.column_stack([0.1 + 0.1 * RNG.standard_normal(4000), np.zeros(4000)])
    (verdict,) = verdicts_of(("a", "b"), np.array([0.1, 0.0]), totals, totals, trials=100)
    assert verdict.probability == pytest.approx(0.84, abs=0.02)
    assert verdict.more_trials == pytest.approx(170, abs=15)


def test_equal_shares_are_not_told_apart_by_any_number_of_trials() -> None:
    totals = resampled([0.1, 0.1], 0.05)
    (verdict,) = verdicts_of(("a", "b"), np.array([0.1, 0.1]), totals, totals, trials=60)
    assert not verdict.is_resolved
    assert verdict.more_trials is None


def test_what_is_hidden_does_not_shrink_with_more_trials() -> None:
    values = np.array([0.5, 0.1])
    seen = resampled([0.5, 0.1], 0.02)
    totals = np.where(RNG.random((400, 1)) < 0.2, seen[:, ::-1], seen)
    (verdict,) = verdicts_of(("a", "b"), values, totals, seen, trials=60)
    assert verdict.probability == pytest.approx(0.8, abs=0.05)
    assert verdict.more_trials is None


def test_a_little_that_is_hidden_asks_for_a_few_trials_more() -> None:
    values = np.array([0.5, 0.1])
    seen = np.column_stack([0.5 + 0.4 * RNG.standard_normal(4000), np.full(4000, 0.1)])
    totals = seen + 0.02 * RNG.standard_normal(seen.shape)
    (alone,) = verdicts_of(("a", "b"), values, seen, seen, trials=60)
    (verdict,) = verdicts_of(("a", "b"), values, totals, seen, trials=60)
    assert alone.more_trials
    assert verdict.more_trials
    assert alone.more_trials <= verdict.more_trials < 1.2 * alone.more_trials
