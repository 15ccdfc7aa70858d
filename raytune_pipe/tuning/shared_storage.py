"""Whether all nodes of a cluster see one storage.

Each reads what the driver has just written there, and the driver what each has written.
"""

import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from raytune_pipe.base import ResultsError
from raytune_pipe.results.locations import is_uri
from raytune_pipe.results.object_store import ObjectStore
from raytune_pipe.tuning.node_tasks import on_each, reason

SEEN_WITHIN_S = 5.0
"""Seconds that a file system between machines has to show a new file to another machine."""
LIMIT_S = 60.0
"""Seconds that a node has to answer; a refused bucket takes pyarrow some of them."""
LAUNCH_LIMIT_S = 30.0
"""Likewise where a run waits for it; what answers later may share the storage or not."""


class StorageNotSharedError(ResultsError):
    """Some node of the cluster does not share the storage with the driver."""


def require_shared(location: str, limit_s: float = LAUNCH_LIMIT_S) -> list[str]:
    """Why nodes have not said in time whether they share a run's folder or URI; a line each.

    With one node there is nothing to ask. Ray must be connected.

    Raises:
        StorageNotSharedError: a node does not share it; names each that does not.
        ResultsError: the driver itself cannot write there.
    """
    import ray

    here = ray.get_runtime_context().get_node_id()
    others = {
        node["NodeID"]: node["NodeManagerAddress"]
        for node in ray.nodes()
        if node["Alive"] and node["NodeID"] != here
    }
    if not others:
        return []
    told = check_shared(location, list(others), limit_s)
    late = [node for node, why in told.items() if why.startswith(TimeoutError.__name__)]
    blind = [f"{others[node]} ({why})" for node, why in told.items() if node not in late]
    if not blind:
        return [f"{others[node]}: {told[node]}" for node in late]
    cure = (
        "give the workers the credentials (env_passthrough, or a role of the nodes) and the way"
        if is_uri(location)
        else "name a folder on a file system that all nodes mount, or s3:// or gs://, in `storage`"
    )
    raise StorageNotSharedError(
        f"{location}: every node of the cluster must share the storage of a run, since workers"
        f" write checkpoints there and others start from them, but {len(blind)} of {len(others)}"
        f" other nodes do not: {'; '.join(blind)}; {cure}"
    )


def check_shared(storage: str, nodes: Sequence[str], limit_s: float = LIMIT_S) -> dict[str, str]:
    """Why each node, by its id, does not share the storage with the driver; empty where all do.

    Args:
        storage: a folder, relative to the current one, or a URI.
        nodes: the ids of the nodes, as Ray gives them.
        limit_s: how long all of them together have to answer.

    Raises:
        ResultsError: the driver itself cannot write there.
    """
    location = storage if is_uri(storage) else str(Path(storage).absolute())
    folder, is_new = Path(location), not is_uri(storage) and not Path(location).exists()
    probe = f".raytune-pipe-check-{secrets.token_hex(8)}"
    try:
        _write(location, probe, probe)
        told = on_each(nodes, _exchange, location, probe, limit_s=limit_s)
        return {node: why for node in nodes if (why := _why_not(location, told[node]))}
    finally:
        for name in (probe, *(f"{probe}-{node}" for node in nodes)):
            _delete(location, name)
        if is_new:
            with suppress(OSError):
                folder.rmdir()


def _exchange(location: str, probe: str) -> str:
    """On a node: read what the driver wrote, and write a file for it; its name, or why not."""
    import ray

    if _read(location, probe) != probe:
        raise ResultsError("does not see there what the driver has just written")
    name = f"{probe}-{ray.get_runtime_context().get_node_id()}"
    _write(location, name, name)
    return name


def _why_not(location: str, told: str | Exception) -> str:
    if isinstance(told, ResultsError) or isinstance(getattr(told, "cause", None), ResultsError):
        return str(getattr(told, "cause", None) or told)
    if isinstance(told, Exception):
        return reason(told)
    return "" if _read(location, told) == told else "writes there what the driver does not see"


def _write(location: str, name: str, text: str) -> None:
    """Raise `ResultsError` unless a file can be written there."""
    if is_uri(location):
        ObjectStore(location).put(name, text.encode())
        return
    try:
        Path(location).mkdir(parents=True, exist_ok=True)
        Path(location, name).write_text(text)
    except OSError as error:
        raise ResultsError(f"{location}: must be writable, but got: {error.strerror}") from error


def _read(location: str, name: str) -> str | None:
    """A file's text; None where it has not come in time."""
    if is_uri(location):
        data = ObjectStore(location).get(name)
        return data.decode() if data else None
    deadline = time.monotonic() + SEEN_WITHIN_S
    while True:
        with suppress(OSError):
            if text := Path(location, name).read_text():
                return text
        if time.monotonic() > deadline or not Path(location).is_dir():
            return None
        time.sleep(0.1)


def _delete(location: str, name: str) -> None:
    with suppress(OSError, ResultsError):
        if is_uri(location):
            ObjectStore(location).delete(name)
        else:
            Path(location, name).unlink(missing_ok=True)
