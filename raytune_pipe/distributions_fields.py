"""What distributions share: their common fields, and checks of their bounds and values."""

import math
from statistics import NormalDist
from typing import Annotated, Any, Literal, TypeGuard

from pydantic import AfterValidator, Field

from raytune_pipe.base import Component, Value, list_text

Role = Annotated[
    Literal["scientific", "nuisance"] | None,
    Field(
        description="What the search asks of it, in the terms of the deep learning tuning playbook "
        "(Godbole et al. 2023): scientific is what it is about, nuisance must only be tuned fairly "
        "beside that; null is neither. Changes what is analyzed, nothing that is drawn."
    ),
]
"""For the analysis alone: what the search is about, or what is tuned for its sake."""

_DEVIATIONS = {"low": 0.5, "medium": 0.25, "high": 0.125}
"""Standard deviations on the unit scale."""


def _label(option: Any) -> Value:
    if not isinstance(option, bool | int | float | str | list):
        raise ValueError(f"must be a value of that hyperparameter, but got {option!r}")
    return label_of(option)


When = Annotated[
    dict[str, Annotated[tuple[Annotated[Any, AfterValidator(_label)], ...], Field(min_length=1)]]
    | None,
    Field(
        description="Where it applies, by the name of each hyperparameter that it depends on: only "
        "with these of its values, such as {model.norm: [batch]}. The others must be searched "
        "choices, and all conditions hold at once. Where it does not apply, its value is null in "
        "the results, and the trial has its own. Null is everywhere."
    ),
]
"""The conditions that a file names; an option is named as in its column."""


class Prior(Component):
    """Where the user expects good values: a normal distribution, truncated to the range.

    Its normal lies on the declared scale, as in PriorBand (Mallik et al. 2023, arXiv:2306.12370).
    It changes what is drawn; the unit scale, with which PBT steps and the analysis measures,
    stays the declared one.
    """

    center: float
    """The likeliest value."""
    confidence: Literal["low", "medium", "high"] = "medium"
    """How near to the center good values are expected: a standard deviation of a half (low), a
    quarter (medium) or an eighth (high) of the range on its declared scale."""

    def unit_at(self, quantile: float, center: float) -> float:
        """The unit at a quantile in [0, 1]; ``center`` is that of the likeliest value."""
        if quantile in (0, 1):
            return float(quantile)
        normal = NormalDist(center, _DEVIATIONS[self.confidence])
        below, inside = normal.cdf(0.0), normal.cdf(1.0) - normal.cdf(0.0)
        share = below + quantile * inside
        if not 0.0 < share < 1.0:
            return float(quantile > 0.5)
        return clamp(normal.inv_cdf(share), 0.0, 1.0)


def require_range(low: float, high: float) -> None:
    """Raise ValueError unless the bounds are in order, and finitely far apart."""
    if not low < high:
        raise ValueError(f"low must be below high, but got low {low} and high {high}")
    if not math.isfinite(high - low):
        raise ValueError(f"high - low must be finite, but got low {low} and high {high}")


def require_center(prior: Prior | None, low: float, high: float) -> None:
    """Raise ValueError unless a prior's center lies within the bounds."""
    if prior is not None and not low <= prior.center <= high:
        raise ValueError(
            f"prior.center must lie from low {exactly(low)} to high {exactly(high)}, but got"
            f" {exactly(prior.center)}"
        )


def _above_zero(low: float) -> float:
    if not low > 0:
        start = "1" if isinstance(low, int) else "1e-5"
        raise ValueError(
            f"must be above 0 on a log scale, but got {low:g}; {start} is a common start"
        )
    return low


def exactly(number: float) -> str:
    """A number in 12 significant digits: 0.9990001, and 0.3 for 0.30000000000000004."""
    return f"{number:.12g}"


ABOVE_ZERO = AfterValidator(_above_zero)


def clamp(value: float, low: float, high: float) -> float:
    """The value held between two bounds."""
    return max(low, min(high, value))


def is_number(value: Any) -> TypeGuard[float]:
    """Whether it is a number; a boolean is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value: Any) -> bool:
    """Whether it is a whole number, also as a float: a field may hold an integer as 3.0."""
    return is_number(value) and value == math.floor(value)


def number_of(value: Value) -> float:
    """The value as the number that it must be; raises ValueError."""
    if not is_number(value):
        raise ValueError(f"must be a number, but got {value!r}")
    return value


def same_kind(left: Value, right: Value) -> bool:
    """Whether both are booleans or neither is: Python takes True for 1."""
    return isinstance(left, bool) == isinstance(right, bool)


def label_of(option: Any) -> Value:
    """An option as a hyperparameter's value: a component's kind; else, if nested, its JSON text."""
    if isinstance(option, dict) and "kind" in option:
        return str(option["kind"])
    return list_text(option) if isinstance(option, list | tuple | dict) else option
