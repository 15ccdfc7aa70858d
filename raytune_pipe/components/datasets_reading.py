"""Opening files of the user's: only what is a file, and no larger than the memory."""

import os
from pathlib import Path
from typing import Annotated, BinaryIO

from pydantic import AfterValidator

from raytune_pipe.base import ConfigError

UsersPath = Annotated[str, AfterValidator(lambda path: str(Path(path).absolute()))]
"""A file or folder; relative to the current folder, recorded absolute."""


def open_file(path: Path, what: str) -> BinaryIO:
    """The file, opened for reading; ``what`` says what it must be, such as ``a text file``."""
    try:
        if path.exists() and not path.is_file():
            # opening a pipe would wait for ever
            raise ConfigError(
                f"path must be {what}, but {path} is a folder, a pipe or a device; name the file"
            )
        return path.open("rb")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"path must be {what}, but {path} cannot be read ({reason(error)}); name one that is"
            " there on every machine"
        ) from error


def check_room(path: Path, size: int) -> None:
    """Raise ConfigError where so many bytes, as the file claims, are more than the memory."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size > memory:
        raise ConfigError(
            f"path must name data that fit into memory, but {path} comes to"
            f" {size / 2**30:,.1f} GiB of the {memory / 2**30:,.1f} GiB here; make it smaller"
        )


def reason(error: Exception) -> str:
    """What an error says, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return one_line(str(error)) or type(error).__name__


def one_line(text: str) -> str:
    """The text with all white space as one space each: names of columns and files may have any."""
    return " ".join(text.split())
