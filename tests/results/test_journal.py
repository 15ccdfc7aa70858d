import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from raytune_pipe.base import ResultsError
from raytune_pipe.results.events import Event
from raytune_pipe.results.journal import Journal, read_events


def note(text: str) -> Event:
    return {"event": "anomaly", "what": text, "time": 0.5}


NOTES = [note("a"), note("second"), note("c" * 12)]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "journal.jsonl"
    journal = Journal.create(path)
    journal.append(*NOTES)
    journal.close()
    return path


ON_A_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from raytune_pipe.base import ResultsError
from raytune_pipe.results.journal import Journal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
heard = []
journal = Journal.create(Path(sys.argv[1]), heard.append)
for text in ("fits", "x" * 200, "fits too"):
    try:
        journal.append({"event": "anomaly", "what": text, "time": 0.5})
    except ResultsError as error:
        print(error)
print([event["what"] for event in heard])
"""
"""In a process of its own: beyond 200 bytes its writes fail, as they would on a full disk."""


def test_events_are_read_back_in_order_and_counted(written: Path) -> None:
    reader = read_events(written)
    assert list(reader) == NOTES
    assert (reader.number, reader.torn_bytes) == (3, 0)
    assert reader.offset == written.stat().st_size


def test_a_line_is_length_checksum_json(written: Path) -> None:
    first = written.read_bytes().splitlines()[0]
    length, checksum, payload = first.split(b" ", 2)
    assert int(length) == len(payload)
    assert len(checksum) == 8


def test_one_append_is_one_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal.create(tmp_path / "journal.jsonl")
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    journal.append(*NOTES)
    assert len(flushed) == 1
    journal.close()


def test_the_listener_hears_what_is_on_disk_and_what_is_appended(written: Path) -> None:
    heard: list[Event] = []
    journal = Journal.open(written, heard.append)
    assert list(journal.recorded()) == heard == NOTES
    journal.append(note("fourth"))
    assert heard[3:] == [note("fourth")]
    assert journal.number == 4
    journal.close()


def test_a_file_cut_at_any_byte_is_whole_up_to_a_torn_tail(written: Path) -> None:
    data = written.read_bytes()
    ends = [index + 1 for index, byte in enumerate(data) if byte == ord("\n")]
    for size in range(len(data)):
        written.write_bytes(data[:size])
        reader = read_events(written)
        whole = sum(end <= size for end in ends)
        assert list(reader) == NOTES[:whole]
        assert reader.torn_bytes == size - max([0, *(end for end in ends if end <= size)])


def test_opening_cuts_a_torn_tail_and_goes_on(written: Path) -> None:
    whole = written.stat().st_size
    with written.open("ab") as file:
        file.write(b'55 0badcafe {"event":"ano')
    journal = Journal.open(written)
    assert list(journal.recorded()) == NOTES
    assert journal.cut_bytes == 25
    assert written.stat().st_size == whole
    journal.append(note("fourth"))
    journal.close()
    assert list(read_events(written)) == [*NOTES, note("fourth")]


def test_every_flipped_bit_is_detected(written: Path) -> None:
    data = written.read_bytes()
    undetected = []
    with written.open("r+b", buffering=0) as file:
        for position in range(len(data) * 8):
            offset, bit = divmod(position, 8)
            os.pwrite(file.fileno(), bytes([data[offset] ^ 1 << bit]), offset)
            with suppress(ResultsError):
                undetected.append((offset, bit, list(read_events(written))))
            os.pwrite(file.fileno(), data[offset : offset + 1], offset)
    assert undetected == []


@pytest.mark.parametrize("order", [(1, 2), (0, 2), (1, 0, 2), (0, 0, 1, 2), (0, 1, 1, 2)])
def test_lines_that_are_missing_doubled_or_exchanged_are_damage(
    written: Path, order: tuple[int, ...]
) -> None:
    lines = written.read_bytes().splitlines(keepends=True)
    written.write_bytes(b"".join(lines[index] for index in order))
    with pytest.raises(ResultsError):
        list(read_events(written))


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_what_was_not_taken_of_what_is_recorded_is_read_before_an_append(
    taken: int, written: Path
) -> None:
    with written.open("ab") as file:
        file.write(b"30 1234")
    heard: list[Event] = []
    journal = Journal.open(written, heard.append)
    recorded = journal.recorded()
    assert [next(recorded) for _ in range(taken)] == NOTES[:taken]
    journal.append(note("fourth"))
    journal.close()
    assert list(read_events(written)) == heard == [*NOTES, note("fourth")]


def test_damage_names_the_file_the_event_and_the_offset(written: Path) -> None:
    data = written.read_bytes()
    offset = data.index(b"\n") + 1
    written.write_bytes(data.replace(b"second", b"tampered"))
    with pytest.raises(ResultsError, match=f"event 2 at byte {offset} must fit") as caught:
        list(Journal.open(written).recorded())
    assert str(written) in str(caught.value)
    assert caught.value.exit_code == 5


def test_damage_is_left_as_it_is(written: Path) -> None:
    damaged = written.read_bytes().replace(b"second", b"sEcond") + b"12 torn"
    written.write_bytes(damaged)
    journal = Journal.open(written)
    with pytest.raises(ResultsError):
        journal.append(note("more"))
    assert written.read_bytes() == damaged


def test_a_journal_is_created_once(written: Path) -> None:
    with pytest.raises(ResultsError, match="exists"):
        Journal.create(written)


def test_a_missing_journal_is_told(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="No such file"):
        Journal.open(tmp_path / "journal.jsonl")


def test_after_a_failed_append_the_journal_takes_no_more(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    command = [sys.executable, "-c", ON_A_FULL_DISK, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    too_large, closed, heard = done.stdout.splitlines()
    assert "File too large" in too_large
    assert "closed" in closed
    assert heard == "['fits']"
    reopened = Journal.open(path)
    assert list(reopened.recorded()) == [note("fits")]
    assert reopened.cut_bytes > 0
    reopened.append(note("again"))
    reopened.close()
    assert list(read_events(path)) == [note("fits"), note("again")]


def test_an_interrupted_append_is_overwritten_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal.create(path)
    journal.append(NOTES[0])

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            journal.append(NOTES[1])
    journal.append(NOTES[2])
    journal.close()
    assert journal.number == 2
    assert list(read_events(path)) == [NOTES[0], NOTES[2]]


@pytest.mark.parametrize("fate", ["deleted", "moved", "replaced"])
def test_an_append_to_a_file_that_is_no_more_in_its_place_is_told(
    fate: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    journal = Journal.create(folder / "journal.jsonl")
    journal.append(NOTES[0])
    if fate == "deleted":
        (folder / "journal.jsonl").unlink()
        folder.rmdir()
    else:
        folder.rename(tmp_path / "elsewhere")
    if fate == "replaced":
        folder.mkdir()
        (folder / "journal.jsonl").touch()
    with pytest.raises(ResultsError, match="put it back where it was"):
        journal.append(NOTES[1])
    if fate != "deleted":  # what was acknowledged went with it
        assert NOTES[0] in list(read_events(tmp_path / "elsewhere" / "journal.jsonl"))
