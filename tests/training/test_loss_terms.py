import math

import pytest

from raytune_pipe.training.loss_terms import terms_apart


@pytest.mark.parametrize(
    ("small", "large"),
    [(1.0, 100.0), (0.5, 0.5), (0.0, 7.0), (math.nan, 7.0), (1.0, math.inf)],
)
def test_terms_of_a_size_are_no_matter(small: float, large: float) -> None:
    assert terms_apart({"train_a": small, "train_b": large}, ["a", "b"]) is None


def test_terms_more_than_two_decades_apart_are_told() -> None:
    metrics = {"train_loss": 9e9, "train_a": 3.0, "train_b": 0.02, "train_c": 1.0}
    told = terms_apart(metrics, ["a", "b", "c"])
    assert told is not None
    assert "b (0.02) and a (3) were 150 times apart in the first epoch, so b hardly counts" in told


def test_a_loss_without_terms_has_none_apart() -> None:
    assert terms_apart({"train_loss": 1.0}, []) is None
