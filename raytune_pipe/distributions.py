"""Distributions of one hyperparameter on its declared scale, to and from the unit interval."""

import math
from typing import Annotated, Any, Literal, Self, TypeGuard

from pydantic import AfterValidator, Field, TypeAdapter, model_validator

from raytune_pipe.base import Component, Value, to_json


def _above_zero(low: float) -> float:
    if not low > 0:
        start = "1" if isinstance(low, int) else "1e-5"
        raise ValueError(
            f"must be above 0 on a log scale, but got {low:g}; {start} is a common start"
        )
    return low


_ABOVE_ZERO = AfterValidator(_above_zero)
_Bound = Annotated[int, Field(ge=-(2**40), le=2**40)]
"""Whole numbers up to here keep their own part of the unit interval in double precision."""
Role = Annotated[
    Literal["scientific", "nuisance"] | None,
    Field(
        description="What the search asks of it, in the terms of the deep learning tuning playbook "
        "(Godbole et al. 2023): scientific is what it is about, nuisance must only be tuned fairly "
        "beside that; null is neither. Changes what is analyzed, nothing that is drawn."
    ),
]
"""For the analysis alone: what the search is about, or what is tuned for its sake."""


class Uniform(Component):
    """Real numbers between two bounds, evenly on a linear scale."""

    kind: Literal["uniform"] = "uniform"
    """Name of the distribution."""
    low: float
    """Smallest value."""
    high: float
    """Largest value."""
    role: Role = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _require_range(self.low, self.high)
        return self

    def from_unit(self, unit: float) -> float:
        """Map a unit in [0, 1] to a value; never leaves the bounds."""
        return _clamp((1 - unit) * self.low + unit * self.high, self.low, self.high)

    def to_unit(self, value: Value) -> float:
        """Map a value to [0, 1] on the declared scale."""
        return (_number(value) - self.low) / (self.high - self.low)

    def contains(self, value: Value) -> bool:
        """Whether the value lies in the space."""
        return _is_number(value) and self.low <= _number(value) <= self.high

    def step(self, value: Value, size: float) -> float:
        """The value moved by ``size`` units (signed), held at the bounds."""
        return self.from_unit(_clamp(self.to_unit(value) + size, 0.0, 1.0))


class LogUniform(Component):
    """Real numbers between two bounds above zero, evenly on a logarithmic scale."""

    kind: Literal["log_uniform"] = "log_uniform"
    """Name of the distribution."""
    low: Annotated[float, _ABOVE_ZERO]
    """Smallest value, above 0."""
    high: float
    """Largest value."""
    role: Role = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _require_range(self.low, self.high)
        return self

    def from_unit(self, unit: float) -> float:
        """Map a unit in [0, 1] to a value; never leaves the bounds."""
        if unit in (0, 1):  # exp(log(bound)) may miss the bound by a rounding error
            return self.high if unit else self.low
        log_value = (1 - unit) * math.log(self.low) + unit * math.log(self.high)
        return _clamp(math.exp(log_value), self.low, self.high)

    def to_unit(self, value: Value) -> float:
        """Map a value to [0, 1] on the declared scale."""
        log_low, log_high = math.log(self.low), math.log(self.high)
        return (math.log(_number(value)) - log_low) / (log_high - log_low)

    def contains(self, value: Value) -> bool:
        """Whether the value lies in the space."""
        return _is_number(value) and self.low <= _number(value) <= self.high

    def step(self, value: Value, size: float) -> float:
        """The value moved by ``size`` units (signed), held at the bounds."""
        return self.from_unit(_clamp(self.to_unit(value) + size, 0.0, 1.0))


class IntUniform(Component):
    """Whole numbers between two bounds (both included), evenly on a linear scale."""

    kind: Literal["int_uniform"] = "int_uniform"
    """Name of the distribution."""
    low: _Bound
    """Smallest value."""
    high: _Bound
    """Largest value."""
    role: Role = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _require_range(self.low, self.high)
        return self

    def from_unit(self, unit: float) -> int:
        """Map a unit in [0, 1] to a value: every integer owns an equal part of it."""
        cells = self.high - self.low + 1
        return self.low + min(int(unit * cells), cells - 1)

    def to_unit(self, value: Value) -> float:
        """Map a value to the middle of its part of the unit interval."""
        return (_number(value) - self.low + 0.5) / (self.high - self.low + 1)

    def contains(self, value: Value) -> bool:
        """Whether the value lies in the space."""
        return _is_whole(value) and self.low <= _number(value) <= self.high

    def step(self, value: Value, size: float) -> int:
        """The value moved by ``size`` units (signed), by one at least, held at the bounds."""
        return _step_integer(self, value, size)


class LogIntUniform(Component):
    """Whole numbers between two bounds (both included), evenly on a logarithmic scale."""

    kind: Literal["log_int_uniform"] = "log_int_uniform"
    """Name of the distribution."""
    low: Annotated[_Bound, _ABOVE_ZERO]
    """Smallest value, at least 1."""
    high: _Bound
    """Largest value."""
    role: Role = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _require_range(self.low, self.high)
        return self

    def _edges(self) -> tuple[float, float]:
        return math.log(self.low - 0.5), math.log(self.high + 0.5)

    def from_unit(self, unit: float) -> int:
        """Map a unit in [0, 1] to a value: integers own parts as wide as on the log scale."""
        log_low, log_high = self._edges()
        nearest = math.floor(math.exp(log_low + unit * (log_high - log_low)) + 0.5)
        return int(_clamp(nearest, self.low, self.high))

    def to_unit(self, value: Value) -> float:
        """Map a value to [0, 1] on the declared scale."""
        log_low, log_high = self._edges()
        return (math.log(_number(value)) - log_low) / (log_high - log_low)

    def contains(self, value: Value) -> bool:
        """Whether the value lies in the space."""
        return _is_whole(value) and self.low <= _number(value) <= self.high

    def step(self, value: Value, size: float) -> int:
        """The value moved by ``size`` units (signed), by one at least, held at the bounds."""
        return _step_integer(self, value, size)


class Choice(Component):
    """One of several options: scalars, lists, or whole components told apart by their ``kind``.

    Options that are all numbers are ordered by size, whatever their order in the file; all others
    have no order. A list, such as the widths of a dense net, is named by its JSON text.
    """

    kind: Literal["choice"] = "choice"
    """Name of the distribution."""
    options: Annotated[tuple[Any, ...], Field(min_length=2)]
    """The options: two or more, all different."""
    role: Role = None

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for option in self.options:
            _require_option(option)
        if len({type(option) if _is_nested(option) else None for option in self.options}) > 1:
            raise ValueError(
                "options must be all scalars, all lists or all components, but got a mixture"
            )
        labels = [(type(label) is bool, label) for label in self.labels]
        if len(set(labels)) < len(labels):
            what = "kinds" if self.of_components else "values"
            raise ValueError(f"options must have distinct {what}, but got {list(self.labels)}")
        return self

    @property
    def of_components(self) -> bool:
        """Whether the options are whole components."""
        return isinstance(self.options[0], dict)

    @property
    def ordered(self) -> bool:
        """Whether the options are all numbers and so have an order."""
        return all(_is_number(option) for option in self.options)

    @property
    def labels(self) -> tuple[Value, ...]:
        """The options as hyperparameter values, in order; a component is named by its kind."""
        if self.ordered:
            return tuple(sorted(self.options))
        return tuple(_label(option) for option in self.options)

    def option(self, label: Value) -> Any:
        """The option of that label, as it stands in the file."""
        if not _is_nested(self.options[0]):
            return label
        return next(option for option in self.options if _label(option) == label)

    def from_unit(self, unit: float) -> Value:
        """Map a unit in [0, 1] to a label: every option owns an equal part of the unit interval."""
        labels = self.labels
        return labels[min(int(unit * len(labels)), len(labels) - 1)]

    def to_unit(self, value: Value) -> float:
        """Map a label to the middle of its part of the unit interval."""
        return (self._index(value) + 0.5) / len(self.options)

    def contains(self, value: Value) -> bool:
        """Whether the value is one of the labels."""
        return any(value == label and _same_kind(value, label) for label in self.labels)

    def step(self, value: Value, size: float) -> Value:
        """The neighbour of an ordered option in the direction of ``size``; others stay."""
        if not self.ordered:
            return value
        index = self._index(value) + (1 if size > 0 else -1)
        return self.labels[int(_clamp(index, 0, len(self.options) - 1))]

    def _index(self, value: Value) -> int:
        for index, label in enumerate(self.labels):
            if value == label and _same_kind(value, label):
                return index
        raise ValueError(f"must be one of {list(self.labels)}, but got {value!r}")


Distribution = Annotated[
    Uniform | LogUniform | IntUniform | LogIntUniform | Choice, Field(discriminator="kind")
]
DISTRIBUTION: TypeAdapter[Distribution] = TypeAdapter(Distribution)


def _require_option(option: Any) -> None:
    if isinstance(option, dict):
        if not isinstance(option.get("kind"), str):
            raise ValueError(f"an option that is a component must name its kind, but got {option}")
    elif isinstance(option, float) and not math.isfinite(option):
        raise ValueError(f"an option must be a finite number, but got {option}")
    elif not isinstance(option, bool | int | float | str | list):
        raise ValueError(f"an option must be a scalar, a list or a component, but got {option!r}")


def _is_nested(option: Any) -> bool:
    return isinstance(option, dict | list)


def _label(option: Any) -> Value:
    if isinstance(option, dict):
        return str(option["kind"])
    return to_json(option) if isinstance(option, list) else option


def _require_range(low: float, high: float) -> None:
    if not low < high:
        raise ValueError(f"low must be below high, but got low {low} and high {high}")
    if not math.isfinite(high - low):
        raise ValueError(f"high - low must be finite, but got low {low} and high {high}")


def _step_integer(distribution: IntUniform | LogIntUniform, value: Value, size: float) -> int:
    moved = distribution.from_unit(_clamp(distribution.to_unit(value) + size, 0.0, 1.0))
    if moved == value:
        moved += 1 if size > 0 else -1
    return int(_clamp(moved, distribution.low, distribution.high))


def _clamp(value: float, low: float, high: float) -> float:
    return max(low, min(high, value))


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    """Whether it is a whole number, also as a float: a field may hold an integer as 3.0."""
    return _is_number(value) and value == math.floor(value)


def _number(value: Value) -> float:
    if not _is_number(value):
        raise ValueError(f"must be a number, but got {value!r}")
    return value


def _same_kind(left: Value, right: Value) -> bool:
    return isinstance(left, bool) == isinstance(right, bool)
