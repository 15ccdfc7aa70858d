"""What every other module stands on: components, shared field types, keyed draws, errors."""

import hashlib
import json
from typing import Annotated, Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict, Field

Value = bool | int | float | str | None
"""A hyperparameter's value: a scalar; None where the hyperparameter does not apply."""


class Component(BaseModel):
    """A part of an experiment that is its own configuration.

    Its fields are its hyperparameters; a method is its behaviour. Frozen, strict, no unknown
    fields, finite numbers only; the docstring beneath a field is its description.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        validate_default=True,
    )


def members(family: Any) -> tuple[type[Component], ...]:
    """The classes of a family: of a union, or of the fields of a mapping keyed by kind."""
    if _is_component(family):
        annotations = [field.annotation for field in family.model_fields.values()]
        return tuple(member for each in annotations for member in component_classes(each))
    return component_classes(family)


def component_classes(annotation: Any) -> tuple[type[Component], ...]:
    """The component classes that an annotation such as ``Cosine | None`` names, in order."""
    if _is_component(annotation):
        return (annotation,)
    return tuple(member for each in get_args(annotation) for member in component_classes(each))


def _is_component(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Component)


class Mutable:
    """Marks a field that population-based training may change while the trial runs."""

    def __repr__(self) -> str:
        return "MUTABLE"


MUTABLE = Mutable()

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
"""In [0, 1): a dropout rate, a momentum."""
Probability = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, le=10**9)]
CountOrZero = Annotated[int, Field(ge=0, le=10**9)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""What a 64-bit column of a table and every generator takes."""


def unit_draw(*key: int | str) -> float:
    """A uniform draw in [0, 1), fixed by its key alone.

    Draws named by what they decide, such as ``(seed, "explore", trial, generation, name)``, come
    out the same in any order of events, so a replay repeats them.
    """
    digest = hashlib.blake2b(json.dumps(key).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2.0**53


def seed_draw(*key: int | str) -> int:
    """A seed in [0, 2**31) for a generator, fixed by its key alone."""
    return int(unit_draw(*key) * 2**31)


class RaytunePipeError(Exception):
    """An error the user can act on: what must hold, what was got, what to do."""

    exit_code: ClassVar[int] = 1


class ConfigError(RaytunePipeError):
    """The experiment file, an override or an argument is not valid."""

    exit_code = 2


class TooFewTrialsError(RaytunePipeError):
    """The experiment finished, but too few of its trials can be used."""

    exit_code = 3


class NameTakenError(RaytunePipeError):
    """The run directory exists already, or another process holds it."""

    exit_code = 4


class ResultsError(RaytunePipeError):
    """The files of a run cannot be written, or cannot be read as they should."""

    exit_code = 5


class ClusterError(RaytunePipeError):
    """The cluster is out of reach, or cannot give what was asked for."""

    exit_code = 6


class ClusterLostError(ClusterError):
    """The cluster is gone while trials run on it; the run can be gone on with."""


class TrialError(RaytunePipeError):
    """A trial's own code broke a rule, such as a metric that is not a number."""


def to_json(value: Any) -> str:
    """Compact JSON with sorted keys; NaN and infinities are written as Python's json does."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def list_text(value: Any) -> str:
    """The JSON by which a list or mapping is named, as a hyperparameter's value.

    1.0 is written as 1: a field of rates makes 0.0 of a file's 0, and both must have one name.
    """
    return to_json(_shortest(value))


def _shortest(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_shortest(each) for each in value]
    if isinstance(value, dict):
        return {key: _shortest(each) for key, each in value.items()}
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < 2.0**53
    return int(value) if is_whole else value
