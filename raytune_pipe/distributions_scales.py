"""Scales of real numbers: to and from the unit interval, and quanta of it."""

import math
from collections.abc import Callable
from typing import NamedTuple

from raytune_pipe.base import Value
from raytune_pipe.distributions_fields import (
    clamp,
    exactly,
    is_number,
    number_of,
    require_range,
)

MOST_QUANTA = 10**6
"""In a range: finer ones are as good as none."""
LEAST_QUANTUM = 1e-6
"""Times the larger bound; `exactly` tells neighbors apart that are so far from each other."""


class Scale(NamedTuple):
    """A scale on which values lie evenly: rising, and the way back."""

    to: Callable[[float], float]
    back: Callable[[float], float]


def _as_is(value: float) -> float:
    return value


def _logit(value: float) -> float:
    return math.log(value) - math.log1p(-value)


def _logistic(scaled: float) -> float:
    if scaled > 0:  # exp of what is far above 0 is too large
        return 1 / (1 + math.exp(-scaled))
    return math.exp(scaled) / (1 + math.exp(scaled))


def _minus_log_one_minus(value: float) -> float:
    return -math.log1p(-value)


def _one_minus_exp_minus(scaled: float) -> float:
    return -math.expm1(-scaled)


LINEAR = Scale(_as_is, _as_is)
LOG = Scale(math.log, math.exp)
LOGIT = Scale(_logit, _logistic)
ONE_MINUS_LOG = Scale(_minus_log_one_minus, _one_minus_exp_minus)


def require_real_range(scale: Scale, low: float, high: float, quantum: float | None = None) -> None:
    """Raise ValueError unless the bounds can be told apart on the scale and the quantum fits."""
    require_range(low, high)
    if not scale.to(low) < scale.to(high):
        raise ValueError(f"low and high must be further apart, but got low {low} and high {high}")
    if quantum is None:
        return
    if scale is LOG and low < quantum:
        raise ValueError(
            f"low must be at least the quantum on a log scale, but got low {exactly(low)} and"
            f" quantum {exactly(quantum)}"
        )
    least = max((high - low) / MOST_QUANTA, LEAST_QUANTUM * max(abs(low), abs(high)))
    if quantum < least:
        raise ValueError(f"quantum must be at least {least:g}, but got {quantum:g}; leave it out")
    last = max(quanta(low, high, quantum), 1)
    if not math.isclose((high - low) / quantum, last, rel_tol=1e-9):
        raise ValueError(
            f"high must be low plus a whole number of quanta of {exactly(quantum)}, but got"
            f" {exactly(high)}; {exactly(low + last * quantum)} is the nearest"
        )


def value_at(
    scale: Scale, low: float, high: float, unit: float, quantum: float | None = None
) -> float:
    """The value at a unit in [0, 1]; quantized ones own parts up to half-way to their neighbors."""
    if unit in (0, 1):  # a bound may be missed by a rounding error
        return high if unit else low
    first, last = _ends(scale, low, high, quantum)
    value = scale.back((1 - unit) * first + unit * last)
    if quantum is None:
        return clamp(value, low, high)
    return quantized(low, high, quantum, math.floor((value - low) / quantum + 0.5))


def unit_of(
    scale: Scale, low: float, high: float, value: Value, quantum: float | None = None
) -> float:
    """The unit of a value."""
    first, last = _ends(scale, low, high, quantum)
    return (scale.to(number_of(value)) - first) / (last - first)


def _ends(scale: Scale, low: float, high: float, quantum: float | None) -> tuple[float, float]:
    half = (quantum or 0.0) / 2
    return scale.to(low - half), scale.to(high + half)


def is_within(low: float, high: float, value: Value, quantum: float | None = None) -> bool:
    """Whether a value lies between the bounds, a whole number of quanta above low."""
    if not (is_number(value) and low <= value <= high):
        return False
    if quantum is None:
        return True
    above = (value - low) / quantum
    return math.isclose(above, round(above), abs_tol=1e-6)


def neighbor(low: float, high: float, value: float, quantum: float, *, up: bool) -> float:
    """The quantized value next to this one, held at the bounds."""
    return quantized(low, high, quantum, round((value - low) / quantum) + (1 if up else -1))


def quanta(low: float, high: float, quantum: float) -> int:
    """How many quanta fit between the bounds."""
    return round((high - low) / quantum)


def quantized(low: float, high: float, quantum: float, index: int) -> float:
    """The value of that number, from low on, in few digits; the last is high."""
    if index <= 0 or index >= quanta(low, high, quantum):
        return low if index <= 0 else high
    return clamp(float(exactly(low + index * quantum)), low, high)
