"""Where runs are stored: a folder, or beneath a URI that all nodes of a cluster can reach."""

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from raytune_pipe.results.files import write_atomically

SCHEMES = ("s3", "gs")
"""Of the URIs that name a bucket, and perhaps a prefix in it."""

MARKER = "storage.json"
"""The file of a run's folder that says of which URI the folder is the driver's side."""

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PREFIX = re.compile(r"(/[A-Za-z0-9!_.*'()=+@:,-]+)*")


def is_uri(location: str) -> bool:
    """Whether this names a place in a bucket, not a folder."""
    return "://" in location


def normalized(location: str) -> str:
    """A storage as it is recorded: a folder's path, or a URI without a slash at its end.

    Raises `ValueError` where it is neither.
    """
    if not is_uri(location):
        return location
    parts = urlsplit(location)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        return unquote(parts.path)
    if parts.scheme not in SCHEMES:
        raise ValueError(
            f"must be a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX, but got {location!r}"
        )
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(
            "must be a bucket and a prefix alone, without credentials or options; these come from"
            " the environment: AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and their like"
        )
    path = parts.path.rstrip("/")
    if not _BUCKET.fullmatch(parts.netloc) or not _PREFIX.fullmatch(path) or ".." in path:
        raise ValueError(
            "must have a bucket, and a prefix of letters, digits and -_.!*'()=+@:, between single"
            f" slashes, but got {location!r}"
        )
    return f"{parts.scheme}://{parts.netloc}{path}"


def endpoint(scheme: str) -> str | None:
    """Where a service that is not the cloud's own answers, as its usual variables say."""
    if scheme == "gs":
        return os.environ.get("STORAGE_EMULATOR_HOST") or None
    specific, general = "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"
    return os.environ.get(specific) or os.environ.get(general) or None


def local_folder(uri: str) -> Path:
    """The folder on this machine's disk in which the run of a URI is written, by a driver here."""
    scheme, _, rest = uri.partition("://")
    served_by = endpoint(scheme)
    if served_by:
        scheme += "@" + re.sub(r"[^A-Za-z0-9.:-]", "_", served_by.partition("://")[2] or served_by)
    cache = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(cache) if Path(cache).is_absolute() else Path.home() / ".cache"
    return base.joinpath("raytune-pipe", "runs", scheme, *rest.split("/"))


def mark(folder: Path, uri: str, *, is_copy: bool = False) -> None:
    """Have a folder say that it is the driver's side of a URI, or only a copy to look at."""
    _write_marker(folder, {"uri": uri, "is_copy": is_copy})


def note_fetched(folder: Path, uri: str, window: str | None) -> None:
    """Likewise where it was made from the bucket, with what may be lost: see `take_window`."""
    _write_marker(folder, {"uri": uri, "is_copy": False, "window": window})


def take_window(folder: Path) -> str | None:
    """What was lost when the folder was made from the bucket; told once."""
    marker = _marker(folder)
    window = marker.pop("window", None)
    if window is not None:
        _write_marker(folder, marker)
    return str(window) if window else None


def uri_of(folder: Path) -> str | None:
    """The URI of which a folder is the driver's side, or a copy; None where the folder is all."""
    uri = _marker(folder).get("uri")
    return uri if isinstance(uri, str) and normalized(uri) == uri else None


def copy_of(folder: Path) -> str | None:
    """The URI of which a folder is only a copy, in which nothing runs; None for any other."""
    return uri_of(folder) if _marker(folder).get("is_copy") is True else None


def _marker(folder: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        found = json.loads((folder / MARKER).read_bytes())
        return found if isinstance(found, dict) else {}
    return {}


def _write_marker(folder: Path, marker: dict[str, Any]) -> None:
    data = (json.dumps(marker) + "\n").encode()
    write_atomically(folder / MARKER, lambda file: file.write(data))
