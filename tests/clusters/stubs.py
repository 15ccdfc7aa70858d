"""Commands that a test puts on the PATH: each writes down how it was called, and ends."""

import json
import os
import stat
import sys
from pathlib import Path
from typing import NamedTuple

RECORDER = """\
#!{python} -SE
import json, os, sys
from pathlib import Path

name, words = Path(sys.argv[0]).name, sys.argv[1:]
path = os.environ.get("RAY_AUTH_TOKEN_PATH")
token = Path(path) if path else None
call = {{
    "words": [name, *words],
    "pid": os.getpid(),
    "auth_mode": os.environ.get("RAY_AUTH_MODE"),
    "token": token.read_text() if token and token.exists() else None,
    "token_mode": oct(token.stat().st_mode & 0o777) if token and token.exists() else None,
}}

log_file = Path({log!r})

def note(**more):
    with log_file.open("a") as log:
        log.write(json.dumps({{**call, **more}}) + "\\n")

note()
{body}
"""


class Call(NamedTuple):
    """One call of a command."""

    words: list[str]
    pid: int
    auth_mode: str | None
    token: str | None
    token_mode: str | None
    event: str | None = None
    """What it noted after its call."""


class Stubs:
    """A folder of commands, and what they were called with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "bin"
        self.folder.mkdir()
        self.log = folder / "calls.jsonl"

    def add(self, name: str, body: str = "") -> None:
        """A command that notes its call and then runs the body, Python."""
        file = self.folder / name
        file.write_text(RECORDER.format(python=sys.executable, log=str(self.log), body=body))
        file.chmod(file.stat().st_mode | stat.S_IXUSR)

    @property
    def calls(self) -> list[Call]:
        """All calls, in their order."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [Call(**json.loads(line)) for line in lines]

    @property
    def lines(self) -> list[str]:
        """The words of all calls."""
        return [" ".join(call.words) for call in self.calls if call.event is None]

    def environment(self, **more: str) -> dict[str, str]:
        """The environment in which these commands come before all others."""
        # Ray leaves settings of the session's own embedded Ray in the environment.
        clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        return {**clean, "PATH": f"{self.folder}{os.pathsep}{os.environ['PATH']}", **more}
