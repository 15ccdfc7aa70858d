"""The checksums of what is derived from the journal, as ``sha256sum --check`` reads them.

Parquet's own checksums cover pages, not the footer, and what a flipped bit does to a footer need
not show when the table is read. The checksums are written last, after the files themselves.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from raytune_pipe.results.files import storage_errors, write_atomically

CHECKSUMS = "SHA256SUMS"
"""The name of their file in a run directory."""

_LINE = re.compile(rb"^([0-9a-f]{64})  ([^\n]+)\n", re.MULTILINE)


def write_checksums(folder: Path, digests: Mapping[str, str]) -> None:
    """Replace the checksums as a whole: the SHA-256 (hex) of each file by its name."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in digests.items())
    write_atomically(folder / CHECKSUMS, lambda file: file.write(lines.encode()))


def read_checksums(folder: Path) -> dict[str, str]:
    """The SHA-256 (hex) of each file by its name; without lines that are not whole."""
    path = folder / CHECKSUMS
    if not path.is_file():
        return {}
    with storage_errors(path):
        lines = _LINE.findall(path.read_bytes())
    return {name.decode(errors="replace"): digest.decode() for digest, name in lines}


def read_checked(folder: Path, name: str) -> bytes | None:
    """The content of a file; None unless it is as its checksum says."""
    path = folder / name
    if not path.is_file():
        return None
    with storage_errors(path):
        data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    return data if read_checksums(folder).get(name) == digest else None
