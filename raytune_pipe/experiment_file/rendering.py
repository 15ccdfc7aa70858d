"""Located errors as they are shown: where, what must hold, the line and a caret beneath."""

from collections.abc import Iterable

from raytune_pipe.base import ConfigError
from raytune_pipe.experiment_file.tree import Place

_WIDTH = 100
"""Characters of a line of the file that are shown at most."""
_LENGTH = 1_000
"""Characters of a message, which may quote a name of any length."""
_MOST = 50
"""Problems that are shown at once."""


def to_config_error(located: Iterable[tuple[Place, str, str]]) -> ConfigError:
    """One error for all places, dotted paths and messages, as they stand in the sources."""
    ordered = sorted(located, key=lambda each: (not each[0].source.is_file, each[0]))
    shown = [_render(*each) for each in ordered[:_MOST]]
    if len(ordered) > _MOST:
        shown.append(f"only the first {_MOST} problems are shown; mend them, and run it again")
    return ConfigError("\n".join(shown))


def _render(place: Place, path: str, message: str) -> str:
    name, text = place.source.name, place.source.text
    where = f"{name}:{place.line + 1}:{place.column + 1}" if place.source.is_file else name
    lines = text.splitlines()
    first = f"{where}: {path}: {message}" if path else f"{where}: {message}"
    if len(first) > _LENGTH:
        first = f"{first[:_LENGTH]}..."
    if place.line >= len(lines) or not lines[place.line].strip():
        return first
    line = lines[place.line].replace("\t", " ")
    cut = max(0, min(place.column - _WIDTH // 2, len(line) - _WIDTH))
    return f"{first}\n  {line[cut : cut + _WIDTH]}\n  {' ' * (place.column - cut)}^"
