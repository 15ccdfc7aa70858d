"""The error files of a run: for each attempt that failed, why, and its traceback."""

from collections.abc import Iterator

from raytune_pipe.results.events import EndEvent, Event, RetryEvent, Status

ERRORS = "errors"
"""Their folder in a run directory."""


FAILED: tuple[Status, ...] = ("failed", "out_of_memory", "timed_out")
"""Statuses of trials whose last attempt has failed."""


class ErrorFold:
    """Takes the events of a run in order and tells the error files that follow from them."""

    def __init__(self) -> None:
        self._untaken: dict[str, bytes] = {}
        self._attempts: dict[str, int] = {}

    def add(self, event: Event) -> None:
        """Take the next event."""
        if event["event"] == "start":
            self._attempts[event["trial_id"]] = event["attempt"]
        elif event["event"] == "retry":
            self._add(event["trial_id"], event["attempt"], event)
        elif event["event"] == "end" and event["status"] in FAILED:
            self._add(event["trial_id"], self._attempts.get(event["trial_id"], 0), event)

    def _add(self, trial_id: str, attempt: int, event: RetryEvent | EndEvent) -> None:
        text = f"{event['reason']}\n\n{event['error'] or 'no traceback'}".rstrip() + "\n"
        self._untaken[f"{ERRORS}/{trial_id}-{attempt}.txt"] = text.encode(errors="replace")

    def take(self) -> Iterator[tuple[str, bytes]]:
        """Each file that has not been taken yet: its path in the run directory, its contents."""
        while self._untaken:
            yield self._untaken.popitem()
