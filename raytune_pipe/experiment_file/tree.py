"""YAML text to plain values, with the place in the text of every one of them."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
)
from ruamel.yaml.reader import ReaderError

from raytune_pipe.base import Value
from raytune_pipe.problems import MAX_DIGITS, Path, shown

MAX_VALUES = 10_000
MAX_DEPTH = 50


class Source(NamedTuple):
    """Where text comes from: a file, or an argument of the command line."""

    name: str
    text: str
    is_file: bool = True
    """Whether its places are told by line and column."""


class Place(NamedTuple):
    """A position in a source, counted from 0."""

    source: Source
    line: int
    column: int


class TextError(Exception):
    """The text is not the YAML that is taken here; tells where and why."""

    def __init__(self, place: Place, path: Path, message: str) -> None:
        super().__init__(message)
        self.place, self.path, self.message = place, path, message


@dataclass
class Tree:
    """Plain values, and the places of their keys and of the values themselves."""

    value: Any = None
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    problems: list[TextError] = field(default_factory=list)
    """What does not keep the rest from being read, such as a key that stands twice."""

    def place(self, path: Path, at_key: bool = False) -> Place | None:
        """The place of the path, or of the nearest thing above it that is in the text."""
        first, second = (self.keys, self.values) if at_key else (self.values, self.keys)
        if path in first or path in second:
            return first.get(path) or second.get(path)
        # What is missing is best shown at the key that should hold it.
        return self.place(path[:-1], at_key=True) if path else None

    def graft(self, path: Path, value: "Tree", start: Place) -> None:
        """Put another tree at the path; mappings that are missing on the way are made.

        Raises:
            TextError: something on the way is no mapping.
        """
        parent = self.value
        for length, key in enumerate(path[:-1], start=1):
            below = parent.get(key)
            if below is None:
                below = parent[key] = {}
            if not isinstance(below, dict):
                above = ".".join(map(str, path[:length]))
                raise TextError(
                    start, path, f"must lead into a mapping, but {above} is {shown(below)}"
                )
            parent = below
        parent[path[-1]] = value.value
        for mine, theirs in ((self.keys, value.keys), (self.values, value.values)):
            for stale in [each for each in mine if each[: len(path)] == path]:
                del mine[stale]
            mine |= {(*path, *each): place for each, place in theirs.items()}
        self.keys[path] = start


def parse(source: Source, start: int = 0) -> Tree:
    """The one document of the text from ``start`` on; raises TextError where it is not YAML."""
    return _Reader(source, " " * start + source.text[start:]).read()


class _Reader:
    """Builds plain values from the parser's events; YAML 1.2 core schema, nothing else.

    Numbers and booleans are told from text here, not by ruamel.yaml, whose resolver adds
    timestamps and more to the core schema (YAML 1.2.2, section 10.3.2).
    """

    def __init__(self, source: Source, text: str) -> None:
        self.source, self.text = source, text
        self.tree = Tree()
        self.events = self._events()
        self.anchors: dict[str, tuple[Any, Path]] = {}
        self.open_anchors: set[str] = set()
        self.count = 0

    def read(self) -> Tree:
        documents = 0
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._error(event, (), "must be one YAML document, but another begins")
                self.tree.value = self._value(next(self.events), ())
        return self.tree

    def _events(self) -> Iterator[Event]:
        parser = YAML(typ="safe", pure=True)
        try:
            for event in parser.parse(self.text):
                if isinstance(event, ScalarEvent) and _SURROGATE.search(event.value):
                    raise self._error(event, (), "must be text, but has half a surrogate pair")
                yield event
        except ReaderError as error:
            before = self.text[: error.position]
            line = before.count("\n")
            place = Place(self.source, line, len(before) - before.rfind("\n") - 1)
            raise TextError(
                place, (), f"must be printable text, but got character {_shown(error.character)}"
            ) from error
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = Place(self.source, mark.line, mark.column) if mark else Place(self.source, 0, 0)
            said = ", ".join(part for part in (error.context, error.problem) if part)
            said += "; indent with spaces" if "'\\t'" in said else ""
            raise TextError(place, (), f"must be YAML, but {said}") from error
        except YAMLError as error:
            raise TextError(Place(self.source, 0, 0), (), f"must be YAML, but {error}") from error

    def _value(self, event: Event, path: Path) -> Any:
        self.tree.values[path] = self._place(event)
        self._count(event, path)
        if isinstance(event, AliasEvent):
            return self._alias(event, path)
        if not isinstance(event, ScalarEvent | CollectionStartEvent):
            raise self._error(event, path, "must be a value, but there is none")
        if event.tag is not None:
            raise self._error(
                event, path, f"must be a plain value, but has the tag {event.tag}; leave it out"
            )
        if event.anchor:
            self.open_anchors.add(event.anchor)
        value = self._plain(event, path)
        if event.anchor:
            self.open_anchors.discard(event.anchor)
            self.anchors[event.anchor] = (value, path)
        return value

    def _plain(self, event: ScalarEvent | CollectionStartEvent, path: Path) -> Any:
        if isinstance(event, ScalarEvent):
            return resolve(event.value) if event.implicit[0] else event.value
        return self._mapping(path) if isinstance(event, MappingStartEvent) else self._sequence(path)

    def _sequence(self, path: Path) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            items.append(self._value(event, (*path, len(items))))
        return items

    def _mapping(self, path: Path) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            key = self._key(event, path)
            if key in mapping:
                first = self.tree.keys[(*path, key)].line + 1
                message = f"must be given once, but is given again (first on line {first})"
                self.tree.problems.append(self._error(event, (*path, key), message))
                self._value(next(self.events), (*path, f"{key} (again)"))
                continue
            self.tree.keys[(*path, key)] = self._place(event)
            mapping[key] = self._value(next(self.events), (*path, key))
        return mapping

    def _key(self, event: Event, path: Path) -> str:
        if not isinstance(event, ScalarEvent) or event.tag is not None:
            raise self._error(
                event, path, "must have keys of plain text or numbers, but got another one"
            )
        text = str(event.value)
        if not event.implicit[0]:
            return text
        if text == "<<":
            raise self._error(
                event, path, "must be YAML 1.2, which has no merge keys (<<); write the fields out"
            )
        if resolve(text) is None or isinstance(resolve(text), bool):
            raise self._error(
                event,
                path,
                f"must have keys of text or numbers, but got {text or 'nothing'}; quote it",
            )
        return text

    def _alias(self, event: AliasEvent, path: Path) -> Any:
        name = event.anchor
        if name in self.open_anchors:
            raise self._error(event, path, f"must not contain itself, but *{name} does")
        if name not in self.anchors:
            raise self._error(event, path, f"must name an anchor above it, but got *{name}")
        value, origin = self.anchors[name]
        return self._copy(event, value, origin, path)

    def _copy(self, event: Event, value: Any, origin: Path, path: Path) -> Any:
        """The value again at another path; its parts keep the places where they are written."""
        self._count(event, path)
        for places in (self.tree.keys, self.tree.values):
            if origin in places:
                places.setdefault(path, places[origin])
        if isinstance(value, dict):
            return {
                key: self._copy(event, part, (*origin, key), (*path, key))
                for key, part in value.items()
            }
        if isinstance(value, list):
            return [
                self._copy(event, part, (*origin, index), (*path, index))
                for index, part in enumerate(value)
            ]
        return value

    def _count(self, event: Event, path: Path) -> None:
        self.count += 1
        if self.count > MAX_VALUES:
            raise self._error(event, path, f"must hold at most {MAX_VALUES:,} values, but has more")
        if len(path) > MAX_DEPTH:
            raise self._error(
                event, path, f"must be at most {MAX_DEPTH} levels deep, but is deeper"
            )

    def _place(self, event: Event) -> Place:
        return Place(self.source, event.start_mark.line, event.start_mark.column)

    def _error(self, event: Event, path: Path, message: str) -> TextError:
        return TextError(self._place(event), path, message)


def _shown(character: int | str) -> str:
    """A character as Python writes it; ruamel.yaml gives most of them as numbers."""
    return repr(chr(character) if isinstance(character, int) else character)


_SURROGATE = re.compile("[\ud800-\udfff]")
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"([-+]?)\.(inf|Inf|INF)")
_NAMED = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}


def resolve(text: str) -> Value:
    """What plain text means in the core schema of YAML 1.2."""
    if text in _NAMED:
        return _NAMED[text]
    if len(text) > MAX_DIGITS:
        return text
    if _INT.fullmatch(text):
        return int(text)
    if re.fullmatch("0o[0-7]+|0x[0-9a-fA-F]+", text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    infinity = _INFINITY.fullmatch(text)
    return math.inf * (-1 if infinity[1] == "-" else 1) if infinity else text
