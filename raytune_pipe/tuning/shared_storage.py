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


def check_shared(storage: str, nodes: Sequence[str]) -> dict[str, str]:
    """Why each node, by its id, does not share the storage with the driver; empty where all do.

    Args:
        storage: a folder, relative to the current one, or a URI.
        nodes: the ids of the nodes, as Ray gives them.

    Raises:
        ResultsError: the driver itself cannot write there.
    """
    location = storage if is_uri(storage) else str(Path(storage).absolute())
    folder, is_new = Path(location), not is_uri(storage) and not Path(location).exists()
    probe = f".raytune-pipe-check-{secrets.token_hex(8)}"
    try:
        _write(location, probe, probe)
        told = on_each(nodes, _exchange, location, probe, limit_s=LIMIT_S)
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
