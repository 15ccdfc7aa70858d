"""The reference page: every component with its fields, from the classes themselves."""

import inspect
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from raytune_pipe.advice import Advised
from raytune_pipe.advice_table import ADVICE
from raytune_pipe.base import Component, Mutable, members
from raytune_pipe.components.augmentations import Augmentations
from raytune_pipe.components.datasets import Dataset
from raytune_pipe.components.initializers import Initializer
from raytune_pipe.components.losses import Loss
from raytune_pipe.components.models import Model
from raytune_pipe.components.optimizers import Optimizer
from raytune_pipe.components.regularizers import Regularizers
from raytune_pipe.components.schedulers import Scheduler
from raytune_pipe.components.schedules import Schedule
from raytune_pipe.components.searchers import Searcher
from raytune_pipe.components.stoppers import Stoppers
from raytune_pipe.distributions import Distribution, Prior
from raytune_pipe.experiment import Experiment, Objective
from raytune_pipe.report.plan_table import describe_distribution
from raytune_pipe.resources import Resources, Retries
from raytune_pipe.trial import Trial


class Family(NamedTuple):
    """The components that one field of an experiment file chooses from."""

    title: str
    path: str
    """Where in the file it stands."""
    family: Any
    """A union, or a mapping keyed by kind."""


FAMILIES = (
    Family("Datasets", "trial.dataset", Dataset),
    Family("Models", "trial.model", Model),
    Family("Initializers", "trial.initializer", Initializer),
    Family("Losses", "trial.loss", Loss),
    Family("Optimizers", "trial.optimizer", Optimizer),
    Family("Schedules", "trial.schedule", Schedule),
    Family("Regularizers and gradients", "trial.regularizers", Regularizers),
    Family("Augmentations", "trial.augmentations", Augmentations),
    Family("Stop rules", "trial.stoppers", Stoppers),
    Family("Distributions", "search_space.PATH", Distribution),
    Family("Searchers", "searcher", Searcher),
    Family("Schedulers", "scheduler", Scheduler),
)
WHOLES = (
    ("Experiment", "", Experiment),
    ("Trial", "trial", Trial),
    ("Objective", "objective", Objective),
    ("Resources", "resources", Resources),
    ("Retries", "retries", Retries),
    ("Advised ranges", "search_space.PATH", Advised),
    ("Priors", "search_space.PATH.prior", Prior),
)
INTRODUCTION = """\
# Reference

Every field of an experiment file, made by `raytune-pipe reference` from the classes that read it.
A field marked *mutable* may be searched under population-based training too, which changes it while
a trial runs; all others may be searched by every other scheduler. The range that
practitioners advise is told beside a field and taken by `{kind: advised}`; `raytune-pipe advise`
has the reasons.
"""


def reference_page() -> str:
    """The page in Markdown."""
    parts = [INTRODUCTION]
    for title, path, whole in WHOLES:
        where = f"At `{path}`. " if path else ""
        beneath = f"{path}." if path else ""
        parts.append(f"## {title}\n\n{where}{_about(whole)}\n\n{_fields(whole, beneath)}")
    for family in FAMILIES:
        parts.append(f"## {family.title}\n\n{_how(family)}")
        parts += [_section(family, name, member) for name, member in _named(family.family)]
    return "\n".join(part.rstrip() + "\n" for part in parts)


def _how(family: Family) -> str:
    if _is_keyed(family.family):
        return f"At `{family.path}`, by name, in the order in which they apply; absent is off."
    return f"At `{family.path}`, one by its `kind`."


def _is_keyed(family: Any) -> bool:
    return isinstance(family, type)


def _named(family: Any) -> Iterator[tuple[str, type[Component]]]:
    """Each member by the word that chooses it."""
    if _is_keyed(family):
        for name, field in family.model_fields.items():
            for member in members(field.annotation):
                yield name, member
        return
    for member in members(family):
        yield member.model_fields["kind"].default, member


def _section(family: Family, name: str, member: type[Component]) -> str:
    beneath = f"{family.path}.{name}." if _is_keyed(family.family) else f"{family.path}."
    return f"### `{name}`\n\n{_about(member)}\n\n{_fields(member, beneath, name)}"


def _about(component: type[Component]) -> str:
    """The docstring as paragraphs."""
    return inspect.cleandoc(component.__doc__ or "").replace("``", "`")


def _advised(path: str, kind: str) -> str:
    """The ranges that are advised for a field of a member, where its family has such rows."""
    words: list[str] = []
    for advice in (each for each in ADVICE if f"trial.{each.path}" == path):
        of_member = f"{advice.path.rpartition('.')[0]}.kind"
        if kind not in advice.where.get(of_member, (kind,)):
            continue
        others = [
            f"`{name}` is {' or '.join(map(str, values))}"
            for name, values in advice.where.items()
            if name != of_member
        ]
        condition = f" where {' and '.join(others)}" if others else ""
        words.append(f"`{describe_distribution(advice.distribution)}`{condition}")
        if not others:
            break
    return f" Advised: {', else '.join(words)}." if words else ""


def _fields(component: type[Component], beneath: str = "", kind: str = "") -> str:
    """A line for each; ``beneath`` is the path that they are at, ``kind`` the member's."""
    schema = component.model_json_schema()
    if "$ref" in schema:  # a component that holds others of its own family
        schema = {**schema, **schema["$defs"][component.__name__]}
    definitions = schema.get("$defs", {})
    required = schema.get("required", ())
    lines = []
    for name, field in component.model_fields.items():
        if name == "kind":
            continue
        described = schema["properties"][name]
        facts = [_words(described, definitions)]
        facts.append("required" if name in required else _default(described))
        if any(isinstance(mark, Mutable) for mark in field.metadata):
            facts.append("*mutable*")
        text = " ".join((field.description or "").replace("``", "`").split())
        text += _advised(f"{beneath}{name}", kind)
        lines.append(f"- `{name}` ({', '.join(fact for fact in facts if fact)}): {text}")
    return "\n".join(lines) or "No fields."


def _default(schema: Mapping[str, Any]) -> str:
    if "default" not in schema:
        return ""
    default = schema["default"]
    if isinstance(default, dict):
        return f"default `{default['kind']}`" if "kind" in default else ""
    return f"default {'null' if default is None else f'`{json.dumps(default)}`'}"


def _words(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """What a value must be."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _words(definitions.get(name, {}), definitions) or "a mapping"
    if "oneOf" in schema or "discriminator" in schema:
        return "a component"
    if "anyOf" in schema:
        kinds = dict.fromkeys(_words(option, definitions) for option in schema["anyOf"])
        return " or ".join(kind for kind in kinds if kind)
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        item = schema.get("items", {})
        return f"a list; each {_words(item, definitions)}" if item else "a list"
    if kind == "object":
        value = schema.get("additionalProperties")
        inner = _words(value, definitions) if isinstance(value, dict) else ""
        return f"a mapping; each {inner}" if inner else "a mapping"
    named = {"number": "number", "integer": "whole number", "string": "text", "null": "null"}
    word = {**named, "boolean": "true or false"}.get(str(kind), "")
    return f"{word} {_limits(schema)}".strip()


def _limits(schema: Mapping[str, Any]) -> str:
    """The bounds of a number in words: ``above 0, at most 1``."""
    words = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    return ", ".join(
        f"{word} {_number(schema[bound])}"
        for bound, word in words.items()
        if bound in schema and abs(schema[bound]) < 10**9
    )


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
