"""The types of the hyperparameters' columns, from all planned trials."""

from collections import defaultdict
from types import NoneType

from raytune_pipe.experiment import PlannedTrial
from raytune_pipe.results.events import ColumnType
from raytune_pipe.search_space import SearchSpace
from raytune_pipe.trial import leaves


def column_types(plan: list[PlannedTrial], space: SearchSpace) -> dict[str, ColumnType]:
    """The table column type of every leaf over all planned trials, and of all that is searched."""
    seen: dict[str, set[type]] = defaultdict(set)
    for planned in plan:
        for name, value in leaves(planned.trial).items():
            seen[name].add(type(value))
    for hyperparameter in space:  # one that no planned trial has may still come with a mutation
        ends = (hyperparameter.distribution.from_unit(unit) for unit in (0.0, 1.0))
        seen[hyperparameter.name].update(map(type, ends))
    return {name: _column_type(types - {NoneType}) for name, types in seen.items()}


def _column_type(types: set[type]) -> ColumnType:
    if types == {bool}:
        return "bool"
    if types == {int}:
        return "int64"
    return "float64" if types and types <= {int, float} else "string"
