import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from raytune_pipe.base import (
    ClusterError,
    ConfigError,
    NameTakenError,
    RaytunePipeError,
    ResultsError,
    TooFewTrialsError,
    TrialError,
)
from raytune_pipe.cli.program import Program

HEAVY = {"torch", "ray", "pandas", "pydantic", "rich", "numpy", "ruamel.yaml", "sklearn"}


def program_that_raises(error: BaseException) -> click.Group:
    group = Program("program")

    @group.command()
    def fail() -> None:
        raise error

    return group


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (TrialError("why"), 1),
        (ConfigError("why"), 2),
        (TooFewTrialsError("why"), 3),
        (NameTakenError("why"), 4),
        (ResultsError("why"), 5),
        (ClusterError("why"), 6),
        (click.UsageError("why"), 2),
    ],
)
def test_errors_are_messages_on_stderr(error: Exception, exit_code: int) -> None:
    result = CliRunner().invoke(program_that_raises(error), ["fail"])
    assert result.exit_code == exit_code
    assert result.stderr.splitlines()[-1].endswith("why")
    assert result.stdout == ""
    assert isinstance(result.exception, SystemExit)


def test_any_other_exception_is_a_bug_with_its_traceback() -> None:
    result = CliRunner().invoke(program_that_raises(ZeroDivisionError("bug")), ["fail"])
    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)


def test_ctrl_c_exits_as_shells_expect_without_a_traceback() -> None:
    result = CliRunner().invoke(program_that_raises(KeyboardInterrupt()), ["fail"])
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


def test_every_error_class_has_an_exit_code_of_its_own_meaning() -> None:
    codes = {error.__name__: error.exit_code for error in RaytunePipeError.__subclasses__()}
    assert all(1 <= code <= 6 for code in codes.values())


@pytest.mark.parametrize(
    "words", [["--help"], ["launch", "--help"], ["resume", "--help"], ["best", "--help"]]
)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys, atexit; atexit.register(lambda: print('LOADED', *sys.modules));"
        "from raytune_pipe.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
    )
    help_text, _, loaded = done.stdout.partition("LOADED")
    assert "Usage:" in help_text
    assert not HEAVY & set(loaded.split())


def test_help_names_every_command() -> None:
    script = Path(sys.executable).parent / "raytune-pipe"
    shown = subprocess.run([script, "--help"], capture_output=True, text=True, check=True).stdout
    for command in ("launch", "resume", "validate", "plan", "train", "analyze", "best", "schema"):
        assert f"\n  {command} " in shown
