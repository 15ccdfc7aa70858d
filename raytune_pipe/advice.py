"""What is advised for a hyperparameter of a given trial, and whether a searched range meets it."""

import functools
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from raytune_pipe.advice_table import ADVICE, Advice, sources_of
from raytune_pipe.base import Component, ConfigError, members
from raytune_pipe.distributions import Choice, Distribution
from raytune_pipe.distributions_fields import Role, When, is_number, label_of
from raytune_pipe.problems import Problem, listed, near, shown
from raytune_pipe.variants import Plain, variants


class Advised(Component):
    """The range that practitioners advise for it, see `raytune-pipe advise`.

    Where components are searched, the range that holds those of all of them. The resolved
    experiment has the range itself.
    """

    kind: Literal["advised"] = "advised"
    """Name of the distribution."""
    when: When = None
    role: Role = None


if TYPE_CHECKING:
    Entries = dict[str, Distribution]
    """A search space; what a file says of it may also be `Advised`, until that is filled in."""
else:
    _ENTRY = functools.reduce(operator.or_, (*members(Distribution), Advised))
    Entries = dict[str, Annotated[_ENTRY, Field(discriminator="kind")]]


def with_advice(
    entries: Mapping[str, Distribution | Advised], plain: Plain
) -> dict[str, Distribution]:
    """The search space of a trial, plain values, with the advised ranges filled in.

    Those that there is no advice on are left out, see `advice_problems`.
    """
    concrete = _concrete(entries)
    found: dict[str, Distribution] = {}
    for path, entry in entries.items():
        if not isinstance(entry, Advised):
            found[path] = entry
        elif advice := advised_over(path, plain, concrete):
            own = {"when": entry.when, "role": entry.role}
            found[path] = advice.distribution.model_copy(update=own)
    return found


def advice_problems(
    entries: Mapping[str, Distribution | Advised], plain: Plain
) -> Iterator[Problem]:
    """Each range that is to be the advised one is of a hyperparameter that there is advice on."""
    concrete = _concrete(entries)
    for path, entry in entries.items():
        if isinstance(entry, Advised) and advised_over(path, plain, concrete) is None:
            known = advised_paths(plain)
            message = (
                f"must be a hyperparameter that there is advice on ({listed(known)}), but got"
                f" {path}{near(path, known)}"
            )
            yield Problem((path,), message, is_at_key=True)


def advice_taken(
    entries: Mapping[str, Any], plain: Plain, space: Mapping[str, Distribution]
) -> Iterator[str]:
    """A sentence for each entry of a file's search space that was the advised one.

    ``space`` is the search space as it was understood.
    """
    of_file = [path for path, entry in entries.items() if _is_advised(entry)]
    rest = {path: each for path, each in space.items() if path not in of_file}
    for path in of_file:
        if advice := advised_over(path, plain, rest):
            yield f"{path} is searched as advised ({', '.join(advice.by)}): {advice.reason}"


def _is_advised(entry: Any) -> bool:
    return isinstance(entry, Mapping) and entry.get("kind") == "advised"


def _concrete(entries: Mapping[str, Distribution | Advised]) -> dict[str, Distribution]:
    return {path: each for path, each in entries.items() if not isinstance(each, Advised)}


def advised_range(path: str, plain: Plain) -> Advice | None:
    """The advice on a hyperparameter of a trial, plain values; None where there is none."""
    rows = (advice for advice in ADVICE if advice.path == path and advice.is_meant_for(plain))
    return next(rows, None)


def advised_over(path: str, plain: Plain, space: Mapping[str, Distribution]) -> Advice | None:
    """The same where components are searched: the range that holds what is advised for each.

    ``space`` is searched beside it; its choices of components give the trial's variants.
    """
    found: list[Advice] = []
    for variant in variants(plain, space, path):
        advice = advised_range(path, variant.plain)
        if advice is not None and advice not in found:
            found.append(advice)
    if len(found) < 2:
        return found[0] if found else None
    return Advice(
        path,
        _hull([advice.distribution for advice in found]),
        sources_of("".join(letter for advice in found for letter in advice.by)),
        f"It holds the ranges advised for the {len(found)} cases that are searched.",
        alternatives=tuple(dict.fromkeys(other for one in found for other in one.alternatives)),
    )


def advised_paths(plain: Plain) -> list[str]:
    """The hyperparameters of a trial that there is advice on."""
    return list(dict.fromkeys(one.path for one in ADVICE if one.is_meant_for(plain)))


def advice_at(path: str | None = None) -> list[Advice]:
    """The rows of the table, or those at and beneath a dotted path.

    Raises:
        ConfigError: there is none there.
    """
    known = list(dict.fromkeys(advice.path for advice in ADVICE))
    found = [
        advice
        for advice in ADVICE
        if path is None or f"{advice.path}.".startswith(f"{path.removesuffix('.')}.")
    ]
    if not found:
        raise ConfigError(
            f"PATH: must be a hyperparameter that there is advice on ({', '.join(known)}), but got"
            f" {shown(path)}{near(path or '', known)}"
        )
    return found


def overlaps(searched: Distribution, advised: Distribution) -> bool:
    """Whether a searched range has anything in common with an advised one.

    Ranges that cannot be compared, such as lists or names, count as overlapping unless they are
    choices of the same kind without a common option.
    """
    of_both = _numbers(searched), _numbers(advised)
    if of_both[0] and of_both[1]:
        low, high = min(of_both[1]), max(of_both[1])
        if isinstance(searched, Choice):
            return any(low <= number <= high for number in of_both[0])
        return min(of_both[0]) <= high and low <= max(of_both[0])
    if isinstance(searched, Choice) and isinstance(advised, Choice):
        return bool(set(searched.labels) & set(advised.labels))
    return True


def _numbers(distribution: Distribution) -> list[float]:
    """The options that are numbers, or the bounds."""
    if not isinstance(distribution, Choice):
        return [distribution.low, distribution.high]
    return [label for label in distribution.labels if is_number(label)]


def _hull(distributions: Sequence[Distribution]) -> Distribution:
    """The smallest range that holds all of these, which must be of one kind."""
    first = distributions[0]
    if isinstance(first, Choice):
        options = [each for one in distributions if isinstance(one, Choice) for each in one.options]
        return Choice(options=tuple({label_of(each): each for each in options}.values()))
    numbers = [number for one in distributions for number in _numbers(one)]
    return first.model_copy(update={"low": min(numbers), "high": max(numbers)})
