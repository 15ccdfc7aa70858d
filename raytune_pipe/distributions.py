"""Distributions of one hyperparameter on its declared scale, to and from the unit interval."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from raytune_pipe.base import Component, Value
from raytune_pipe.distributions_fields import (
    ABOVE_ZERO,
    Prior,
    Role,
    When,
    clamp,
    is_number,
    is_whole,
    label_of,
    number_of,
    require_center,
    require_range,
    same_kind,
)
from raytune_pipe.distributions_real import (
    LogitUniform,
    LogUniform,
    OneMinusLogUniform,
    Uniform,
)
from raytune_pipe.distributions_scales import quanta, quantized

__all__ = [
    "DISTRIBUTION",
    "Choice",
    "Distribution",
    "IntUniform",
    "LogIntUniform",
    "LogUniform",
    "LogitUniform",
    "OneMinusLogUniform",
    "Prior",
    "Uniform",
    "count_of",
    "drawn",
    "nearest_value",
    "values_of",
]

_Bound = Annotated[int, Field(ge=-(2**40), le=2**40)]
"""Whole numbers up to here keep their own part of the unit interval in double precision."""


class IntUniform(Component):
    """Whole numbers between two bounds (both included), evenly on a linear scale."""

    kind: Literal["int_uniform"] = "int_uniform"
    """Name of the distribution."""
    low: _Bound
    """Smallest value."""
    high: _Bound
    """Largest value."""
    prior: Prior | None = None
    """Where good values are expected; null is nowhere in particular."""
    when: When = None
    role: Role = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        require_range(self.low, self.high)
        require_center(self.prior, self.low, self.high)
        return self

    def from_unit(self, unit: float) -> int:
        """Map a unit in [0, 1] to a value: every integer owns an equal part of it."""
        cells = self.high - self.low + 1
        return self.low + min(int(unit * cells), cells - 1)

    def to_unit(self, value: Value) -> float:
        """Map a value to the middle of its part of the unit interval."""
        return (number_of(value) - self.low + 0.5) / (self.high - self.low + 1)

    def contains(self, value: Value) -> bool:
        """Whether the value lies in the space."""
        return is_whole(value) and self.low <= number_of(value) <= self.high

    def step(self, value: Value, size: float) -> int:
        """The value moved by ``size`` units (signed), by one at least, held at the bounds."""
        return _step_integer(self, value, size)


class LogIntUniform(Component):
    """Whole numbers between two bounds (both included), evenly on a logarithmic scale."""

    kind: Literal["log_int_uniform"] = "log_int_uniform"
    """Name of the distribution."""
    low: Annotated[_Bound, ABOVE_ZERO]
    """Smallest value, at least 1."""
    high: _Bound
    """Largest value."""
    prior: Prior | None = None
    """Where good values are expected; null is nowhere in particular."""
    when: When = None
    role: Role = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        require_range(self.low, self.high)
        require_center(self.prior, self.low, self.high)
        return self

    def _edges(self) -> tuple[float, float]:
        return math.log(self.low - 0.5), math.log(self.high + 0.5)

    def from_unit(self, unit: float) -> int:
        """Map a unit in [0, 1] to a value: integers own parts as wide as on the log scale."""
        log_low, log_high = self._edges()
        nearest = math.floor(math.exp(log_low + unit * (log_high - log_low)) + 0.5)
        return int(clamp(nearest, self.low, self.high))

    def to_unit(self, value: Value) -> float:
        """Map a value to [0, 1] on the declared scale."""
        log_low, log_high = self._edges()
        return (math.log(number_of(value)) - log_low) / (log_high - log_low)

    def contains(self, value: Value) -> bool:
        """Whether the value lies in the space."""
        return is_whole(value) and self.low <= number_of(value) <= self.high

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
    when: When = None
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
        return all(is_number(option) for option in self.options)

    @property
    def labels(self) -> tuple[Value, ...]:
        """The options as hyperparameter values, in order; a component is named by its kind."""
        if self.ordered:
            return tuple(sorted(self.options))
        return tuple(label_of(option) for option in self.options)

    def option(self, label: Value) -> Any:
        """The option of that label, as it stands in the file."""
        if not _is_nested(self.options[0]):
            return label
        return next(option for option in self.options if label_of(option) == label)

    def from_unit(self, unit: float) -> Value:
        """Map a unit in [0, 1] to a label: every option owns an equal part of the unit interval."""
        labels = self.labels
        return labels[min(int(unit * len(labels)), len(labels) - 1)]

    def to_unit(self, value: Value) -> float:
        """Map a label to the middle of its part of the unit interval."""
        return (self._index(value) + 0.5) / len(self.options)

    def contains(self, value: Value) -> bool:
        """Whether the value is one of the labels."""
        return any(value == label and same_kind(value, label) for label in self.labels)

    def step(self, value: Value, size: float) -> Value:
        """The neighbour of an ordered option in the direction of ``size``; others stay."""
        if not self.ordered:
            return value
        index = self._index(value) + (1 if size > 0 else -1)
        return self.labels[int(clamp(index, 0, len(self.options) - 1))]

    def _index(self, value: Value) -> int:
        for index, label in enumerate(self.labels):
            if value == label and same_kind(value, label):
                return index
        raise ValueError(f"must be one of {list(self.labels)}, but got {value!r}")


Distribution = Annotated[
    Uniform | LogUniform | LogitUniform | OneMinusLogUniform | IntUniform | LogIntUniform | Choice,
    Field(discriminator="kind"),
]
DISTRIBUTION: TypeAdapter[Distribution] = TypeAdapter(Distribution)


def drawn(distribution: Distribution, unit: float) -> Value:
    """The value that an even draw in [0, 1) stands for, by the prior where there is one.

    Without a prior, what `from_unit` gives; with one, the value at that quantile of it.
    """
    if isinstance(distribution, Choice) or distribution.prior is None:
        return distribution.from_unit(unit)
    prior = distribution.prior
    return distribution.from_unit(prior.unit_at(unit, distribution.to_unit(prior.center)))


def count_of(distribution: Distribution) -> int | None:
    """How many values there are; None where they are continuous."""
    if isinstance(distribution, Choice):
        return len(distribution.options)
    if isinstance(distribution, IntUniform | LogIntUniform):
        return distribution.high - distribution.low + 1
    if isinstance(distribution, Uniform | LogUniform) and distribution.quantum is not None:
        return quanta(distribution.low, distribution.high, distribution.quantum) + 1
    return None


def values_of(distribution: Distribution) -> tuple[Value, ...]:
    """All values, rising where they have an order; none where they are continuous."""
    if isinstance(distribution, Choice):
        return distribution.labels
    if isinstance(distribution, IntUniform | LogIntUniform):
        return tuple(range(distribution.low, distribution.high + 1))
    if isinstance(distribution, Uniform | LogUniform) and distribution.quantum is not None:
        low, high, quantum = distribution.low, distribution.high, distribution.quantum
        last = quanta(low, high, quantum)
        return tuple(quantized(low, high, quantum, index) for index in range(last + 1))
    return ()


def nearest_value(distribution: Distribution, number: float) -> Value:
    """The value nearest to a number; of a choice, whose options must be numbers, by difference."""
    if isinstance(distribution, Choice):
        numbers = [label for label in distribution.labels if is_number(label)]
        return min(numbers, key=lambda label: abs(label - number))
    held = clamp(number, distribution.low, distribution.high)
    if distribution.contains(held):
        return held
    return distribution.from_unit(clamp(distribution.to_unit(held), 0.0, 1.0))


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


def _step_integer(distribution: IntUniform | LogIntUniform, value: Value, size: float) -> int:
    moved = distribution.from_unit(clamp(distribution.to_unit(value) + size, 0.0, 1.0))
    if moved == value:
        moved += 1 if size > 0 else -1
    return int(clamp(moved, distribution.low, distribution.high))
