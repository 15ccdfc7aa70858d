"""A trial on several workers: rank 0, which Ray Tune knows, and the other ranks, its own actors."""

import os
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, FIRST_EXCEPTION, Future, wait
from time import monotonic
from typing import Any, NoReturn, TypeVar

import ray
from ray.util import get_current_placement_group, get_node_ip_address
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from raytune_pipe.tuning.assignment import Answer, Assignment, Failure, TrialFailed
from raytune_pipe.tuning.hangs import ended_when_hung
from raytune_pipe.tuning.leaving_nodes import OwnNode
from raytune_pipe.tuning.ray_errors import MemoryKills, failure_of
from raytune_pipe.tuning.trainable import CONNECTION_LOST, Work, describe

T = TypeVar("T")

CAUSE_WITHIN_S = 30.0
"""Seconds that Ray has to tell which worker is gone, once another lost its connection to it."""
EXIT_AFTER_S = 5.0
"""Seconds from a failure to the end of rank 0's process, whatever its threads still wait for."""


class Peer:
    """A rank above 0: does as rank 0 tells it, and ends with it. A Ray actor."""

    def __init__(self, rank: int, size: int, device: str) -> None:
        self._rank, self._size, self._device = rank, size, device
        self._node = OwnNode(ray.get_runtime_context().get_node_id())
        self._work: Work | None = None

    def join(self, address: str, port: int) -> None:
        """Join the group of rank 0, which listens there; raises `TrialFailed`."""
        try:
            _join(self._rank, self._size, self._device, address, port)
        except Exception as error:
            raise TrialFailed(describe(error)) from None

    def train(self, assignment: str | None) -> bool:
        """Train one epoch, of a new assignment if there is one; whether its node is leaving.

        Raises `TrialFailed`.
        """
        if assignment is not None:
            self._work = Work(Assignment.from_text(assignment), self._rank)
        if self._work is not None:
            _without_failure(self._work.answer())
        return self._node.is_leaving()


class Group:
    """All ranks of a trial, seen from rank 0; it serves one trial after the other.

    What this process trains runs in a thread of its own, so that a peer which fails is heard of
    while the others wait for it. After any failure no rank is used again, since some may still be
    waiting: the peers are killed, and this process ends.
    """

    def __init__(self, size: int, device: str) -> None:
        self._size, self._device = size, device
        self._thread = _CallingThread()
        self._memory_kills = MemoryKills()
        self._peers = [_start(Peer, rank, size, device) for rank in range(1, size)]
        self._is_joined = False
        self.is_any_leaving = False
        """Whether the node of a peer will be taken away, by what it said last."""

    def train(self, work: Work, assignment: str | None) -> Answer:
        """Train one epoch on all ranks; the answer of rank 0.

        Args:
            work: This rank's.
            assignment: What the peers begin with it; None where they go on.

        Raises:
            TrialFailed: what went wrong first, on whichever rank.
        """
        with ended_when_hung(work.assignment):
            if not self._is_joined:
                self._join()
            answer, leaving = self._together(
                lambda: _without_failure(work.answer()),
                [peer.train.remote(assignment) for peer in self._peers],
            )
            self.is_any_leaving = any(leaving)
            return answer

    def end(self) -> None:
        """End the peers."""
        for peer in self._peers:
            ray.kill(peer)

    def _join(self) -> None:
        from raytune_pipe.training.process_group import listening_socket

        address = get_node_ip_address()
        listening = listening_socket(address)
        port = listening.getsockname()[1]
        self._together(
            lambda: _join(0, self._size, self._device, address, port, listening),
            [peer.join.remote(address, port) for peer in self._peers],
        )
        self._is_joined = True

    def _together(self, own: Callable[[], T], others: Sequence[Any]) -> tuple[T, list[Any]]:
        """What this rank's call returns, and the others', once all are done."""
        mine = self._thread.call(own)
        calls: list[Future[Any]] = [mine, *(other.future() for other in others)]
        wait(calls, return_when=FIRST_EXCEPTION)
        if any(call.done() and call.exception() for call in calls):
            self._give_up(calls)
        return mine.result(), [call.result() for call in calls[1:]]

    def _give_up(self, calls: Sequence["Future[Any]"]) -> NoReturn:
        """Raise what failed first; a lost connection is only the echo of a worker that is gone."""
        deadline = monotonic() + CAUSE_WITHIN_S
        failures = self._failures(calls)
        while all(failure.reason == CONNECTION_LOST for failure in failures):
            waiting = [call for call in calls if not call.done()]
            if not waiting or monotonic() > deadline:
                break
            wait(waiting, deadline - monotonic(), return_when=FIRST_COMPLETED)
            failures = self._failures(calls)
        self.end()
        ending = threading.Timer(EXIT_AFTER_S, os._exit, [1])
        ending.daemon = True
        ending.start()
        causes = [failure for failure in failures if failure.reason != CONNECTION_LOST]
        raise TrialFailed((causes or failures)[0])

    def _failures(self, calls: Sequence["Future[Any]"]) -> list[Failure]:
        """Why calls failed, in the order of their ranks."""
        errors = [call.exception() for call in calls if call.done()]
        return [self._failure(error) for error in errors if error is not None]

    def _failure(self, error: BaseException) -> Failure:
        if isinstance(error, ray.exceptions.RayError):  # of a peer
            return failure_of(str(error), memory_was_short=self._memory_kills.are_new())
        return error.failure if isinstance(error, TrialFailed) else describe(error)


class _CallingThread:
    """Makes calls one after the other in one thread, which ends with the process.

    One for all of them, as torch keeps settings such as the treatment of denormal numbers by
    thread.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="training", daemon=True).start()

    def call(self, function: Callable[[], T]) -> "Future[T]":
        """What the function returns or raises, once it has."""
        future: Future[T] = Future()
        self._calls.put((function, future))
        return future

    def _serve(self) -> None:
        while True:
            function, future = self._calls.get()
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)


def _start(peer: type[Peer], rank: int, size: int, device: str) -> Any:
    """A peer in the bundle of its rank, with all that the bundle holds."""
    group = get_current_placement_group()
    bundle = dict(group.bundle_specs[rank])
    place = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank)
    options = {
        "num_cpus": bundle.pop("CPU", 0),
        "num_gpus": bundle.pop("GPU", 0),
        "memory": bundle.pop("memory", None),
        "resources": bundle,
        "scheduling_strategy": place,
    }
    return ray.remote(peer).options(**options).remote(rank, size, device)


def _join(
    rank: int, size: int, device: str, address: str, port: int, listening: Any = None
) -> None:
    from raytune_pipe.training.process_group import join
    from raytune_pipe.training.world import World

    join(
        World(rank, size),
        device=device,
        own_address=get_node_ip_address(),
        address=address,
        port=port,
        listening=listening,
    )


def _without_failure(answer: Answer) -> Answer:
    """The answer; raises `TrialFailed` where it is a failure."""
    if answer.failure:
        raise TrialFailed(answer.failure)
    return answer
