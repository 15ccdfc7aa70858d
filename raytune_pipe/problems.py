"""What is wrong with plain values: pydantic's errors in our words, at paths of the file."""

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from raytune_pipe.base import Component, component_classes

Path = tuple[str | int, ...]
"""Keys and positions from the top of the plain values down."""


MAX_DIGITS = 400
"""Of a number in a file: Python refuses to turn thousands of them into an int."""
MOST_PROBLEMS = 200
"""More of them at once say no more."""


class Problem(NamedTuple):
    """One thing that is wrong, and where."""

    path: Path
    """What the message is about; need not exist in the file."""
    message: str
    """What must hold, but what was got; what to do."""
    depends_on: tuple[Path, ...] = ()
    """What the judgment rests on besides the path: with one of them broken, it may be moot."""

    is_at_key: bool = False
    """Whether the last key itself is wrong, not its value."""

    @property
    def dotted(self) -> str:
        """The path as users write it."""
        return ".".join(str(key) for key in self.path)


def problems_of(error: ValidationError, model: type[Component], data: Any) -> list[Problem]:
    """One problem for each wrong place of ``data``, which was to become a ``model``.

    Of the first `MOST_PROBLEMS`: thousands of keys that nobody knows must not take seconds.
    """
    found: dict[Path, Problem] = {}
    for detail in error.errors(include_url=False)[:MOST_PROBLEMS]:
        problem = _problem(detail, model, data)
        earlier = found.get(problem.path)
        if earlier:  # the branches of a union each say what they would take
            said, got = earlier.message.split(", but got ")[0], problem.message
            problem = problem._replace(message=f"{said} or {got.removeprefix('must be ')}")
        found[problem.path] = problem
    return list(found.values())


def to_validation_error(title: str, problems: Iterable[Problem]) -> ValidationError:
    """An error that a validator can raise, so that its problems join those of the fields."""
    details = [
        InitErrorDetails(
            type=PydanticCustomError(
                "problem",
                "{message}",
                problem._asdict(),
            ),
            loc=problem.path,
            input=None,
        )
        for problem in problems
    ]
    return ValidationError.from_exception_data(title, details)


def near(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the known word that is nearest, or nothing."""
    known = list(known)
    long_enough = [each for each in known if min(len(word), len(each)) > 2]
    matches = [one for one in long_enough if one.startswith(word) or word.startswith(one)]
    matches = matches or difflib.get_close_matches(word, known, n=1)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def listed(words: Iterable[str], most: int = 20) -> str:
    """The words in one line, cut after the first ``most``."""
    words = list(words)
    return ", ".join(words[:most]) + (", ..." if len(words) > most else "")


def shown(value: Any, most: int = 60) -> str:
    """A plain value as it would stand in a file, shortened."""
    text = repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = text.replace("Infinity", ".inf").replace("NaN", ".nan")
    return text if len(text) <= most else text[: most - 3] + "..."


def _problem(detail: ErrorDetails, model: type[Component], data: Any) -> Problem:
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    path = _file_path(detail["loc"], data)
    if kind == "problem":
        return Problem(**context)._replace(path=path)
    if kind == "value_error":
        return Problem(path, str(context["error"]))
    if kind == "missing":
        return Problem(path, "must be given, but is missing")
    if kind == "extra_forbidden":
        return Problem(path, _unknown_field(path, model, data), is_at_key=True)
    is_no_mapping = kind in ("dict_type", "model_type", "model_attributes_type")
    if kind in ("union_tag_invalid", "union_tag_not_found") or (
        is_no_mapping and len(_kinds(path, model, data)) > 1
    ):
        return _unknown_kind(path, value, model, data)
    if kind == "literal_error":
        message = f"must be {context['expected']}, but got {shown(value)}"
        options = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return Problem(path, message + (near(value, options) if isinstance(value, str) else ""))
    wording = _WORDING.get(kind)
    must = wording(context) if wording else f"is not valid: {detail['msg']}"
    message = f"{must}, but got {shown(value)}{_advice(kind, value)}"
    return Problem(path, message, is_at_key="[key]" in detail["loc"])


_WORDING: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "float_type": lambda _: "must be a number",
    "float_parsing": lambda _: "must be a number",
    "int_type": lambda _: "must be a whole number",
    "int_parsing": lambda _: "must be a whole number",
    "int_from_float": lambda _: "must be a whole number",
    "bool_type": lambda _: "must be true or false",
    "string_type": lambda _: "must be text",
    "list_type": lambda _: "must be a list",
    "tuple_type": lambda _: "must be a list",
    "dict_type": lambda _: "must be a mapping",
    "model_type": lambda _: "must be a mapping",
    "model_attributes_type": lambda _: "must be a mapping",
    "finite_number": lambda _: "must be a finite number",
    "none_required": lambda _: "must be null",
    "greater_than": lambda context: f"must be above {_bound(context['gt'])}",
    "greater_than_equal": lambda context: f"must be at least {_bound(context['ge'])}",
    "less_than": lambda context: f"must be below {_bound(context['lt'])}",
    "less_than_equal": lambda context: f"must be at most {_bound(context['le'])}",
    "too_short": lambda context: f"must have at least {context['min_length']} entries",
    "too_long": lambda context: f"must have at most {context['max_length']} entries",
    "string_too_short": lambda context: f"must have at least {context['min_length']} letters",
    "string_too_long": lambda context: f"must have at most {context['max_length']} letters",
    "string_pattern_mismatch": lambda context: f"must match {context['pattern']}",
}


def _bound(bound: float) -> str:
    """A whole number with all its digits, whatever its size."""
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


def _advice(kind: str, value: Any) -> str:
    if kind in ("float_type", "int_type") and isinstance(value, str):
        return _advice_on_number(value)
    if kind == "bool_type" and str(value).lower() in ("yes", "no", "on", "off"):
        return "; in YAML 1.2 only true and false are booleans"
    return ""


def _advice_on_number(text: str) -> str:
    if not _MEANS_NUMBER.fullmatch(text.replace("_", "")):
        return ""
    if "_" in text:
        return "; write it without underscores"
    if len(text) > MAX_DIGITS:
        return f"; write it with at most {MAX_DIGITS} digits"
    return "; write it without quotes"


_MEANS_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


def _file_path(location: tuple[int | str, ...], data: Any) -> Path:
    """Pydantic's location without what stands in no file: tags and names of union branches."""
    path: list[str | int] = []
    value, tag_may_follow = data, False
    for index, key in enumerate(location):
        if key == "[key]":
            continue
        if isinstance(value, dict):
            if tag_may_follow and key == value.get("kind"):
                tag_may_follow = False
                continue
            if key not in value and index < len(location) - 1:
                continue  # the name of a union's branch
            path.append(key)
            value = value.get(str(key))
        elif isinstance(value, list) and isinstance(key, int):
            path.append(key)
            value = value[key] if key < len(value) else None
        tag_may_follow = True
    return tuple(path)


def component_at(model: type[Component], data: Any, path: Path) -> type[Component] | None:
    """The class that the mapping at the path is read as; None where there is no telling."""
    return _by_kind(*_annotation_at(model, data, path))


def _annotation_at(model: type[Component], data: Any, path: Path) -> tuple[Any, Any]:
    """What the plain value at the path is declared to be, and the value."""
    annotation: Any = model
    for key in path:
        if get_origin(annotation) is dict:
            annotation = get_args(annotation)[1]
        else:
            owner = _by_kind(annotation, data)
            field = owner.model_fields.get(str(key)) if owner else None
            annotation = field.annotation if field else None
        data = data.get(key) if isinstance(data, dict) else None
    return annotation, data


def _by_kind(annotation: Any, data: Any) -> type[Component] | None:
    classes = component_classes(annotation)
    if len(classes) == 1:
        return classes[0]
    kind = data.get("kind") if isinstance(data, dict) else None
    return next((each for each in classes if each.model_fields["kind"].default == kind), None)


def _unknown_field(path: Path, model: type[Component], data: Any) -> str:
    owner, field = component_at(model, data, path[:-1]), str(path[-1])
    if owner is None:
        return f"must be a known field, but got '{field}'"
    known = [name for name in owner.model_fields if name != "kind"]
    kind = owner.model_fields.get("kind")
    what = kind.default if kind else path[-2] if len(path) > 1 else "the experiment"
    if not known:
        return f"must be left out: {what} has no fields, but got '{field}'"
    return f"must be a field of {what} ({listed(known)}), but got '{field}'{near(field, known)}"


def _kinds(path: Path, model: type[Component], data: Any) -> list[str]:
    """The kinds of component that may stand at the path; empty where none has a kind."""
    annotation, _ = _annotation_at(model, data, path)
    classes = () if get_origin(annotation) is dict else component_classes(annotation)
    fields = [each.model_fields.get("kind") for each in classes]
    return [field.default for field in fields if field]


def _unknown_kind(path: Path, value: Any, model: type[Component], data: Any) -> Problem:
    known = _kinds(path, model, data)
    kind = value.get("kind") if isinstance(value, dict) else None
    if kind is None:
        got = shown(value) if value else "an empty one"
        return Problem(path, f"must be a mapping with a kind ({', '.join(known)}), but got {got}")
    advice = near(str(kind), known)
    return Problem(
        (*path, "kind"), f"must be one of {', '.join(known)}, but got {shown(kind)}{advice}"
    )
