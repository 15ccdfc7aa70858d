"""Buckets for tests: a real S3 server on loopback, and a store in memory that can fail."""

import logging
import urllib.request
from collections.abc import Callable
from typing import Any

from raytune_pipe.results.object_store import ObjectStore, StoreError


class S3Server:
    """A server that can be stopped and comes back at the same address, its objects kept."""

    def __init__(self) -> None:
        self._server = _serve(0)
        _, self.port = self._server.get_host_and_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Refuse connections."""
        self._server.stop()

    def start(self) -> None:
        """Answer again, with all that was there."""
        self._server = _serve(self.port)

    def make_bucket(self, name: str) -> None:
        """A new, empty bucket."""
        request = urllib.request.Request(f"{self.url}/{name}", method="PUT")
        urllib.request.urlopen(request).close()


def _serve(port: int) -> Any:
    """A server that answers at this port of the loopback interface, or at a free one for 0."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it tells of every request
    make: Any = ThreadedMotoServer  # its constructor is not typed
    server = make("127.0.0.1", port, verbose=False)
    server.start()
    return server


class MemoryStore(ObjectStore):
    """Objects in a dictionary; ``before`` is called before each change, and may raise."""

    def __init__(self, objects: dict[str, bytes] | None = None) -> None:
        super().__init__("s3://memory/run")
        self.objects = {} if objects is None else objects
        self.before: Callable[[], object] = lambda: None

    def put(self, key: str, data: bytes) -> None:
        self.before()
        self.objects[key] = data

    def get(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def delete(self, key: str) -> None:
        self.before()
        self.objects.pop(key, None)

    def exists(self, key: str) -> bool:
        return key in self.objects

    def keys(self, under: str) -> list[str]:
        return sorted(key for key in self.objects if key.startswith(f"{under}/"))


def fail_after(count: int) -> Callable[[], None]:
    """What fails once it has been called so often."""
    left = count

    def fail() -> None:
        nonlocal left
        if left == 0:
            raise StoreError("the storage is gone")
        left -= 1

    return fail
