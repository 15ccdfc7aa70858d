"""The text of a cluster file: its YAML, and what in it is still to be filled in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from raytune_pipe.base import ConfigError

PLACEHOLDER = "CHANGE-ME"
"""Stands in the shipped files where only the user knows the value."""


def text_of(path: Path) -> str:
    """The text; raises `ConfigError` where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"--cluster {path}: must be a readable file, but: {error}; see clusters/"
        ) from error


def documents_of(path: Path, text: str) -> list[Mapping[str, Any]]:
    """The YAML documents of a file; a script has none.

    Raises:
        ConfigError: it is not YAML, or a document in it is not a mapping.
    """
    if text.startswith("#!"):
        return []
    try:
        found = [each for each in YAML(typ="safe", pure=True).load_all(text) if each is not None]
    except YAMLError as error:
        raise ConfigError(f"--cluster {path}: must be YAML, but {error}") from error
    for each in found:
        if not isinstance(each, Mapping):
            raise ConfigError(f"--cluster {path}: must hold mappings, but got {each!r}")
    return found


def require_filled_in(path: Path) -> None:
    """Raise `ConfigError` while values are to be filled in, or files to be copied are missing."""
    unset = unset_places(path)
    if unset:
        raise ConfigError(
            f"{path}: every {PLACEHOLDER} must be replaced by a value of yours, but is there in\n  "
            + "\n  ".join(unset)
        )
    missing = _missing_sources(path)
    if missing:
        raise ConfigError(
            f"{path}: all that file_mounts copies to the nodes must be there, but is not: "
            f"{', '.join(missing)}; how each is made is said in clusters/README.md"
        )


def unset_places(path: Path) -> list[str]:
    """Where a value is still to be filled in, as file:line with the line."""
    lines = enumerate(text_of(path).splitlines(), start=1)
    return [
        f"{path}:{number}: {line.strip()}"
        for number, line in lines
        if PLACEHOLDER in line.partition("#")[0]
    ]


def _missing_sources(path: Path) -> list[str]:
    """Local files that a launcher file copies to the nodes and that are not there."""
    documents = documents_of(path, text_of(path))
    mounts = documents[0].get("file_mounts") if documents else None
    sources = mounts.values() if isinstance(mounts, Mapping) else ()
    return [str(each) for each in sources if not Path(str(each)).expanduser().exists()]
