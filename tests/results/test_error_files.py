"""The error files of a run follow from its journal."""

from raytune_pipe.results.error_files import ErrorFold
from raytune_pipe.results.events import EndEvent, Event, RetryEvent, StartEvent


def start(attempt: int) -> StartEvent:
    return {
        "event": "start",
        "trial_id": "00001",
        "attempt": attempt,
        "start_from": None,
        "time": 0.0,
    }


RETRY: RetryEvent = {
    "event": "retry",
    "trial_id": "00001",
    "attempt": 0,
    "kind": "worker_died",
    "reason": "the worker process died",
    "error": None,
    "time": 0.0,
}
END: EndEvent = {
    "event": "end",
    "trial_id": "00001",
    "status": "failed",
    "reason": "ValueError: no",
    "error": "Traceback ...\nValueError: no\n",
    "time": 0.0,
}


def test_each_attempt_that_failed_has_a_file() -> None:
    fold = ErrorFold()
    events: list[Event] = [start(0), RETRY, start(1), END]
    for event in events:
        fold.add(event)
    expected = {
        "errors/00001-0.txt": b"the worker process died\n\nno traceback\n",
        "errors/00001-1.txt": b"ValueError: no\n\nTraceback ...\nValueError: no\n",
    }
    assert dict(fold.take()) == expected
    assert dict(fold.take()) == {}


def test_a_failure_without_a_traceback_has_one_too() -> None:
    fold = ErrorFold()
    fold.add(start(0))
    fold.add({**END, "status": "timed_out", "reason": "no report within 5 s", "error": None})
    assert dict(fold.take()) == {"errors/00001-0.txt": b"no report within 5 s\n\nno traceback\n"}


def test_an_end_that_is_no_failure_has_none() -> None:
    fold = ErrorFold()
    fold.add(start(0))
    fold.add({**END, "status": "completed", "reason": "budget", "error": None})
    assert dict(fold.take()) == {}
