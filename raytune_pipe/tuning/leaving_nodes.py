"""Nodes that are about to be taken away, as spot instances are: their trials go on elsewhere.

Ray is told by `ray drain-node`, which a watcher of the cloud's notices calls, or by
`ray start --block` as it gets SIGTERM. It gives such a node no new work, but lets what runs there
run on.
"""

import time
from collections.abc import Callable

LOOK_EVERY_S = 2.0


def leaving_nodes() -> frozenset[str]:
    """The ids of the nodes that will be taken away. Ray must be connected."""
    from ray._private.state import state  # no public call tells of them

    return frozenset(state.get_draining_nodes())


class OwnNode:
    """The node that this worker runs on; Ray's head is asked about it at most every 2 s."""

    def __init__(self, node_id: str, leaving: Callable[[], frozenset[str]] = leaving_nodes) -> None:
        self._node_id = node_id
        self._leaving = leaving
        self._is_leaving = False
        self.look_at = 0.0
        """When to ask again (`time.monotonic`)."""

    def is_leaving(self) -> bool:
        """Whether it will be taken away. Once it will, it stays so."""
        if not self._is_leaving and time.monotonic() >= self.look_at:
            self._is_leaving = self._node_id in self._ask()
            self.look_at = time.monotonic() + LOOK_EVERY_S
        return self._is_leaving

    def _ask(self) -> frozenset[str]:
        try:
            return self._leaving()
        except Exception:  # a trial must not fail for it: without an answer it trains on
            return frozenset()
