"""The objects of a run in a bucket: whole or absent, by a key beneath the run's URI."""

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from raytune_pipe.base import ResultsError
from raytune_pipe.results.locations import endpoint

CONNECT_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 30.0
CHUNK_BYTES = 8 * 1024**2

_REFUSED = r"ACCESS_DENIED|INVALID_ACCESS_KEY_ID|SIGNATURE_DOES_NOT_MATCH|TOKEN|\b403\b"
_NO_BUCKET = ("NO_SUCH_BUCKET", "NoSuchBucket", "bucket does not exist")

_READS = 5
"""Of an object that is replaced at times, before it counts as damaged."""
_BETWEEN_READS_S = 0.2

T = TypeVar("T")


class StoreError(ResultsError):
    """An object could not be written or read."""


class StoreRefusedError(StoreError):
    """The storage answered that it will not do this, so that trying again is in vain."""


class ObjectStore:
    """The objects beneath a URI.

    Raises:
        StoreError: the storage cannot be reached, or fails.
        StoreRefusedError: there is no such bucket, or the credentials do not allow it.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri

    @cached_property
    def _filesystem(self) -> Any:
        scheme, bucket = urlsplit(self.uri)[:2]
        with self._errors("opened"):
            return _s3(bucket) if scheme == "s3" else _gcs()

    def _path(self, key: str) -> str:
        return f"{self.uri.partition('://')[2]}/{key}"

    def put(self, key: str, data: bytes) -> None:
        """Write an object; there is none where this fails."""
        filesystem = self._filesystem
        with self._errors(f"written ({key})"):
            stream = filesystem.open_output_stream(self._path(key))
            stream.write(data)
            stream.close()

    def put_file(self, key: str, path: Path) -> None:
        """Write an object from a file of any size."""
        filesystem = self._filesystem
        with self._errors(f"written ({key})"), path.open("rb") as file:
            stream = filesystem.open_output_stream(self._path(key))
            while chunk := file.read(CHUNK_BYTES):
                stream.write(chunk)
            stream.close()

    def get(self, key: str) -> bytes | None:
        """An object; None where there is none."""
        chunks: list[bytes] = []
        return b"".join(chunks) if self._read(key, chunks.append) else None

    def get_replaced(self, key: str, parse: Callable[[bytes], T]) -> T | None:
        """What an object that is replaced at times says; None where there is none.

        Its length and its bytes are two requests, and it may be replaced in between: then the bytes
        are cut short, and ``parse`` raises `ResultsError`.
        """
        for _ in range(_READS - 1):
            try:
                data = self.get(key)
                return None if data is None else parse(data)
            except StoreError:
                raise
            except ResultsError:
                time.sleep(_BETWEEN_READS_S)
        data = self.get(key)
        return None if data is None else parse(data)

    def get_file(self, key: str, path: Path) -> bool:
        """Write an object into a file, which is there once it is whole; False if there is none."""
        partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with partial.open("wb") as file:
                is_there = self._read(key, file.write)
            if is_there:
                partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return is_there

    def digest(self, key: str) -> str | None:
        """The SHA-256 (hex) of an object; None where there is none."""
        sha256 = hashlib.sha256()
        return sha256.hexdigest() if self._read(key, sha256.update) else None

    def _read(self, key: str, take: Callable[[bytes], object]) -> bool:
        filesystem = self._filesystem
        with self._errors(f"read ({key})"):
            try:
                stream = filesystem.open_input_stream(self._path(key))
            except FileNotFoundError:
                return False
            with stream:
                while chunk := stream.read(CHUNK_BYTES):
                    take(chunk)
        return True

    def age_s(self, key: str, probe: str | None = None) -> float | None:
        """Seconds since an object was written, by this machine's clock; None if it does not tell.

        With the key of a ``probe`` by the storage's own clock: it is written, and deleted.
        """
        now = time.time() if probe is None else self._clock(probe)
        written = self._written_at(key)
        return None if now is None or written is None else now - written

    def _clock(self, probe: str) -> float | None:
        self.put(probe, b"")
        try:
            return self._written_at(probe)
        finally:
            with suppress(StoreError):
                self.delete(probe)

    def _written_at(self, key: str) -> float | None:
        filesystem = self._filesystem
        with self._errors(f"looked at ({key})"):
            found = filesystem.get_file_info(self._path(key))
        return None if found.mtime_ns is None else float(found.mtime_ns) / 1e9

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        filesystem = self._filesystem
        with self._errors(f"looked at ({key})"):
            return bool(filesystem.get_file_info(self._path(key)).is_file)

    def keys(self, under: str) -> list[str]:
        """The keys that begin with ``under/``."""
        from pyarrow.fs import FileSelector

        filesystem, base = self._filesystem, self._path("")
        with self._errors(f"listed ({under})"):
            selector = FileSelector(self._path(under), recursive=True, allow_not_found=True)
            found = filesystem.get_file_info(selector)
        return sorted(one.path.removeprefix(base) for one in found if one.is_file)

    def delete(self, key: str) -> None:
        """Delete an object, if there is one."""
        filesystem = self._filesystem
        with self._errors(f"deleted ({key})"), suppress(FileNotFoundError):
            filesystem.delete_file(self._path(key))

    def delete_all(self) -> None:
        """Delete every object beneath the URI."""
        filesystem = self._filesystem
        with self._errors("deleted"), suppress(FileNotFoundError):
            filesystem.delete_dir(self._path("").rstrip("/"))

    @contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        """Turn an error of pyarrow's into one of ours: the URI, the reason, what to do."""
        try:
            yield
        except FileNotFoundError as error:  # for a bucket that is not there
            raise self._error(done, error) from error
        except (OSError, NotImplementedError) as error:
            raise self._error(done, error) from error

    def _error(self, done: str, error: Exception) -> StoreError:
        reason = " ".join(str(error).split())
        # Names of buckets and objects may be anything, 403 too: what stands beside them counts.
        said = re.sub(r"'[^']*'", "", reason).replace(self._path("").rstrip("/"), "")
        kind, cure = _judged(said, urlsplit(self.uri).scheme)
        return kind(f"{self.uri}: the objects must be {done}, but got: {reason}; {cure}")


def _judged(said: str, scheme: str) -> tuple[type[StoreError], str]:
    """Whether trying again may help, and what to do."""
    variables = (
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws or the node's role"
        if scheme == "s3"
        else "GOOGLE_APPLICATION_CREDENTIALS or the node's service account"
    )
    if any(word in said for word in _NO_BUCKET):
        return StoreRefusedError, "make the bucket, or name another one in `storage`"
    if re.search(_REFUSED, said):
        return StoreRefusedError, f"give the credentials used here the right to it ({variables})"
    where = endpoint(scheme)
    served = f" at {where}" if where else ""
    return StoreError, f"see that the storage answers{served}, and run again"


def _s3(bucket: str) -> Any:
    """S3, or a service that speaks its protocol; credentials by Amazon's usual chain."""
    from pyarrow.fs import S3FileSystem, resolve_s3_region

    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    served_by = endpoint("s3")
    if not region and not served_by:
        with suppress(OSError):  # then Amazon's own default
            region = resolve_s3_region(bucket)
    return S3FileSystem(
        region=region or None,
        endpoint_override=served_by,
        connect_timeout=CONNECT_TIMEOUT_S,
        request_timeout=REQUEST_TIMEOUT_S,
        background_writes=False,
        allow_delayed_open=True,  # one request for a small object, not three
    )


def _gcs() -> Any:
    """Google's storage, or an emulator of it; credentials by Google's usual chain."""
    from datetime import timedelta

    from pyarrow.fs import GcsFileSystem

    limit = timedelta(seconds=REQUEST_TIMEOUT_S)
    served_by = endpoint("gs")
    if not served_by:
        return GcsFileSystem(retry_time_limit=limit)
    scheme, _, host = served_by.rpartition("://")
    return GcsFileSystem(
        anonymous=True,
        scheme=scheme or "http",
        endpoint_override=host.rstrip("/"),
        retry_time_limit=limit,
    )


def with_patience(call: Callable[[], T], patience_s: float, first_wait_s: float = 0.5) -> T:
    """What a call gives, tried again with growing waits while the storage is out of reach.

    Raises:
        StoreError: it still is after ``patience_s`` seconds.
        StoreRefusedError: at once.
    """
    deadline, wait_s = time.monotonic() + patience_s, first_wait_s
    while True:
        try:
            return call()
        except StoreRefusedError:
            raise
        except StoreError:
            if time.monotonic() + wait_s > deadline:
                raise
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, 8.0)
