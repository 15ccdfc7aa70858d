"""Following a job's log over a connection that may be lost and come back."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from raytune_pipe.base import ClusterError
from raytune_pipe.tuning.jobs import JobInfo, Jobs, UnknownJobError, is_rays
from raytune_pipe.tuning.reaching import reach

SILENT_S = 15.0
"""Seconds without a line after which the head is asked whether it is there still."""
LOST_AFTER_S = 90.0
"""Seconds without any answer after which a connection counts as lost."""
FIRST_WAIT_S = 0.5
"""Seconds to the next connection after one is lost; twice as many after each in vain."""
_MOST_WAIT_S = 10.0
_MOST_IN_VAIN = 3
"""Connections in vain after which the log of a job that has ended is given up."""


class ConnectionLostError(ClusterError):
    """The head does not answer any more; what runs there goes on."""


def follow_log(jobs: Jobs, job: str, hear: Callable[[str], None]) -> JobInfo:
    """How a job has ended; until then each line of its log is heard once, as it comes.

    Raises:
        ConnectionLostError: the head has not answered for `LOST_AFTER_S`.
        UnknownJobError: it has no such job.
        KeyboardInterrupt: Ctrl-C; the job goes on.
    """
    return asyncio.run(_Follower(jobs, job, hear).follow())


class _Follower:
    """Follows one log; after a loss it is read from its begin again, what was heard is skipped."""

    def __init__(self, jobs: Jobs, job: str, hear: Callable[[str], None]) -> None:
        self.jobs = jobs
        self.job = job
        self.hear = hear
        self._heard = 0
        """Characters of the log."""
        self._rest = ""
        """The begin of a line whose end has not come."""
        self._answered = time.monotonic()

    async def follow(self) -> JobInfo:
        in_vain = 0
        while True:
            heard = self._heard
            is_whole = await self._read()
            info = await self._info()
            in_vain = 0 if self._heard > heard else in_vain + 1
            if info is not None and info.has_ended and (is_whole or in_vain > _MOST_IN_VAIN):
                if self._rest:
                    self._tell("\n")
                return info
            if time.monotonic() - self._answered > LOST_AFTER_S:
                raise ConnectionLostError(
                    f"--address {self.jobs.address}: the head must answer, but has not for "
                    f"{LOST_AFTER_S:g} s"
                )
            await asyncio.sleep(min(FIRST_WAIT_S * 2**in_vain, _MOST_WAIT_S))

    async def _read(self) -> bool:
        """Read the log to its end; whether it was reached, not only the connection's."""
        from aiohttp import ClientError

        at = 0
        try:
            async for chunk in _until_silent(self.jobs.tail(self.job), self._require_answer):
                self._answered = time.monotonic()
                at += len(chunk)
                if at > self._heard:
                    self._tell(chunk[self._heard - at :])
                    self._heard = at
        except (OSError, RuntimeError, ClientError, ClusterError):
            return False
        return True

    def _tell(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if not is_rays(line):
                self.hear(line)

    async def _info(self) -> JobInfo | None:
        """How the job stands; None where the head does not answer."""
        try:
            await asyncio.to_thread(reach, self.jobs.address)  # the client waits for ever
            info = await asyncio.to_thread(self.jobs.info, self.job)
        except UnknownJobError:
            raise
        except ClusterError:
            return None
        self._answered = time.monotonic()
        return info

    async def _require_answer(self) -> None:
        await asyncio.to_thread(reach, self.jobs.address)
        self._answered = time.monotonic()


async def _until_silent(
    chunks: AsyncIterator[str], check: Callable[[], Awaitable[None]]
) -> AsyncIterator[str]:
    """What an iterator yields; whenever it is silent for long, the check must not raise."""
    while True:
        following = asyncio.ensure_future(_next(chunks))
        try:
            while not (await asyncio.wait({following}, timeout=SILENT_S))[0]:
                await check()
            chunk = await following
        finally:
            following.cancel()
        if chunk is None:
            return
        yield chunk


async def _next(chunks: AsyncIterator[str]) -> str | None:
    """The next one; None at the end."""
    return await anext(chunks, None)
