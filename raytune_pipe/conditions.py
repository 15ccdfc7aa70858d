"""When searched hyperparameters apply: by the components chosen above them, and by `when`."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from pydantic import ValidationError

from raytune_pipe.base import Value
from raytune_pipe.distributions import Choice, Distribution
from raytune_pipe.problems import Path, Problem, listed, near, shown
from raytune_pipe.search_space import Condition, Hyperparameter, SearchSpace
from raytune_pipe.variants import (
    Plain,
    Variant,
    choice_above,
    has,
    is_component_choice,
    name_of,
    put,
    put_option,
    variants,
)

Space = Mapping[str, Distribution]


def space_of(plain: Plain, space: Space) -> SearchSpace:
    """The search space of a trial, parents before the hyperparameters that depend on them."""
    found: dict[str, Hyperparameter] = {}
    for path in sorted(space, key=lambda path: _depth(path, space)):
        name = name_of(path, space[path])
        alone = space[path].model_copy(update={"when": None})
        found[name] = Hyperparameter(name, alone, tuple(_conditions(path, plain, space, found)))
    return SearchSpace(tuple(found.values()))


class Combination(NamedTuple):
    """The trial under one combination of the components that are chosen from."""

    plain: Plain
    space: dict[str, Distribution]
    """What is searched there: what these components rule out is not."""


def combinations(plain: Plain, space: Space) -> Iterator[Combination]:
    """The trial under every combination of components that may be chosen together.

    Where one rules a choice out, the part stands that is there without it. Combinations with which
    the trial is not valid are left out. Conditions on all but components are taken to hold.
    """
    found: list[tuple[Plain, dict[str, Value]]] = [(plain, {})]
    searched = space_of(plain, space)
    for one in searched:
        found = [wider for each in found for wider in _under_each_option(one, *each)]
    for under, known in found:
        idle = {name for name, value in known.items() if value is None}
        applying = {path: each for path, each in space.items() if name_of(path, each) not in idle}
        yield Combination(under, applying)


def _under_each_option(
    one: Hyperparameter, plain: Plain, known: dict[str, Value]
) -> Iterator[tuple[Plain, dict[str, Value]]]:
    """The trial with each option of a choice of components, and what is known of its parents.

    That is the kinds of its components; None of what does not apply.
    """
    is_ruled_out = any(
        condition.parent in known and known[condition.parent] not in condition.values
        for condition in one.conditions
    )
    if is_ruled_out:
        yield plain, {**known, one.name: None}
    elif is_component_choice(one.distribution):
        path = one.name.removesuffix(".kind")
        for option in one.distribution.options:
            with suppress(ValidationError):
                yield put_option(plain, path, option), {**known, one.name: option["kind"]}
    else:
        yield plain, known


def condition_problems(plain: Plain, space: Space) -> Iterator[Problem]:
    """Every parent is a searched choice, has the values, and does not depend on its child."""
    for path, distribution in space.items():
        for parent, values in (distribution.when or {}).items():
            yield from _parent_problems(path, parent, values, plain, space)
        if cycle := _cycle(path, space):
            message = f"must not depend on itself, but does: {' -> '.join(cycle)}"
            yield Problem(("search_space", path, "when"), message)


def applying(plain: Plain, space: Space, path: str) -> list[Variant]:
    """The trial under each setting of the choices above the path with which it applies.

    With every value of a parent once, not with every combination of all parents' values.
    """
    when = space[path].when or {}
    above = choice_above(path, space)
    labels = when.get(f"{above}.kind")
    return [
        Variant(variant.label, setting)
        for variant in variants(plain, space, path)
        if has(variant.plain, path) and (labels is None or variant.label in labels)
        for setting in _settings(variant.plain, space, when)
    ]


def _settings(plain: Plain, space: Space, when: Mapping[str, tuple[Value, ...]]) -> Iterator[Plain]:
    """The trial with the first value of every parent, then with each of the others."""
    first = {parent: values[0] for parent, values in when.items()}
    yield _with_parents(plain, space, _with_ancestors(first, space))
    for parent, values in when.items():
        for value in values[1:]:
            named = _with_ancestors({**first, parent: value}, space)
            yield _with_parents(plain, space, named)


def _with_ancestors(parents: Mapping[str, Value], space: Space) -> dict[str, Value]:
    """Values of parents, after values of those that they depend on with which they apply."""
    found = dict(parents)
    while above := {
        name: values[0]
        for parent in found
        if (path := _path_of(parent, space))
        for name, values in (space[path].when or {}).items()
        if name not in found
    }:
        found = {**above, **found}
    return found


def _with_parents(plain: Plain, space: Space, parents: Mapping[str, Value]) -> Plain:
    """The trial with these values of parents, as far as it has them and they go together."""
    for name, value in parents.items():
        path = _path_of(name, space)
        choice = space.get(path) if path else None
        if path is None or not isinstance(choice, Choice) or not has(plain, path):
            continue
        option = choice.option(value)
        try:
            plain = (put_option if choice.of_components else put)(plain, path, option)
        except ValidationError:  # told where the option stands
            continue
    return plain


def _conditions(
    path: str, plain: Plain, space: Space, found: Mapping[str, Hyperparameter]
) -> Iterator[Condition]:
    """Under which options of the choice above the path exists, and what the file says besides."""
    when = dict(space[path].when or {})
    above = choice_above(path, space)
    if above is not None:
        parent = found[f"{above}.kind"]
        labels = _labels_with(path, plain, space)
        wanted = when.pop(parent.name, labels)
        labels = tuple(label for label in labels if label in wanted)
        always = len(labels) == len(_labels_of(space[above])) and not parent.conditions
        if not always:
            yield Condition(parent.name, labels)
    for name, values in when.items():
        yield Condition(name, values)


def _labels_with(path: str, plain: Plain, space: Space) -> tuple[Value, ...]:
    """The options of the choice above that have the path."""
    return tuple(each.label for each in variants(plain, space, path) if has(each.plain, path))


def _labels_of(distribution: Distribution) -> tuple[Value, ...]:
    return distribution.labels if isinstance(distribution, Choice) else ()


def _path_of(name: str, space: Space) -> str | None:
    """The entry of the search space that a hyperparameter's name comes from."""
    component = name.removesuffix(".kind")
    if component != name and is_component_choice(space.get(component)):
        return component
    is_itself = name in space and not is_component_choice(space[name])
    return name if is_itself else None


def _parents(path: str, space: Space) -> list[str]:
    """The entries that it depends on directly."""
    above = choice_above(path, space)
    named = [_path_of(name, space) for name in space[path].when or {}]
    return [*([above] if above else []), *(each for each in named if each)]


def _depth(path: str, space: Space) -> int:
    """How many entries stand above, one above the other."""
    return max((1 + _depth(parent, space) for parent in _parents(path, space)), default=0)


def _cycle(path: str, space: Space) -> list[str] | None:
    """The way from an entry through its parents back to itself."""
    ways = [[path]]
    while ways:
        way = ways.pop()
        for parent in _parents(way[-1], space):
            if parent == path:
                return [*way, path]
            if parent not in way:
                ways.append([*way, parent])
    return None


def _parent_problems(
    path: str, parent: str, values: tuple[Any, ...], plain: Plain, space: Space
) -> Iterator[Problem]:
    at: Path = ("search_space", path, "when", parent)
    found = _path_of(parent, space)
    depends_on: tuple[Path, ...] = (("search_space", path), ("search_space", found or parent))
    if found is None:
        yield Problem(at, _not_searched(parent, space), is_at_key=True)
        return
    choice = space[found]
    if not isinstance(choice, Choice):
        message = f"must be a choice, so that its values can be named, but is {choice.kind}"
        yield Problem(at, message, depends_on[1:], is_at_key=True)
        return
    known = choice.labels
    for index, value in enumerate(values):
        if not choice.contains(value):
            advice = near(value, map(str, known)) if isinstance(value, str) else ""
            message = f"must be a value of {parent} ({listed(map(shown, known))}), but got"
            yield Problem((*at, index), f"{message} {shown(value)}{advice}", depends_on[1:])
    if found == choice_above(path, space):
        having = _labels_with(path, plain, space)
        if having and not set(having) & set(values):
            message = f"must be an option with {path} ({listed(map(str, having))}), but got"
            yield Problem(at, f"{message} {listed(map(str, values))}", depends_on[1:])


def _not_searched(parent: str, space: Space) -> str:
    if is_component_choice(space.get(parent)):
        return f"must be {parent}.kind, the name of that choice, but got {parent}"
    names = [name_of(path, distribution) for path, distribution in space.items()]
    return (
        f"must be a searched choice, but {parent} is not searched; search it, or leave the"
        f" condition out{near(parent, names)}"
    )
