"""The name of a run, which is that of its folder and is taken once."""

import re
import shlex
from pathlib import Path

from raytune_pipe.base import ConfigError, NameTakenError
from raytune_pipe.results.files import flush_folder, storage_errors

NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"
"""The pattern that it matches as a whole."""


def require_name(name: str) -> None:
    """Raise `ConfigError` unless the name is fit for a folder."""
    if not re.fullmatch(NAME, name):
        raise ConfigError(
            "name: must be letters, digits, '.', '_' and '-', begin with a letter or a digit "
            f"and have at most 100 characters, but got {name!r}"
        )


def make_folder(storage: Path, name: str, new: bool, launched: bool) -> Path:
    """The new folder of a run; with ``new`` the first free one of ``name-2``, ``name-3``, ...

    Raises:
        NameTakenError: the name is taken; says how to go on with that run if it was ``launched``.
    """
    number = 1
    while True:
        path = storage / (name if number == 1 else f"{name}-{number}")
        with storage_errors(path):
            try:
                path.mkdir(mode=0o700)
                flush_folder(storage)
                return path
            except FileExistsError:
                number += 1
        if not new and not path.is_dir():
            raise NameTakenError(
                f"{path}: the name must be free, but a file that is no run has it; choose another "
                "name: --name NAME, or take the next free one: --new"
            )
        if not new:
            resume = f"go on with that run: raytune-pipe resume {shlex.quote(str(path))}, or "
            raise NameTakenError(
                f"{path}: the name must be free, but it is taken; {resume if launched else ''}"
                "choose another name: --name NAME, or take the next free one: --new"
            )
