"""How many trials the cluster holds, counted anew as nodes come and go."""

import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from raytune_pipe.tuning.leaving_nodes import leaving_nodes
from raytune_pipe.tuning.trial_request import TrialRequest

Nodes = Sequence[Mapping[str, float]]

COUNT_EVERY_S = 2.0
AHEAD = 8
"""Trials that a cluster which grows is asked for at least beyond those it holds."""


class Capacity:
    """The slots of a run, kept up to date by a thread.

    The driver itself must not ask: where the head is gone, the call does not return.
    """

    def __init__(
        self,
        request: TrialRequest,
        *,
        most: int,
        grows: bool,
        alive: Callable[[], Nodes],
        every_s: float = COUNT_EVERY_S,
    ) -> None:
        self._request, self._most, self._grows = request, most, grows
        self._alive = alive
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="capacity", daemon=True)
        self.slots = self._count()
        """How many trials may run at once."""

    def _count(self) -> int:
        return slots_of(self._request, self._alive(), self._most, grows=self._grows)

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
        self._thread.join(timeout=self._every_s)

    def _watch(self) -> None:
        while not self._over.wait(self._every_s):
            try:
                self.slots = self._count()
            except Exception:  # Ray is gone, or going: the driver hears of it by itself
                return


def slots_of(request: TrialRequest, nodes: Nodes, most: int, *, grows: bool) -> int:
    """How many trials are given to Ray at once, at most ``most``.

    A cluster that grows is asked for up to twice what it holds: those that wait are what its
    autoscaler sees. One whose nodes are all lost just now keeps one slot, whose trial waits.
    """
    held = request.slots(nodes)
    wanted = held + max(held, AHEAD) if grows else max(held, 1)
    return min(wanted, most)


def nodes_alive() -> Nodes:
    """What each node that is alive, and will stay, has. Ray must be connected."""
    import ray

    leaving = leaving_nodes()
    alive = (node for node in ray.nodes() if node["Alive"])
    return tuple(node["Resources"] for node in alive if node["NodeID"] not in leaving)
