"""One task on each node of a cluster, none waited for longer than its time."""

from collections.abc import Callable, Sequence
from typing import Any

GRACE_S = 2.0
"""Seconds that a result which is there may take to arrive."""


def on_each(
    nodes: Sequence[str],
    function: Callable[..., Any],
    *arguments: Any,
    limit_s: float,
) -> dict[str, Any]:
    """What a function gives on each node, or the exception that came instead; by node id.

    A node that does not answer in time has a `TimeoutError`. The tasks ask for no processor, so
    that they run on busy nodes too.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(num_cpus=0, max_retries=0)(function)
    asked = {
        node: task.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
        ).remote(*arguments)
        for node in nodes
    }
    if not asked:
        return {}
    ready, late = ray.wait(list(asked.values()), num_returns=len(asked), timeout=limit_s)
    for reference in late:
        ray.cancel(reference, force=True)
    arrived = set(ready)
    return {
        node: _result(reference)
        if reference in arrived
        else TimeoutError(f"no answer within {limit_s:g} s")
        for node, reference in asked.items()
    }


def reason(error: Exception) -> str:
    """The first line of what went wrong on a node, without Ray's words around it."""
    import ray

    if isinstance(error, ray.exceptions.TaskUnschedulableError | ray.exceptions.NodeDiedError):
        return "it is gone: its Ray does not answer its head"
    cause = getattr(error, "cause", None) or error
    first = str(cause).strip().partition("\n")[0]
    return f"{type(cause).__name__}: {first}" if first else type(cause).__name__


def _result(reference: Any) -> Any:
    import ray

    try:
        return ray.get(reference, timeout=GRACE_S)
    except Exception as error:  # the node's own, or its loss: the caller is told either
        return error
