"""Where runs are stored: a folder, or beneath a URI that all nodes of a cluster can reach."""

import json
import os
import re
from contextlib import suppress
from pathlib import Path
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


def mark(folder: Path, uri: str) -> None:
    """Have a folder say of which URI it is the driver's side."""
    data = (json.dumps({"uri": uri}) + "\n").encode()
    write_atomically(folder / MARKER, lambda file: file.write(data))


def uri_of(folder: Path) -> str | None:
    """The URI of which a folder is the driver's side, or a copy; None where the folder is all."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        uri = json.loads((folder / MARKER).read_bytes())["uri"]
        return normalized(uri) if is_uri(uri) else None
    return None
