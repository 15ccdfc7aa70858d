"""Whether the head of the Ray cluster still answers: Ray itself waits for it without a word."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from raytune_pipe.tuning.reaching import accepts

ASK_EVERY_S = 2.0
ANSWER_WITHIN_S = 1.0
GONE_AFTER_S = 7.0
"""Seconds without an answer after which the head is gone. Ray ends the process, with no chance to
leave the run in order, after 60, and after 10 where the head is embedded."""
NOTICED_WITHIN_S = 2.0
"""Seconds that the driver has to notice that by itself."""


class HeadWatch:
    """A thread that asks the head at times, by a connection that it only has to accept.

    The driver looks at `is_gone` in each turn of Ray's loop. Often it cannot: a call into Ray that
    needs the head does not return. Then this thread calls ``abandon``, which has to end the
    process, unless the driver is busy with its own files.
    """

    def __init__(self, address: str, abandon: Callable[[], None]) -> None:
        self.address = address
        """HOST:PORT."""
        self.is_gone = False
        self.noticed = threading.Event()
        """Set by the driver once it has seen that."""
        self.is_driver_busy: Callable[[], bool] = lambda: False
        self._abandon = abandon
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="head watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        host, _, port = self.address.rpartition(":")
        answered_at = time.monotonic()
        while not self._over.wait(ASK_EVERY_S):
            if accepts(host.strip("[]"), int(port), ANSWER_WITHIN_S):
                answered_at = time.monotonic()
            elif time.monotonic() - answered_at >= GONE_AFTER_S:
                break
        else:
            return
        self.is_gone = True
        while not self.noticed.wait(NOTICED_WITHIN_S):
            if not self.is_driver_busy():
                self._abandon()
                return
