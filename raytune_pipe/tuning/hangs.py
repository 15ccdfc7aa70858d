"""A trial that hangs: its worker ends itself, and leaves where each of its threads stood."""

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from raytune_pipe.results.error_files import ERRORS
from raytune_pipe.results.locations import is_uri
from raytune_pipe.tuning.assignment import Assignment, Failure


@contextmanager
def ended_when_hung(assignment: Assignment) -> Iterator[None]:
    """End this process if what is inside takes longer than the trial has for a report.

    The watch is a thread of C, which needs no lock of Python's: it ends a process also where that
    is stuck in an extension. A stopped process it cannot end; the driver does so, a little later.
    """
    if assignment.timeout_s is None or is_uri(assignment.directory):
        yield  # of a run in a bucket the driver alone ends it: nobody would see the stacks
        return
    path = _stacks(Path(assignment.directory), assignment.trial_id, assignment.attempt)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with path.open("w") as file:
        path.chmod(0o600)
        faulthandler.dump_traceback_later(assignment.timeout_s, exit=True, file=file)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            path.unlink(missing_ok=True)


def take_hang(directory: Path, trial_id: str, attempt: int, timeout_s: float) -> Failure | None:
    """What an attempt whose worker has ended left of a hang; None if that is not why."""
    path = _stacks(directory, trial_id, attempt)
    try:
        stacks = path.read_text(errors="replace")
    except OSError:
        return None
    path.unlink(missing_ok=True)
    return timed_out(timeout_s, stacks) if stacks else None


def timed_out(timeout_s: float, stacks: str = "") -> Failure:
    """The failure of a trial that made no report in time."""
    return Failure("timed_out", f"no report within {timeout_s:g} s (trial_timeout_s)", stacks)


def _stacks(directory: Path, trial_id: str, attempt: int) -> Path:
    """Hidden, and named as what a killed process leaves: it is cleared away with that."""
    return directory / ERRORS / f".{trial_id}.hang.{attempt}"
