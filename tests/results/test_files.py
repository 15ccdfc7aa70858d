import errno
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from raytune_pipe.base import ResultsError
from raytune_pipe.results.files import storage_errors, write_atomically, write_errors

CURES = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some of your quota",
    errno.EROFS: "mount the file system so that it can be written",
    errno.EACCES: "give this user the right to it",
    errno.EPERM: "give this user the right to it",
    errno.EIO: "dmesg",
    errno.ENOENT: "put it back where it was",
    errno.ENOTDIR: "there is a file where a folder must be",
    errno.EMFILE: "ulimit -n",
    errno.EDOM: "mend that",
}


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.write_text("old")

    def write(file: BinaryIO) -> None:
        file.write(b"new, but only ha")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ResultsError):
        write_atomically(path, write)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_file_is_hidden(tmp_path: Path) -> None:
    seen: list[str] = []
    write_atomically(tmp_path / "x", lambda _: seen.extend(p.name for p in tmp_path.iterdir()))
    assert len(seen) == 1
    assert seen[0].startswith(".")


@pytest.mark.parametrize("number", CURES, ids=lambda number: errno.errorcode[number])
def test_each_error_is_told_with_its_sizes_its_cure_and_the_way_on(
    number: int, tmp_path: Path
) -> None:
    path = tmp_path / "a run" / "gone" / "trials.parquet"
    with pytest.raises(ResultsError) as caught, write_errors(path, tmp_path / "a run", 1234):
        raise OSError(number, os.strerror(number))
    told = str(caught.value)
    assert told.startswith(f"{path}: must be written, but got: {os.strerror(number)} (")
    assert "bytes free, 1,234 needed" in told
    assert CURES[number] in told
    assert told.endswith(f"raytune-pipe resume '{tmp_path}/a run'")
    assert caught.value.exit_code == 5


def test_what_is_needed_is_counted_once_the_disk_is_full(tmp_path: Path) -> None:
    full = Path("/dev/full")

    def write(file: BinaryIO) -> None:
        file.write(b"x" * 3000)
        if file.seekable():  # the disk, not the count
            with full.open("wb", buffering=0) as disk:
                disk.write(b"x")

    with pytest.raises(ResultsError, match=r"No space left on device .* free, 3,000 needed"):
        write_atomically(tmp_path / "x", write)


def test_the_first_error_is_told_where_clearing_away_fails_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    def write(_: BinaryIO) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", fail)
    with pytest.raises(ResultsError, match="Read-only file system"):
        write_atomically(tmp_path / "x", write)


def test_what_cannot_be_read_is_told_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    told = r"journal.jsonl: .*denied; .*right to it, and run ag"
    with pytest.raises(ResultsError, match=told), storage_errors(path):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"gone/x: .* No such file or directory"):
        write_atomically(tmp_path / "gone" / "x", lambda file: file.write(b""))
