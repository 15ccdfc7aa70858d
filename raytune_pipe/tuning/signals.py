"""Ctrl-C and its kin: noted as they come, acted on where the run is in a known state."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """A signal asks the launch to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number
        """As a shell tells it: 130 after SIGINT, 143 after SIGTERM."""


class NotedSignals:
    """The first signal that asks for an end; a second one does not wait."""

    def __init__(self) -> None:
        self.first: int | None = None

    def install(self) -> None:
        """Take over the handlers, again where another library has put in its own.

        Python allows this in the main thread only; in any other there is nothing to take over.
        """
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self._note)

    def raise_if_any(self) -> None:
        """Raise `Interrupted` once a signal has come."""
        if self.first is not None:
            raise Interrupted(self.first)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.first is not None:
            raise KeyboardInterrupt
        self.first = number


@contextmanager
def noted_signals() -> Iterator[NotedSignals]:
    """Note signals instead of dying of them; the handlers of before return at the end."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    noted = NotedSignals()
    noted.install()
    try:
        yield noted
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)
