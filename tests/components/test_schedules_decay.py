"""Fixed points within an epoch and at the ends; parity with torch is in test_schedules.py."""

import math

import pytest
from pydantic import ValidationError

from raytune_pipe.components.schedules import Schedule
from raytune_pipe.components.schedules_decay import (
    Exponential,
    Inverse,
    InverseSqrt,
    MultiStep,
    Polynomial,
    Sigmoid,
    Step,
)
from raytune_pipe.components.schedules_progress import Progress


def progress(epoch: float, epochs: int = 20) -> Progress:
    return Progress(epoch, round(epoch * 10), epochs, 10, 0.1)


def test_steps_come_at_the_first_step_of_an_epoch() -> None:
    schedule = Step(every=3, factor=0.5)
    assert [schedule.factors(progress(e), []).lr for e in (2.9, 3.0, 5.9, 6.0)] == [
        1,
        0.5,
        0.5,
        0.25,
    ]
    by_hand = MultiStep(milestones=(3, 6), factor=0.5)
    for tenth in range(90):
        now = progress(tenth / 10)
        assert by_hand.factors(now, []) == schedule.factors(now, [])


@pytest.mark.parametrize("milestones", [(), (3, 3), (6, 3), (0, 3)])
def test_milestones_must_rise_from_above_zero(milestones: tuple[int, ...]) -> None:
    with pytest.raises(
        ValidationError, match=r"must rise, .* got \[|at least 1|than or equal to 1"
    ):
        MultiStep(milestones=milestones)


def test_exponential_falls_within_an_epoch() -> None:
    assert Exponential(factor=0.25).factors(progress(0.5), []).lr == 0.5


def test_inverse_is_a_half_where_decay_times_epoch_is_one() -> None:
    assert Inverse(decay=0.125).factors(progress(8), []).lr == 0.5
    assert Inverse(decay=0.125, power=2).factors(progress(8), []).lr == 0.25


def test_inverse_sqrt_holds_and_then_falls() -> None:
    factors = [InverseSqrt(hold=2.5).factors(progress(e), []).lr for e in (0, 2.5, 10)]
    assert factors == [1.0, 1.0, 0.5]


def test_polynomial_ends_at_its_final_factor_and_stays() -> None:
    schedule = Polynomial(power=2, final_factor=0.2)
    factors = [schedule.factors(progress(e), []).lr for e in (0, 10, 20, 30)]
    assert factors == pytest.approx([1.0, 0.2 + 0.8 / 4, 0.2, 0.2])


def test_sigmoid_is_a_half_at_its_center() -> None:
    schedule = Sigmoid(center=8, steepness=0.5)
    assert schedule.factors(progress(8), []).lr == 0.5
    drop = [schedule.factors(progress(e), []).lr for e in (4, 12)]
    assert drop == pytest.approx([0.88, 0.12], abs=2e-3)


def test_extreme_fields_overflow_nothing() -> None:
    last = progress(10**6, 10**6)
    schedules: list[Schedule] = [
        Sigmoid(center=1e-300, steepness=1e300),
        Sigmoid(center=1e300, steepness=1e300),
        Inverse(decay=1e300, power=1e300),
        InverseSqrt(hold=5e-324),
        Exponential(factor=5e-324),
        Step(every=1, factor=1e-300),
        Polynomial(power=1e300),
    ]
    for schedule in schedules:
        assert math.isfinite(schedule.factors(last, []).lr)
        assert math.isfinite(schedule.factors(progress(0), []).lr)
