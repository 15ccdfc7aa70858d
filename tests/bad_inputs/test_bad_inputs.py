"""Every case of bad_inputs.yaml, as typed: a message, no traceback, nothing left but a ranking.

All run inside this process; those that say `as_process` run once more as a process of their own.
"""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from raytune_pipe.cli import main

TABLE = Path(__file__).parents[1] / "bad_inputs.yaml"
GUARD_CPU_S = 30
GUARD_S = 300
"""No case may take more than 5 s; the guards leave room for cold imports on a busy machine."""


class TookTooLong(BaseException):
    """No `Exception`, so that nothing that is tested can swallow it."""


@dataclass(frozen=True)
class Case:
    name: str
    says: list[str]
    words: list[str] = field(default_factory=lambda: ["validate", "bad.yaml"])
    exit: int = 2
    change: dict[str, str | None] | None = None
    text: str | None = None
    bytes: str | None = None
    run: dict[str, Any] | None = None
    made: list[list[Any]] = field(default_factory=list)
    as_nobody: bool = False
    as_process: bool = False


def cases() -> dict[str, Case]:
    """By class and name, such as ``types: text for a number``."""
    table = YAML(typ="safe", pure=True).load(TABLE.read_text(encoding="utf-8"))
    return {
        f"{kind}: {entry['name']}": Case(**entry)
        for kind, found in table.items()
        for entry in found
    }


CASES = cases()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a case is made and run in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_is_told_at_once_and_leaves_nothing(case: Case, folder: Path, make: Any) -> None:
    make(case, folder)
    folder.chmod(0o755)  # a relative path is then open to everybody
    before, children = snapshot(folder), child_processes()
    with guard(), acting_as_nobody(case.as_nobody):
        result = CliRunner().invoke(main, case.words, prog_name="raytune-pipe")
    check(case, result.exit_code, result.output)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert snapshot(folder) == before
    assert child_processes() == children


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [one for one in CASES.values() if one.as_process], ids=lambda one: one.name
)
def test_the_same_as_a_process(case: Case, folder: Path, make: Any) -> None:
    make(case, folder)
    before = snapshot(folder)
    done = subprocess.run(
        [sys.executable, "-m", "raytune_pipe", *case.words],
        capture_output=True,
        text=True,
        timeout=GUARD_S,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    check(case, done.returncode, done.stdout + done.stderr)
    assert snapshot(folder) == before


def check(case: Case, exit_code: int, output: str) -> None:
    missing = [text for text in case.says if text not in output]
    assert not missing, f"{missing} must be in:\n{output}"
    assert exit_code == case.exit, output
    assert "Traceback" not in output
    assert all(one.isprintable() or one in "\n\t" for one in output)
    if exit_code not in (0, 3):
        assert " must " in output or "Usage:" in output
        assert len(output) < 20_000


def test_the_table_is_as_large_and_as_telling_as_it_should_be() -> None:
    texts = [tuple(case.says) for case in CASES.values()]
    assert len(set(texts)) == len(texts) >= 120
    assert min(max(map(len, said)) for said in texts) >= 10
    assert sum(case.as_process for case in CASES.values()) >= 8


def snapshot(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Every file and folder with its mode, and when a file was changed, and what it holds."""
    found = {}
    for path in (folder, *folder.rglob("*")):
        about = path.lstat()
        digest = ""
        if path.is_file() and not path.is_symlink() and about.st_size < 10**6:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        time = 0 if path.is_dir() else about.st_mtime_ns
        # A lock stays, and says nothing by itself; the ranking is what `analyze` is for.
        if not path.name.startswith(".lock") and path.name != "importance.parquet":
            found[str(path)] = (about.st_mode, time, digest)
    return found


def child_processes() -> set[str]:
    found = set()
    for thread in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # it has just ended
            found |= {*(thread / "children").read_text().split()}
    return found


@contextmanager
def guard() -> Iterator[None]:
    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TookTooLong

    timers = {
        signal.ITIMER_REAL: (signal.SIGALRM, GUARD_S),  # what waits
        signal.ITIMER_PROF: (signal.SIGPROF, GUARD_CPU_S),  # what works
    }
    before = {number: signal.signal(number, ring) for number, _ in timers.values()}
    for timer, (_, seconds) in timers.items():
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for timer in timers:
            signal.setitimer(timer, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def acting_as_nobody(asked: bool) -> Iterator[None]:
    """Without the rights of root, whom no folder keeps out."""
    is_root = asked and os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
