"""The search space: the searched hyperparameters, their distributions, and when they apply."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, Self

from raytune_pipe.base import Value
from raytune_pipe.distributions import DISTRIBUTION, Distribution, drawn

Values = Mapping[str, Value]
"""Hyperparameter values by dotted name; a name that is absent or None does not apply."""
NO_VALUES: Values = MappingProxyType({})


class Condition(NamedTuple):
    """A hyperparameter applies only where its parent has one of these values."""

    parent: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Hyperparameter:
    """A searched hyperparameter: its dotted name, its distribution and when it applies.

    All of its conditions must hold.
    """

    name: str
    distribution: Distribution
    conditions: tuple[Condition, ...] = ()

    def applies(self, values: Values) -> bool:
        """Whether it applies, given its parents' values among these."""
        return self.unmet(values) is None

    def unmet(self, values: Values) -> Condition | None:
        """The first condition that does not hold, given its parents' values among these."""
        for condition in self.conditions:
            if values.get(condition.parent) not in condition.values:
                return condition
        return None

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON; the inverse of `from_mapping`."""
        mapping: dict[str, Any] = {
            "name": self.name,
            "distribution": self.distribution.model_dump(mode="json", exclude={"when"}),
        }
        if self.conditions:
            mapping["when"] = {each.parent: list(each.values) for each in self.conditions}
        return mapping

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Rebuild from plain values."""
        when = mapping.get("when", {}).items()
        conditions = tuple(Condition(parent, tuple(values)) for parent, values in when)
        distribution = DISTRIBUTION.validate_python(mapping["distribution"], strict=False)
        return cls(mapping["name"], distribution, conditions)


@dataclass(frozen=True)
class SearchSpace:
    """The searched hyperparameters, parents before the ones they condition."""

    hyperparameters: tuple[Hyperparameter, ...]

    def __iter__(self) -> Iterator[Hyperparameter]:
        return iter(self.hyperparameters)

    def __len__(self) -> int:
        return len(self.hyperparameters)

    def __getitem__(self, name: str) -> Hyperparameter:
        for hyperparameter in self.hyperparameters:
            if hyperparameter.name == name:
                return hyperparameter
        raise KeyError(name)

    @property
    def names(self) -> tuple[str, ...]:
        """The dotted names, in order."""
        return tuple(hyperparameter.name for hyperparameter in self.hyperparameters)

    def from_units(self, units: Mapping[str, float]) -> dict[str, Value]:
        """Values from one unit per name; a hyperparameter that does not apply is None."""
        values: dict[str, Value] = {}
        for hyperparameter in self.hyperparameters:
            value = hyperparameter.distribution.from_unit(units[hyperparameter.name])
            values[hyperparameter.name] = value if hyperparameter.applies(values) else None
        return values

    def drawn(self, units: Mapping[str, float]) -> dict[str, Value]:
        """The same from even draws, one per name, by the user's priors where there are any."""
        values: dict[str, Value] = {}
        for hyperparameter in self.hyperparameters:
            value = drawn(hyperparameter.distribution, units[hyperparameter.name])
            values[hyperparameter.name] = value if hyperparameter.applies(values) else None
        return values

    def to_units(self, values: Values) -> dict[str, float]:
        """Units by name on the declared scales; NaN where a hyperparameter does not apply."""
        units = {}
        for hyperparameter in self.hyperparameters:
            value = values.get(hyperparameter.name)
            to_unit = hyperparameter.distribution.to_unit
            units[hyperparameter.name] = math.nan if value is None else to_unit(value)
        return units

    def is_active(self, name: str, values: Values) -> bool:
        """Whether the hyperparameter applies, given its parents' values."""
        return self[name].applies(values)

    def contains(self, values: Values) -> bool:
        """Whether every hyperparameter that applies lies in its range, and no other has a value."""
        return all(
            hyperparameter.distribution.contains(values.get(hyperparameter.name))
            if hyperparameter.applies(values)
            else values.get(hyperparameter.name) is None
            for hyperparameter in self.hyperparameters
        )

    def to_mappings(self) -> list[dict[str, Any]]:
        """Plain values for JSON; the inverse of `from_mappings`."""
        return [hyperparameter.to_mapping() for hyperparameter in self.hyperparameters]

    @classmethod
    def from_mappings(cls, mappings: list[dict[str, Any]]) -> Self:
        """Rebuild from plain values."""
        return cls(tuple(Hyperparameter.from_mapping(mapping) for mapping in mappings))
