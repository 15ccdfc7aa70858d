"""A trial with searched values put in: where a dotted path leads, and under which options."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, TypeGuard

from pydantic import ValidationError

from raytune_pipe.base import Value
from raytune_pipe.distributions import Choice, Distribution
from raytune_pipe.trial import Trial

Plain = Mapping[str, Any]
"""A trial as plain values, defaults included."""


class Variant(NamedTuple):
    """The trial under one option of the component choice above a path."""

    label: Value
    """The option's kind; None where no choice stands above the path."""
    plain: Plain


def to_plain(trial: Trial) -> dict[str, Any]:
    """The trial as plain values."""
    return trial.model_dump(mode="json")


def to_trial(plain: Plain) -> Trial:
    """The validated trial; raises pydantic's ValidationError."""
    return Trial.model_validate_json(json.dumps(plain))


def is_component_choice(distribution: Distribution | None) -> TypeGuard[Choice]:
    """Whether it chooses between whole components."""
    return distribution is not None and distribution.kind == "choice" and distribution.of_components


def name_of(path: str, distribution: Distribution) -> str:
    """The hyperparameter's name: a choice of components is named by their ``kind``."""
    return f"{path}.kind" if is_component_choice(distribution) else path


def has(plain: Any, path: str) -> bool:
    """Whether the path leads to a value, which may be null."""
    for key in path.split("."):
        if not isinstance(plain, Mapping) or key not in plain:
            return False
        plain = plain[key]
    return True


def get(plain: Any, path: str) -> Any:
    """The value at the path, None where there is none."""
    for key in path.split("."):
        plain = plain.get(key) if isinstance(plain, Mapping) else None
    return plain


def put(plain: Plain, path: str, value: Any) -> dict[str, Any]:
    """A copy with the value at the path."""
    key, _, below = path.partition(".")
    return {**plain, key: put(plain[key], below, value) if below else value}


def put_option(plain: Plain, path: str, option: Plain) -> dict[str, Any]:
    """A copy with the component at the path, its defaults filled in; may raise ValidationError."""
    return to_plain(to_trial(put(plain, path, option)))


def component_trials(plain: Plain, search_space: Mapping[str, Distribution]) -> Iterator[Trial]:
    """The trial with each option of each choice of components, as far as they are valid."""
    for path, distribution in search_space.items():
        if not is_component_choice(distribution):
            continue
        for variant in variants(plain, search_space, path):
            if not has(variant.plain, path):
                continue
            for option in distribution.options:
                with suppress(ValidationError):
                    yield to_trial(put(variant.plain, path, option))


def choice_above(path: str, search_space: Mapping[str, Distribution]) -> str | None:
    """The path of the nearest component choice that this path leads into."""
    while "." in path:
        path = path.rpartition(".")[0]
        if is_component_choice(search_space.get(path)):
            return path
    return None


def variants(
    plain: Plain, search_space: Mapping[str, Distribution], path: str
) -> Iterator[Variant]:
    """The trial under each option of the choice above the path; else the trial as it is.

    An option with which the trial is not valid is left out.
    """
    above = choice_above(path, search_space)
    if above is None:
        yield Variant(None, plain)
        return
    outer = variants(plain, search_space, above)
    base = next((variant.plain for variant in outer if has(variant.plain, above)), None)
    choice = search_space[above]
    if base is None or not is_component_choice(choice):
        return
    for option in choice.options:
        try:
            yield Variant(option["kind"], put_option(base, above, option))
        except ValidationError:
            continue
