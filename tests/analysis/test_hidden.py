"""Errors with heavy tails are told from noise, and what they hide may belong to any pair."""

import numpy as np
import pytest

from raytune_pipe.analysis.fitting import HeldOut
from raytune_pipe.analysis.hidden import (
    hidden_note,
    hidden_of_explained,
    hidden_variance,
    with_hidden,
)
from raytune_pipe.components.surrogates import Shares

SHARES = Shares(
    first=np.array([0.7, 0.2, 0.0]),
    total=np.array([0.8, 0.3, 0.0]),
    pairs=np.array([[0.0, 0.1, 0.0], [0.1, 0.0, 0.0], [0.0, 0.0, 0.0]]),
    variance=4.0,
)


def held_out(errors: np.ndarray) -> HeldOut:
    target = np.random.default_rng(9).standard_normal(len(errors))
    return HeldOut(target, target - errors, np.arange(len(errors)))


@pytest.mark.parametrize("rows", [100, 1000])
def test_normal_noise_hides_nothing(rows: int) -> None:
    for seed in range(50):
        assert hidden_variance(held_out(np.random.default_rng(seed).normal(size=rows))) == 0


def test_a_few_that_are_far_off_are_seen() -> None:
    errors = 0.1 * np.random.default_rng(0).normal(size=500)
    errors[:20] = 2.0
    assert hidden_variance(held_out(errors)) == pytest.approx(20 * 4 / 500, rel=0.2)
    assert hidden_note(0.16) is not None
    assert "16%" in str(hidden_note(0.16))
    assert hidden_note(0.0) is None


def test_a_constant_target_hides_nothing() -> None:
    assert hidden_variance(HeldOut(np.ones(9), np.ones(9), np.arange(9))) == 0


def test_what_is_hidden_goes_to_one_pair_and_shares_stay_shares() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        drawn = with_hidden(SHARES, 0.5, rng)
        part = drawn.variance / SHARES.variance - 1
        assert 0 <= part <= 0.5
        gained = drawn.total * (1 + part) - SHARES.total
        assert sorted(gained) == pytest.approx([0.0, part, part])
        assert (drawn.pairs == drawn.pairs.T).all()
        assert drawn.first == pytest.approx(SHARES.first / (1 + part))
        assert drawn.total.max() <= 1


def test_the_strong_are_likelier_to_interact() -> None:
    rng = np.random.default_rng(1)
    gains = [with_hidden(SHARES, 0.5, rng).total > SHARES.total for _ in range(400)]
    lr, batch, idle = np.mean(gains, axis=0)
    assert idle < batch
    assert lr + batch + idle <= 2


def test_nothing_hidden_changes_nothing() -> None:
    assert with_hidden(SHARES, 0.0, np.random.default_rng(2)) is SHARES


def test_what_comes_late_is_hidden_where_trials_were_stopped() -> None:
    assert hidden_of_explained(0.0, 0.9, unseen=0.0) == 0
    assert hidden_of_explained(0.0, 0.9, unseen=1.0) == 0.5
    assert hidden_of_explained(0.09, 0.9, unseen=0.0) == pytest.approx(0.1)
    assert hidden_of_explained(0.6, 0.1, unseen=0.9) == 1
