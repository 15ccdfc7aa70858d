"""The error files of a run: for each attempt that failed, why, and its traceback."""

from collections.abc import Iterator

from raytune_pipe.results.events import EndEvent, Event, RetryEvent, Status

ERRORS = "errors"
"""Their folder in a run directory."""


FAILED: tuple[Status, ...] = ("failed", "out_of_memory", "timed_out")
"""Statuses of trials whose last attempt has failed."""


class ErrorFold:
    """Takes the events of a run in order and holds the text of every error file."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        """By path relative to the run directory."""
        self._attempts: dict[str, int] = {}
        self._written: set[str] = set()

    def add(self, event: Event) -> None:
        """Take the next event."""
        if event["event"] == "start":
            self._attempts[event["trial_id"]] = event["attempt"]
        elif event["event"] == "retry":
            self._add(event["trial_id"], event["attempt"], event)
        elif event["event"] == "end" and event["status"] in FAILED:
            self._add(event["trial_id"], self._attempts.get(event["trial_id"], 0), event)

    def _add(self, trial_id: str, attempt: int, event: RetryEvent | EndEvent) -> None:
        path = f"{ERRORS}/{trial_id}-{attempt}.txt"
        self.texts[path] = (
            f"{event['reason']}\n\n{event['error'] or 'no traceback'}".rstrip() + "\n"
        )

    def unwritten(self) -> Iterator[tuple[str, str]]:
        """Paths and texts, each once."""
        for path in self.texts.keys() - self._written:
            yield path, self.texts[path]
            self._written.add(path)
