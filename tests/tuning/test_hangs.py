"""A process that hangs, also where Python's lock is held, ends and tells where it stood."""

import subprocess
import sys
from pathlib import Path

import pytest

from raytune_pipe.tuning.assignment import Assignment
from raytune_pipe.tuning.hangs import ended_when_hung, take_hang

HANGS = {
    "a sleep": "time.sleep(60)",
    "a match that holds Python's lock": "re.match('(a+)+$', 60 * 'a' + 'b')",
}
PROGRAM = """
import re, sys, time
from raytune_pipe.tuning.assignment import Assignment
from raytune_pipe.tuning.hangs import ended_when_hung
def hang():
    {code}
with ended_when_hung(Assignment.from_text(sys.argv[1])):
    hang()
print("went on")
"""


def assignment(directory: Path, timeout_s: float | None) -> Assignment:
    return Assignment(
        trial_id="00003",
        trial={},
        directory=str(directory),
        reports=0,
        milestones=(),
        checkpoint_seconds=60.0,
        attempt=2,
        timeout_s=timeout_s,
    )


@pytest.mark.parametrize("code", HANGS.values(), ids=HANGS)
def test_a_hung_process_ends_and_leaves_its_stacks(tmp_path: Path, code: str) -> None:
    program = [sys.executable, "-c", PROGRAM.format(code=code)]
    text = assignment(tmp_path, timeout_s=0.3).to_text()
    done = subprocess.run([*program, text], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "went on" not in done.stdout
    failure = take_hang(tmp_path, "00003", 2, 0.3)
    assert failure is not None
    assert failure.kind == "timed_out"
    assert failure.reason == "no report within 0.3 s (trial_timeout_s)"
    assert "in hang" in failure.error
    assert take_hang(tmp_path, "00003", 2, 0.3) is None
    assert list((tmp_path / "errors").iterdir()) == []


@pytest.mark.parametrize("timeout_s", [None, 60.0])
def test_what_ends_in_time_leaves_nothing(tmp_path: Path, timeout_s: float | None) -> None:
    with ended_when_hung(assignment(tmp_path, timeout_s)):
        pass
    with pytest.raises(ValueError, match="its own"), ended_when_hung(assignment(tmp_path, 60.0)):
        raise ValueError("its own")
    assert list(tmp_path.rglob("*.*")) == []
    assert take_hang(tmp_path, "00003", 2, 60.0) is None
