"""The search space of a Ray Tune experiment: whether it fits what was tried, or what to fill in."""

import json
from pathlib import Path

from raytune_pipe.base import ConfigError, Value
from raytune_pipe.importing.imported_run import own_name
from raytune_pipe.importing.ray_files import BOOKKEEPING, RayTrial, flat, numbers_of
from raytune_pipe.search_space import Condition, Hyperparameter, SearchSpace


def with_own_names(space: SearchSpace, notes: list[str]) -> SearchSpace:
    """The space without the names of our columns; what was renamed is noted."""
    renamed = {name: own_name(name) for name in space.names if own_name(name) != name}
    for name, own in renamed.items():
        notes.append(f"hyperparameter {name} is called {own}: {name} is the column of a metric")
    return SearchSpace(
        tuple(
            Hyperparameter(
                own_name(one.name),
                one.distribution,
                tuple(Condition(own_name(each.parent), each.values) for each in one.conditions),
            )
            for one in space
        )
    )


def require_known(space: SearchSpace, trials: list[RayTrial], metric: str) -> None:
    """Raise ConfigError unless trials had these hyperparameters and reported the metric."""
    known = {name for one in trials for name in one.params}
    unknown = [name for name in space.names if name not in known]
    if unknown:
        raise ConfigError(
            f"search_space.{unknown[0]}: must be in params.json of some trial, but only "
            f"{', '.join(sorted(known))} are"
        )
    seen = {name for one in trials for row in one.rows for name, _ in numbers_of(row)}
    if metric not in seen - BOOKKEEPING:
        raise ConfigError(
            f"--metric: must be a number that trials reported, but got {metric!r}; there are "
            f"{', '.join(sorted(seen - BOOKKEEPING)) or 'none'}"
        )


def is_changing(space: SearchSpace, trials: list[RayTrial]) -> bool:
    """Whether a searched hyperparameter changed while a trial ran."""
    return any(
        len({repr(flat(row.get("config") or {}).get(name)) for row in one.rows}) > 1
        for one in trials
        for name in space.names
    )


def skeleton(folder: Path, trials: list[RayTrial]) -> str:
    """What to write for ``--space``, with what was seen of each parameter."""
    seen: dict[str, list[Value]] = {}
    for one in trials:
        configs = [one.params, *(flat(row.get("config") or {}) for row in one.rows)]
        for name, value in (pair for config in configs for pair in config.items()):
            if value is not None and value not in seen.setdefault(name, []):
                seen[name].append(value)
    lines = [_entry(name, values) for name, values in seen.items() if len(values) > 1]
    return "\n".join(
        [
            f"{folder}: the distributions that were searched must be known, but Ray's JSON files do"
            " not hold them, and a guess from what was drawn would rank wrongly; write them into a"
            " file, and name it: --space space.yaml. What was seen:",
            "search_space:",
            *lines,
        ]
    )


def _entry(name: str, values: list[Value]) -> str:
    numbers = [one for one in values if isinstance(one, int | float) and type(one) is not bool]
    if len(numbers) < len(values) or (len(values) <= 4 and all(type(one) is int for one in values)):
        options = json.dumps(sorted(values, key=lambda one: (str(type(one)), one)))
        return f"  {name}: {{kind: choice, options: {options}}}  # seen; are these all?"
    low, high = min(numbers), max(numbers)
    kind = "int_uniform" if all(type(one) is int for one in values) else "uniform"
    if low > 0 and high / low > 20:
        kind = "log_" + kind
    return f"  {name}: {{kind: {kind}, low: {low}, high: {high}}}  # seen; write what was searched"
