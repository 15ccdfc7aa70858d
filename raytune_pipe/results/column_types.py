"""The types of the hyperparameters' columns in the tables."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import NoneType

from raytune_pipe.base import Value
from raytune_pipe.results.events import ColumnType
from raytune_pipe.search_space import SearchSpace


def column_types(known: Iterable[Mapping[str, Value]], space: SearchSpace) -> dict[str, ColumnType]:
    """The type that holds every known value of a name, and all that is searched."""
    seen: dict[str, set[type]] = defaultdict(set)
    for values in known:
        for name, value in values.items():
            seen[name].add(type(value))
    for hyperparameter in space:  # one that no trial has may still come with a mutation
        ends = (hyperparameter.distribution.from_unit(unit) for unit in (0.0, 1.0))
        seen[hyperparameter.name].update(map(type, ends))
    return {name: _column_type(types - {NoneType}) for name, types in seen.items()}


def _column_type(types: set[type]) -> ColumnType:
    if types == {bool}:
        return "bool"
    if types == {int}:
        return "int64"
    return "float64" if types and types <= {int, float} else "string"
