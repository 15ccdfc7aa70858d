"""What traps are looked for in: the trial under each combination of the components chosen from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from raytune_pipe.base import Value
from raytune_pipe.conditions import combinations
from raytune_pipe.distributions import Distribution
from raytune_pipe.experiment import Experiment, TrapCode
from raytune_pipe.problems import Path
from raytune_pipe.variants import Plain, get, has, is_component_choice, to_plain


class Trap(NamedTuple):
    """One trap that an experiment is in."""

    code: TrapCode
    path: Path
    """Where in the file."""
    message: str
    """Why it is one, and what to do."""


@dataclass(frozen=True)
class Case:
    """The trial under one combination of the components that are chosen from."""

    plain: Plain
    space: Mapping[str, Distribution]
    """What is searched there."""

    def ends(self, path: str) -> tuple[Any, ...]:
        """The values at the ends of what a field can be: both bounds, all options, or its one."""
        if not has(self.plain, path):
            return ()
        distribution = self.space.get(path)
        if distribution is None or is_component_choice(distribution):
            return (get(self.plain, path),)
        if distribution.kind == "choice":
            return tuple(distribution.options)
        return (distribution.low, distribution.high)

    def where(self, path: str) -> Path:
        """Where in the file the field is set: where it is searched, else in the trial."""
        above = [searched for searched in self.space if f"{path}.".startswith(f"{searched}.")]
        if above:
            return ("search_space", max(above, key=len))
        return ("trial", *path.split("."))

    def largest(self, path: str) -> float:
        """The largest number that a field can be; 0 where it holds none.

        Of a list, one for each layer, the last is left out: no other layer comes behind it.
        """
        numbers = [
            float(one)
            for end in self.ends(path)
            for one in (end[:-1] if isinstance(end, list | tuple) else [end])
            if isinstance(one, int | float) and not isinstance(one, bool)
        ]
        return max(numbers, default=0.0)

    def may_meet(self, path: str, parent: str, value: Value) -> bool:
        """Whether the conditions of a searched field let it apply with this value of another."""
        distribution = self.space.get(path)
        when = distribution.when if distribution is not None else None
        return not when or parent not in when or value in when[parent]

    def most_items(self, path: str) -> int:
        """The length of the longest list that a field can be."""
        return max(
            (len(end) for end in self.ends(path) if isinstance(end, list | tuple)), default=0
        )

    @property
    def hidden_layers(self) -> int:
        """How many layers of a dense or a convolutional net come before its last."""
        return max(self.most_items("model.widths"), self.most_items("model.filters"))


def cases(experiment: Experiment) -> Iterator[Case]:
    """The trial under every combination of components that may be chosen together."""
    for plain, space in combinations(to_plain(experiment.trial), experiment.search_space):
        yield Case(plain, space)
