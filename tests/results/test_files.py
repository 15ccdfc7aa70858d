from errno import ENOSPC
from pathlib import Path
from typing import BinaryIO

import pytest

from raytune_pipe.base import ResultsError
from raytune_pipe.results.files import storage_errors, write_atomically


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.write_text("old")

    def write(file: BinaryIO) -> None:
        file.write(b"new, but only ha")
        raise OSError(ENOSPC, "No space left on device")

    with pytest.raises(ResultsError):
        write_atomically(path, write)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_file_is_hidden(tmp_path: Path) -> None:
    seen: list[str] = []
    write_atomically(tmp_path / "x", lambda _: seen.extend(p.name for p in tmp_path.iterdir()))
    assert len(seen) == 1
    assert seen[0].startswith(".")


def test_a_full_disk_is_told_with_what_is_free(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "trials.parquet"
    told = rf"{path}.*No space left.*[0-9,]+ bytes free"
    with pytest.raises(ResultsError, match=told), storage_errors(path):
        raise OSError(ENOSPC, "No space left on device")


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"gone/x: .* No such file or directory"):
        write_atomically(tmp_path / "gone" / "x", lambda file: file.write(b""))
