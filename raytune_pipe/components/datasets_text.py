"""Text, as a task: to say what the next character is."""

import ast
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from raytune_pipe.base import Component, ConfigError, Count, Seed
from raytune_pipe.components.datasets_reading import UsersPath, check_room, open_file
from raytune_pipe.components.splits import HeldOut, limited
from raytune_pipe.components.task import Data, Split, Task

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

BYTES_PER_CHARACTER = 24
"""While it is loaded: the file, the text, its code points, and tokens of 8 bytes."""


class Text(Component):
    """Next-character prediction on a text file, or on the help texts that come with Python.

    A token is a character of the training part, or one more for all that it lacks. The text is cut
    into windows that lie side by side; its beginning is the training part, then come validation
    and test, so that no character is in two parts.
    """

    kind: Literal["text"] = "text"
    """Name of the dataset."""
    path: UsersPath | None = None
    """A text file, UTF-8; relative to the current folder, recorded absolute. By default Python's
    own ``pydoc_data.topics``: 0.5 million characters of English prose, the same for one version
    of Python."""
    length: Annotated[int, Field(ge=1, le=10**6)] = 64
    """Characters of a window: how far back a model can look."""
    split_seed: Seed = 0
    """Fixes which windows ``max_samples`` takes; the parts are cut in the order of the text."""
    validation_fraction: HeldOut = 0.2
    """Share of the characters that score the trials."""
    test_fraction: HeldOut = 0.2
    """Share of the characters that is kept for the end."""
    max_samples: Count | None = None
    """At most that many windows of the training part; all by default."""

    def load(self) -> Data:
        """Tokens [windows, length] int64, and those that come one later as targets."""
        import numpy as np

        text = _users_text(Path(self.path)) if self.path else _pythons_text()
        codes = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
        scored, kept = (
            round(share * len(codes)) for share in (self.validation_fraction, self.test_fraction)
        )
        parts = np.split(codes, [len(codes) - kept - scored, len(codes) - kept])
        if min(map(len, parts)) <= self.length:
            raise ConfigError(
                f"each part of the text must be longer than a window of {self.length} characters,"
                f" but they have {', '.join(str(len(part)) for part in parts)}; give a longer text,"
                " or a smaller dataset.length"
            )
        vocabulary = np.unique(parts[0])
        train, validation, test = (self._windows(vocabulary, part) for part in parts)
        tokens = len(vocabulary) + 1
        task = Task("classification", (self.length,), tokens, tokens=tokens)
        return limited(Data(train, validation, test, task), self.max_samples, self.split_seed)

    def _windows(self, vocabulary: "Array", codes: "Array") -> Split:
        import numpy as np
        import torch

        found = np.searchsorted(vocabulary, codes)
        found[found == len(vocabulary)] = 0
        tokens = np.where(vocabulary[found] == codes, found, len(vocabulary))
        windows = (len(tokens) - 1) // self.length
        # both are views of one array: a text takes 8 bytes per character, not 16
        flat = torch.from_numpy(tokens[: windows * self.length + 1])
        return Split(flat[:-1].view(windows, -1), flat[1:].view(windows, -1))


def _users_text(path: Path) -> str:
    with open_file(path, "a text file") as file:
        check_room(path, BYTES_PER_CHARACTER * path.stat().st_size)
        content = file.read()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"path must be UTF-8 text, but byte {error.start} of {path} is"
            f" 0x{content[error.start]:02x}; save it as UTF-8"
        ) from error


def _pythons_text() -> str:
    """All help topics, read from their source, which is one dict of strings."""
    path = Path(sysconfig.get_path("stdlib"), "pydoc_data", "topics.py")
    try:
        (statement,) = ast.parse(path.read_bytes()).body
        if not isinstance(statement, ast.Assign):
            raise ValueError("it is no dict")
        topics: dict[str, str] = ast.literal_eval(statement.value)
        return "\n".join(topics[name] for name in sorted(topics))
    except (OSError, SyntaxError, ValueError, TypeError) as error:
        raise ConfigError(
            f"without a path, dataset text must find Python's {path}, but it cannot be read"
            f" ({error}); give dataset.path, a text file"
        ) from error
