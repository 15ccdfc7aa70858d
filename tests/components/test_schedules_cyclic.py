"""Fixed points of a cycle; parity with torch is in test_schedules.py."""

import pytest
from pydantic import ValidationError

from raytune_pipe.components.schedules_cyclic import (
    CosineRestarts,
    OneCycle,
    Triangular,
    WarmupStableDecay,
)
from raytune_pipe.components.schedules_progress import Factors, Progress


def progress(epoch: float, epochs: int = 20) -> Progress:
    return Progress(epoch, round(epoch * 10), epochs, 10, 0.1)


@pytest.mark.parametrize(
    ("growth", "starts"), [(1, [0, 4, 8, 12, 16]), (2, [0, 4, 12, 28]), (3, [0, 4, 16, 52])]
)
def test_each_cycle_starts_at_one_after_a_fall_to_the_last(growth: int, starts: list[int]) -> None:
    schedule = CosineRestarts(period=4, growth=growth, final_factor=0.25)
    for start in starts:
        assert schedule.factors(progress(start), []).lr == 1.0
    for start in starts[1:]:
        assert schedule.factors(progress(start - 1e-6), []).lr == pytest.approx(0.25)


def test_one_epoch_cycles_to_the_longest_trial_are_no_loop() -> None:
    assert CosineRestarts(period=1).factors(progress(999_999.5, 10**6), []).lr == pytest.approx(0.5)
    late = CosineRestarts(period=1, growth=2).factors(progress(999_999.5, 10**6), [])
    assert 0 < late.lr < 1


def test_a_triangle_rises_falls_and_shrinks() -> None:
    schedule = Triangular(period=4, rise=0.25, low_factor=0.2, shrinkage=0.5)
    factors = [schedule.factors(progress(e), []).lr for e in (0, 0.5, 1, 2.5, 4, 5, 9)]
    assert factors == pytest.approx([0.2, 0.6, 1.0, 0.6, 0.2, 0.6, 0.4])


@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_momentum_is_lowest_where_the_rate_is_highest(shape: str) -> None:
    fields = {"peak_at": 0.25, "start_factor": 0.1, "final_factor": 0.01, "momentum_factor": 0.8}
    schedule = OneCycle.model_validate(fields | {"shape": shape})
    course = [schedule.factors(progress(e), []) for e in (0, 5, 20, 30)]
    expected = [Factors(0.1, 1.0), Factors(1.0, 0.8), Factors(0.01, 1.0), Factors(0.01, 1.0)]
    for actual, wanted in zip(course, expected, strict=True):
        assert actual == pytest.approx(wanted)
    half_up, half_down = (schedule.factors(progress(e), []) for e in (2.5, 12.5))
    assert half_up == pytest.approx(Factors(0.55, 0.9))
    assert half_down == pytest.approx(Factors(0.505, 0.9))


def test_the_momentum_stays_below_its_own_value() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        OneCycle(momentum_factor=1.1)


@pytest.mark.parametrize(
    ("warmup", "decay", "expected"),
    [
        (0.25, 0.5, [0.2, 0.6, 1.0, 1.0, 0.55, 0.1]),
        (0.0, 0.5, [1.0, 1.0, 1.0, 1.0, 0.55, 0.1]),
        (0.25, 0.0, [0.2, 0.6, 1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_warm_up_stable_decay(warmup: float, decay: float, expected: list[float]) -> None:
    schedule = WarmupStableDecay(warmup=warmup, decay=decay, start_factor=0.2, final_factor=0.1)
    factors = [schedule.factors(progress(e), []).lr for e in (0, 2.5, 5, 10, 15, 20)]
    assert factors == pytest.approx(expected)


def test_warm_up_and_decay_must_fit_into_the_epochs() -> None:
    with pytest.raises(ValidationError, match=r"at most 1 together, but got 0\.6 \+ 0\.5"):
        WarmupStableDecay(warmup=0.6, decay=0.5)
