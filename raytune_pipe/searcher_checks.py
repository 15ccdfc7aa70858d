"""What must hold between a searcher and the rest of an experiment, each of them valid by itself."""

from collections.abc import Iterator
from typing import Any

from raytune_pipe.base import Value
from raytune_pipe.components.schedulers import Scheduler
from raytune_pipe.components.searchers import Grid, Points, Searcher, draws_from_results
from raytune_pipe.distributions import Choice
from raytune_pipe.distributions_fields import label_of
from raytune_pipe.problems import Path, Problem, listed, near, shown
from raytune_pipe.search_space import Hyperparameter, SearchSpace, Values

POPULATIONS = ("pbt", "pb2")
"""Schedulers whose trials all start at once and take over each other's values."""


def searcher_problems(
    searcher: Searcher, scheduler: Scheduler, space: SearchSpace, own: Values, trials: int
) -> Iterator[Problem]:
    """Given configurations lie in the space, a grid is run whole, and results can be drawn from.

    ``own`` are the trial's own values by dotted name.
    """
    if scheduler.kind in POPULATIONS and draws_from_results(searcher):
        yield Problem(
            ("searcher",),
            f"must draw all configurations beforehand under {scheduler.kind}: its trials start"
            " together and take over each other's values, so no result belongs to what was drawn;"
            " choose random or sobol, or another scheduler",
            depends_on=(("scheduler",),),
        )
    yield from _problems(searcher, ("searcher",), space, own, trials)


def _problems(
    searcher: Searcher, at: Path, space: SearchSpace, own: Values, trials: int
) -> Iterator[Problem]:
    if isinstance(searcher, Points):
        given = len(searcher.configurations)
        for number in range(given):
            yield from _configuration_problems(searcher, number, at, space, own)
        if trials > given:
            yield from _problems(searcher.then, (*at, "then"), space, own, trials - given)
    elif isinstance(searcher, Grid) and (size := searcher.size(space)) != trials:
        before = "" if len(at) == 1 else " for what comes after the given configurations"
        yield Problem(
            ("trials",),
            f"must be the size of the grid, {size}, but got {trials}{before}; set trials to"
            f" {size}{before and ' more than are given'}, or change {'.'.join(map(str, at))}.points"
            " or the search space",
            depends_on=(("searcher",), ("search_space",), ("trial",)),
        )


def _configuration_problems(
    searcher: Points, number: int, at: Path, space: SearchSpace, own: Values
) -> Iterator[Problem]:
    given = searcher.values_of(number)
    place: Path = (*at, "configurations", number)
    depends_on: tuple[Path, ...] = (("search_space",), ("trial",))
    for name in given:
        if name not in space.names:
            message = (
                f"must be a searched hyperparameter ({listed(space.names)}), but got"
                f" {shown(name)}{near(name, space.names)}"
            )
            yield Problem((*place, name), message, depends_on, is_at_key=True)
    known: dict[str, Value] = {}
    for one in space:
        value = given.get(one.name, own.get(one.name))
        unmet = one.unmet(known)
        if one.name in given and not one.distribution.contains(value):
            message = f"must lie in the search space of {one.name}, but got {shown(value)}"
            yield Problem((*place, one.name), message, depends_on)
        elif fields := _other_fields(one, searcher.configurations[number].get(one.name)):
            message = (
                f"must be the name of an option, such as {shown(value)}, or the option as it is,"
                f" but got another {listed(fields)}; give what is searched of it by its own name,"
                f" such as {one.name.removesuffix('kind')}{fields[0]}"
            )
            yield Problem((*place, one.name), message, depends_on)
        elif one.name in given and unmet and unmet.parent in known:
            message = f"must be left out, as {unmet.parent} is {shown(known[unmet.parent])}"
            yield Problem((*place, one.name), message, depends_on, is_at_key=True)
        if unmet and unmet.parent in known:
            known[one.name] = None
        elif not unmet and one.distribution.contains(value):
            known[one.name] = value


def _other_fields(one: Hyperparameter, given: Any) -> list[str]:
    """What a given component says that its option does not; a trial would have the option's."""
    if not isinstance(given, dict) or not isinstance(one.distribution, Choice):
        return []
    option = one.distribution.option(label_of(given))
    return [name for name in given if name not in option or given[name] != option[name]]
