"""Following a log over connections that break; `test_jobs` of the commands has a real head."""

from collections.abc import AsyncIterator
from typing import cast

import pytest

from raytune_pipe.base import ClusterError
from raytune_pipe.tuning import job_follow
from raytune_pipe.tuning.job_follow import ConnectionLostError, follow_log
from raytune_pipe.tuning.jobs import JobInfo, Jobs

LOG = "Running entrypoint for job a-1: exec\none\ntwo\nthree\nfour"


class BreakingJobs:
    """A job whose log comes in chunks, over connections that break after so many of them."""

    address = "http://127.0.0.1:8265"

    def __init__(self, *breaks: int, answers: bool = True) -> None:
        self.breaks = list(breaks)
        self.answers = answers

    async def tail(self, _job: str) -> AsyncIterator[str]:
        left = self.breaks.pop(0) if self.breaks else len(LOG)
        for begin in range(0, len(LOG), 5):
            if left == 0:
                raise RuntimeError("WebSocket connection closed unexpectedly")
            left -= 1
            yield LOG[begin : begin + 5]

    def info(self, job: str) -> JobInfo:
        if not self.answers:
            raise ClusterError("nothing answers")
        return JobInfo(job, "RUNNING" if self.breaks else "SUCCEEDED", 0, "", {})


@pytest.fixture(autouse=True)
def _reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_follow, "reach", lambda _address: None)
    monkeypatch.setattr(job_follow, "FIRST_WAIT_S", 0.001)


@pytest.mark.parametrize("breaks", [(), (0,), (3, 0, 9), (9, 5, 12)])
def test_every_line_is_heard_once_whatever_breaks(breaks: tuple[int, ...]) -> None:
    heard: list[str] = []
    info = follow_log(cast(Jobs, BreakingJobs(*breaks)), "a-1", heard.append)
    assert heard == ["one", "two", "three", "four"]
    assert info.state == "SUCCEEDED"


def test_a_connection_that_does_not_come_back_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_follow, "LOST_AFTER_S", 0.0)
    jobs = cast(Jobs, BreakingJobs(2, 0, 0, answers=False))
    with pytest.raises(ConnectionLostError, match="the head must answer"):
        follow_log(jobs, "a-1", lambda _line: None)


def test_a_silent_connection_is_left_once_the_head_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def gone(address: str) -> None:
        asked.append(address)
        raise ClusterError("nothing answers")

    monkeypatch.setattr(job_follow, "reach", gone)
    monkeypatch.setattr(job_follow, "SILENT_S", 0.01)
    monkeypatch.setattr(job_follow, "LOST_AFTER_S", 0.0)

    class SilentJobs(BreakingJobs):
        async def tail(self, _job: str) -> AsyncIterator[str]:
            import asyncio

            yield "one\n"
            await asyncio.sleep(3600)

    with pytest.raises(ConnectionLostError):
        follow_log(cast(Jobs, SilentJobs()), "a-1", lambda _line: None)
    assert asked
