"""The token that Ray's clusters demand of their callers: where it lies, and who else can read it.

Found as Ray finds it: RAY_AUTH_TOKEN, then the file that RAY_AUTH_TOKEN_PATH names, then
~/.ray/auth_token. A token is never printed, and never an argument of a program.
"""

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from raytune_pipe.base import ClusterError

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
PRIVATE = 0o600


def token_file() -> Path | None:
    """The file of the token; None where there is none, or the environment itself holds it."""
    if os.environ.get(TOKEN):
        return None
    named = os.environ.get(TOKEN_PATH)
    path = Path(named) if named else Path.home() / ".ray" / "auth_token"
    return path if path.is_file() else None


def has_token() -> bool:
    """Whether there is a token to show."""
    return bool(os.environ.get(TOKEN)) or token_file() is not None


def require_private_token() -> None:
    """Raise `ClusterError` where others than its owner can read the token's file, or change it."""
    path = token_file()
    if path is None:
        return
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise ClusterError(
            f"{path}: a token must be for its owner alone (mode 600), but got mode {mode:o}: who"
            " reads it can run code on the cluster. Ray writes it like that; run"
            f" `chmod 600 {path}`"
        )


def read_token() -> str:
    """The token, for a header; raises `ClusterError` where it cannot be read."""
    path = token_file()
    try:
        text = path.read_text(encoding="ascii") if path else os.environ.get(TOKEN, "")
    except (OSError, ValueError) as error:
        raise ClusterError(f"{path}: must be a readable token, but is not") from error
    return text.strip()


@contextmanager
def own_token(folder: Path) -> Iterator[None]:
    """A new token for the cluster that is started meanwhile, in a file in this folder.

    Otherwise Ray takes the user's token for it, or leaves one that all can read in the user's home.
    """
    before = {name: os.environ.pop(name, None) for name in (MODE, TOKEN, TOKEN_PATH)}
    path = folder / "auth_token"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "w") as file:
        file.write(secrets.token_hex(32))
    os.environ.update({MODE: "token", TOKEN_PATH: str(path)})
    read_again()
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        read_again()


def read_again() -> None:
    """Have Ray read mode and token from the environment again, if it did before."""
    if "ray" in sys.modules:
        raylet = sys.modules["ray"]._raylet
        raylet.Config.initialize("")
        raylet.AuthenticationTokenLoader.instance().reset_cache()
