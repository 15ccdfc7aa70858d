"""Scratch folders: each is named after its process, and swept away once that is gone."""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def scratch_prefix(kind: str) -> str:
    """What the name of a scratch folder of this process begins with."""
    return f"{kind}{os.getpid()}-"


def scratch_folders(parent: Path, kind: str) -> Iterator[Path]:
    """Those of all processes whose names begin with ``kind``."""
    return parent.glob(f"{kind}*-*")


def sweep_scratch(parent: Path, kind: str) -> None:
    """Delete those of this user's processes that are gone."""
    for folder in scratch_folders(parent, kind):
        pid = folder.name.removeprefix(kind).partition("-")[0]
        with suppress(OSError):
            if pid.isdigit() and folder.stat().st_uid == os.getuid() and not _is_alive(int(pid)):
                shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
