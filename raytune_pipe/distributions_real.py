"""Distributions of real numbers: evenly on a linear, a logarithmic, or a logit scale."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from raytune_pipe.base import Component, Value
from raytune_pipe.distributions_fields import ABOVE_ZERO, Prior, Role, When, clamp, require_center
from raytune_pipe.distributions_scales import (
    LINEAR,
    LOG,
    LOGIT,
    ONE_MINUS_LOG,
    is_within,
    neighbor,
    require_real_range,
    unit_of,
    value_at,
)

Quantum = Annotated[
    float | None,
    Field(
        gt=0,
        description="Distance between neighboring values, the first of which is low; null is none.",
    ),
]


class Uniform(Component):
    """Real numbers between two bounds, evenly on a linear scale."""

    kind: Literal["uniform"] = "uniform"
    """Name of the distribution."""
    low: float
    """Smallest value."""
    high: float
    """Largest value."""
    quantum: Quantum = None
    prior: Prior | None = None
    """Where good values are expected; null is nowhere in particular."""
    when: When = None
    role: Role = None

    @model_validator(mode="after")
    def _holds(self) -> Self:
        require_real_range(LINEAR, self.low, self.high, self.quantum)
        require_center(self.prior, self.low, self.high)
        return self

    def from_unit(self, unit: float) -> float:
        """Map a unit in [0, 1] to a value; never leaves the bounds."""
        return value_at(LINEAR, self.low, self.high, unit, self.quantum)

    def to_unit(self, value: Value) -> float:
        """Map a value to [0, 1] on the declared scale."""
        return unit_of(LINEAR, self.low, self.high, value, self.quantum)

    def contains(self, value: Value) -> bool:
        """Whether the value lies in the space."""
        return is_within(self.low, self.high, value, self.quantum)

    def step(self, value: Value, size: float) -> float:
        """The value moved by ``size`` units (signed), a quantum at least, held at the bounds."""
        moved = self.from_unit(clamp(self.to_unit(value) + size, 0.0, 1.0))
        if self.quantum is None or moved != value:
            return moved
        return neighbor(self.low, self.high, moved, self.quantum, up=size > 0)


class LogUniform(Component):
    """Real numbers between two bounds above zero, evenly on a logarithmic scale."""

    kind: Literal["log_uniform"] = "log_uniform"
    """Name of the distribution."""
    low: Annotated[float, ABOVE_ZERO]
    """Smallest value, above 0; at least the quantum, where there is one."""
    high: float
    """Largest value."""
    quantum: Quantum = None
    prior: Prior | None = None
    """Where good values are expected; null is nowhere in particular."""
    when: When = None
    role: Role = None

    @model_validator(mode="after")
    def _holds(self) -> Self:
        require_real_range(LOG, self.low, self.high, self.quantum)
        require_center(self.prior, self.low, self.high)
        return self

    def from_unit(self, unit: float) -> float:
        """Map a unit in [0, 1] to a value; never leaves the bounds."""
        return value_at(LOG, self.low, self.high, unit, self.quantum)

    def to_unit(self, value: Value) -> float:
        """Map a value to [0, 1] on the declared scale."""
        return unit_of(LOG, self.low, self.high, value, self.quantum)

    def contains(self, value: Value) -> bool:
        """Whether the value lies in the space."""
        return is_within(self.low, self.high, value, self.quantum)

    def step(self, value: Value, size: float) -> float:
        """The value moved by ``size`` units (signed), a quantum at least, held at the bounds."""
        moved = self.from_unit(clamp(self.to_unit(value) + size, 0.0, 1.0))
        if self.quantum is None or moved != value:
            return moved
        return neighbor(self.low, self.high, moved, self.quantum, up=size > 0)


class LogitUniform(Component):
    """Shares between two bounds in (0, 1), evenly on the scale of log(x / (1 - x)).

    Near 0 that is a log scale of x, near 1 one of 1 - x: for a rate that may be tiny or nearly all.
    """

    kind: Literal["logit_uniform"] = "logit_uniform"
    """Name of the distribution."""
    low: Annotated[float, Field(gt=0, lt=1)]
    """Smallest value, above 0."""
    high: Annotated[float, Field(gt=0, lt=1)]
    """Largest value, below 1."""
    prior: Prior | None = None
    """Where good values are expected; null is nowhere in particular."""
    when: When = None
    role: Role = None

    @model_validator(mode="after")
    def _holds(self) -> Self:
        require_real_range(LOGIT, self.low, self.high)
        require_center(self.prior, self.low, self.high)
        return self

    def from_unit(self, unit: float) -> float:
        """Map a unit in [0, 1] to a value; never leaves the bounds."""
        return value_at(LOGIT, self.low, self.high, unit)

    def to_unit(self, value: Value) -> float:
        """Map a value to [0, 1] on the declared scale."""
        return unit_of(LOGIT, self.low, self.high, value)

    def contains(self, value: Value) -> bool:
        """Whether the value lies in the space."""
        return is_within(self.low, self.high, value)

    def step(self, value: Value, size: float) -> float:
        """The value moved by ``size`` units (signed), held at the bounds."""
        return self.from_unit(clamp(self.to_unit(value) + size, 0.0, 1.0))


class OneMinusLogUniform(Component):
    """Numbers between two bounds in [0, 1), with 1 - x evenly on a logarithmic scale.

    For momentum and betas near 1: an average with momentum x reaches 1 / (1 - x) steps back, so
    from 0.9 to 0.99 is as far as from 0.99 to 0.999.
    """

    kind: Literal["one_minus_log_uniform"] = "one_minus_log_uniform"
    """Name of the distribution."""
    low: Annotated[float, Field(ge=0, lt=1)]
    """Smallest value, at least 0."""
    high: Annotated[float, Field(ge=0, lt=1)]
    """Largest value, below 1."""
    prior: Prior | None = None
    """Where good values are expected; null is nowhere in particular."""
    when: When = None
    role: Role = None

    @model_validator(mode="after")
    def _holds(self) -> Self:
        require_real_range(ONE_MINUS_LOG, self.low, self.high)
        require_center(self.prior, self.low, self.high)
        return self

    def from_unit(self, unit: float) -> float:
        """Map a unit in [0, 1] to a value; never leaves the bounds."""
        return value_at(ONE_MINUS_LOG, self.low, self.high, unit)

    def to_unit(self, value: Value) -> float:
        """Map a value to [0, 1] on the declared scale."""
        return unit_of(ONE_MINUS_LOG, self.low, self.high, value)

    def contains(self, value: Value) -> bool:
        """Whether the value lies in the space."""
        return is_within(self.low, self.high, value)

    def step(self, value: Value, size: float) -> float:
        """The value moved by ``size`` units (signed), held at the bounds."""
        return self.from_unit(clamp(self.to_unit(value) + size, 0.0, 1.0))
