import math

import pytest

from raytune_pipe.components.stoppers import Divergence, NotANumber, Patience, Stoppers


@pytest.mark.parametrize("last", [math.nan, math.inf, -math.inf])
def test_not_a_number_speaks_on_the_last_loss_only(last: float) -> None:
    assert NotANumber().verdict([1.0, last]) == "not_a_number"
    assert NotANumber().verdict([last, 1.0]) is None
    assert NotANumber().verdict([]) is None


@pytest.mark.parametrize(
    ("history", "stops"),
    [
        ([1.0, 20.0, 20.0], False),  # only two in a row
        ([1.0, 20.0, 20.0, 20.0], True),
        ([1.0, 20.0, 9.0, 20.0], False),
        ([1.0, 10.0, 10.0, 10.0], False),  # at the border, not above
        ([50.0, 1.0, 50.0, 50.0, 50.0], True),
        ([50.0, 50.0, 50.0, 50.0], False),  # high from the start
        ([], False),
    ],
)
def test_divergence(history: list[float], stops: bool) -> None:
    verdict = Divergence(factor=10.0, epochs=3).verdict(history)
    assert verdict == ("divergence" if stops else None)


@pytest.mark.parametrize(
    ("history", "stops"),
    [
        ([1.0, 1.1, 1.2], False),
        ([1.0, 1.1, 1.2, 1.0], True),  # equal is no improvement
        ([1.0, 1.1, 1.2, 0.9], False),
        ([1.0, 0.9, 1.1, 1.2], False),
        ([1.0, 1.1, math.nan, 1.2], True),
        ([math.nan, 1.0, 1.1, 1.2], False),
        ([], False),
    ],
)
def test_patience(history: list[float], stops: bool) -> None:
    assert Patience(epochs=3).verdict(history) == ("patience" if stops else None)


def test_patience_ignores_improvements_that_are_too_small() -> None:
    history = [1.0, 0.99, 0.98, 0.97]
    assert Patience(epochs=3, min_improvement=0.1).verdict(history) == "patience"
    assert Patience(epochs=3, min_improvement=0.01).verdict(history) is None


def test_all_stop_rules_speak_in_order() -> None:
    everything = Stoppers(divergence=Divergence(epochs=1), patience=Patience(epochs=1))
    assert everything.verdict([1.0, math.nan]) == "not_a_number"
    assert everything.verdict([1.0, 99.0]) == "divergence"
    assert everything.verdict([1.0, 1.0]) == "patience"
    assert everything.verdict([1.0, 0.5]) is None


def test_by_default_only_a_loss_that_is_no_number_stops() -> None:
    assert Stoppers().verdict([1.0] * 100 + [1e9]) is None
    assert Stoppers().verdict([math.nan]) == "not_a_number"
