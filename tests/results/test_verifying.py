import hashlib
import json
import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raytune_pipe.base import NameTakenError, ResultsError
from raytune_pipe.results.checksums import read_checksums, write_checksums
from raytune_pipe.results.events import Event
from raytune_pipe.results.published import are_equal
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.results.verifying import Verification, repair_run, verify_run

FINISH: Event = {
    "event": "finish",
    "state": "finished",
    "exit_code": 3,
    "error": None,
    "time": 1_700_000_020.0,
}


@pytest.fixture
def events(small_run: list[Event]) -> list[Event]:
    """Those of a small run, with the true hashes of `weights`."""
    for event in small_run:
        if event["event"] == "report" and event["checkpoint"]:
            data = weights(event["checkpoint"]["path"])
            event["checkpoint"]["sha256"] = hashlib.sha256(data).hexdigest()
    return [*small_run, FINISH]


@pytest.fixture
def run(tmp_path: Path, events: list[Event]) -> Path:
    """The folder of a run that has finished."""
    with RunDirectory.claim(tmp_path, "run") as folder:
        write_events(folder, events)
        folder.publish()
        folder.write_status("finished", exit_code=3)
        folder.collect_garbage()
    return folder.path


def write_events(run: RunDirectory, events: list[Event]) -> None:
    run.journal.append(events[0])
    run.write_file("experiment.yaml", "name: small\n")
    for event in events[1:]:
        if event["event"] == "report" and event["checkpoint"]:
            path = run.path / event["checkpoint"]["path"]
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(weights(event["checkpoint"]["path"]))
        run.journal.append(event)


def weights(path: str) -> bytes:
    return path.encode() * 10


def files_of(run: Path) -> list[Path]:
    """All that a run says; the lock only says who holds it."""
    return sorted(path for path in run.rglob("*") if path.is_file() and path.name[:5] != ".lock")


def contents(run: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in files_of(run)}


def told(found: Verification) -> dict[str, bool]:
    """The files with a problem, and whether each can be repaired."""
    return {problem.path: problem.repairable for problem in found.problems}


def changed(run: Path, count: int, change: Callable[[bytes], bytes]) -> Iterator[Path]:
    """Each file of a run in turn, changed so many times, and put back as it was after each."""
    for file in files_of(run):
        data = file.read_bytes()
        for _ in range(count):
            file.write_bytes(change(data))
            yield file.relative_to(run)
        file.write_bytes(data)


def test_a_whole_run_has_no_problem_and_stays_as_it_is(run: Path) -> None:
    before = contents(run)
    for found in (verify_run(run), repair_run(run)):
        assert found == Verification(run, events=22, files=9, problems=())
    assert contents(run) == before


def test_sha256sum_can_check_the_tables_too(run: Path) -> None:
    digests = read_checksums(run)
    assert list(digests) == [
        *("trials.parquet", "reports.parquet", "lineage.parquet", "status.json")
    ]
    lines = (run / "SHA256SUMS").read_text().splitlines()
    for line, (name, digest) in zip(lines, digests.items(), strict=True):
        assert line == f"{digest}  {name}"
        assert digest == hashlib.sha256((run / name).read_bytes()).hexdigest()


@pytest.mark.slow
def test_every_flipped_bit_is_told(run: Path) -> None:
    draws = random.Random(0)

    def flip(data: bytes) -> bytes:
        position = draws.randrange(len(data))
        return bytes(
            [*data[:position], data[position] ^ 1 << draws.randrange(8), *data[position + 1 :]]
        )

    missed = [str(file) for file in changed(run, 35, flip) if not verify_run(run).problems]
    assert missed == []
    assert verify_run(run).problems == ()


def test_error_files_are_checked_and_told_again(run: Path) -> None:
    with RunDirectory.reopen(run) as reopened:
        reopened.journal.append(
            {
                "event": "end",
                "trial_id": "00002",
                "status": "failed",
                "reason": "ValueError: no",
                "error": None,
                "time": 1_700_000_021.0,
            }
        )
        reopened.rebuild()
    file = run / "errors" / "00002-0.txt"
    assert file.read_text() == "ValueError: no\n\nno traceback\n"
    assert verify_run(run).problems == ()
    harms: list[Callable[[], object]] = [lambda: file.write_text("else"), file.unlink]
    for harm in harms:
        harm()
        assert told(verify_run(run)) == {"errors/00002-0.txt": True}
        assert told(repair_run(run)) == {}
        assert file.read_text() == "ValueError: no\n\nno traceback\n"


@pytest.mark.slow
def test_every_truncation_is_told(run: Path) -> None:
    draws = random.Random(0)

    def truncate(data: bytes) -> bytes:
        return data[: draws.randrange(len(data))]

    missed = [str(file) for file in changed(run, 15, truncate) if not verify_run(run).problems]
    assert missed == []


def test_a_journal_cut_between_two_events_has_lost_its_end(run: Path) -> None:
    journal, before = run / "journal.jsonl", contents(run)
    lines = journal.read_bytes().splitlines(keepends=True)
    for count in range(len(lines)):
        journal.write_bytes(b"".join(lines[:count]))
        before[str(journal)] = journal.read_bytes()
        found = repair_run(run)
        assert told(found) == {"journal.jsonl": False}
        assert "its end is lost" in found.problems[0].what
        with pytest.raises(ResultsError, match="its end is lost"):
            RunDirectory.reopen(run)
        assert contents(run) == before


def test_damage_in_the_journal_is_told_with_its_offset_and_left_alone(run: Path) -> None:
    journal = run / "journal.jsonl"
    data = journal.read_bytes()
    offset = data.index(b"\n") + 1
    journal.write_bytes(data[: offset + 20] + b"?" + data[offset + 21 :])
    (run / "trials.parquet").write_bytes(b"")
    before = contents(run)
    found = repair_run(run)
    assert told(found) == {"journal.jsonl": False, "trials.parquet": True}
    assert f"event 2 at byte {offset} must fit" in found.problems[0].what
    assert not found.is_repairable
    assert contents(run) == before


def test_what_is_derived_is_rebuilt(run: Path) -> None:
    before = contents(run)
    for name in ("trials.parquet", "lineage.parquet", "status.json", "SHA256SUMS"):
        (run / name).unlink()
    (run / "reports.parquet").write_bytes(b"PAR1")
    (run / ".trials.parquet.123.tmp").write_bytes(b"half")
    (run / "checkpoints" / "00000" / ".9.pt.123").write_bytes(b"half")
    broken = verify_run(run)
    assert broken.is_repairable
    found = repair_run(run)
    assert found.problems == ()
    assert set(found.repaired) == set(broken.problems)
    assert len(broken.problems) == 6
    after = contents(run)
    times = {str(run / name) for name in ("status.json", "SHA256SUMS")}
    assert {name: after[name] for name in after.keys() - times} == {
        name: before[name] for name in before.keys() - times
    }
    status = json.loads((run / "status.json").read_text())
    assert (status["state"], status["exit_code"]) == ("finished", 3)


def test_a_run_that_was_killed_is_brought_up_to_date(tmp_path: Path, events: list[Event]) -> None:
    with RunDirectory.claim(tmp_path, "run") as run:
        write_events(run, events[:-4])
        run.publish()
        run.journal.append(*events[-4:-1])
    journal = run.path / "journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b"210 0badc0de {")
    found = verify_run(run.path)
    assert told(found) == dict.fromkeys(
        ("journal.jsonl", "trials.parquet", "reports.parquet", "lineage.parquet", "status.json"),
        True,
    )
    assert "ends with 14 bytes" in found.problems[0].what
    assert "all 21 events of the journal, but tells of 18" in found.problems[1].what
    assert repair_run(run.path).problems == ()
    assert journal.read_bytes() == whole
    assert json.loads((run.path / "status.json").read_text())["state"] == "interrupted"


def test_a_table_that_does_not_follow_from_the_journal_is_told(run: Path) -> None:
    file = run / "trials.parquet"
    table = pq.read_table(file)
    scores = pa.chunked_array([pa.array([0.0] * len(table))])
    position = table.schema.get_field_index("score")
    pq.write_table(table.set_column(position, table.schema.field("score"), scores), file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    write_checksums(run, {**read_checksums(run), file.name: digest})
    assert told(verify_run(run)) == {"trials.parquet": True}
    assert repair_run(run).problems == ()
    assert are_equal(pq.read_table(file), table)


def test_a_checkpoint_may_be_gone_unless_it_is_needed(run: Path) -> None:
    left = {path.relative_to(run) for path in run.glob("checkpoints/*/*.pt")}
    assert left == {Path(f"checkpoints/{name}.pt") for name in ("00000/2", "00001/2")}
    (run / "checkpoints/00000/2.pt").unlink()
    (run / "checkpoints/00001/2.pt").write_bytes(b"other weights")
    found = repair_run(run)
    assert told(found) == {"checkpoints/00000/2.pt": False, "checkpoints/00001/2.pt": False}
    assert "gone" in found.problems[0].what
    assert not found.is_repairable


def test_a_run_that_goes_on_is_checked_and_not_repaired(
    tmp_path: Path, events: list[Event]
) -> None:
    with RunDirectory.claim(tmp_path, "run") as run:
        write_events(run, events[:-4])
        assert verify_run(run.path).problems == ()
        run.publish()
        run.journal.append(*events[-4:-1])
        assert verify_run(run.path).problems == ()
        with pytest.raises(NameTakenError):
            repair_run(run.path)


def test_damage_in_a_run_that_goes_on_is_told_once_it_lasts(
    tmp_path: Path, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raytune_pipe.results.verifying._BETWEEN_LOOKS_S", 0.0)
    with RunDirectory.claim(tmp_path, "run") as run:
        write_events(run, events[:-1])
        run.publish()
        (run.path / "trials.parquet").write_bytes(b"")
        assert told(verify_run(run.path)) == {"trials.parquet": True}


def test_what_is_being_published_is_no_problem(
    tmp_path: Path, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunDirectory.claim(tmp_path, "run") as run:
        write_events(run, events[:-2])
        run.publish()
        checksums = (run.path / "SHA256SUMS").read_bytes()
        run.journal.append(events[-2])
        run.publish()
        newest = (run.path / "SHA256SUMS").read_bytes()
        (run.path / "SHA256SUMS").write_bytes(checksums)  # as just before the last replacement

        def publish(_seconds: float) -> None:
            (run.path / "SHA256SUMS").write_bytes(newest)

        monkeypatch.setattr("time.sleep", publish)
        assert verify_run(run.path).problems == ()


def test_a_launch_that_was_killed_at_once_has_no_tables(tmp_path: Path) -> None:
    with RunDirectory.claim(tmp_path, "run") as run:
        pass
    assert told(verify_run(run.path)) == {"status.json": True}
    assert repair_run(run.path).problems == ()


def test_foreign_files_are_told_even_with_their_checksums(run: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), run / "trials.parquet")
    (run / "lineage.parquet").write_text("no table")
    (run / "status.json").write_text("[]")
    names = ("trials.parquet", "lineage.parquet", "status.json")
    digests = {name: hashlib.sha256((run / name).read_bytes()).hexdigest() for name in names}
    write_checksums(run, {**read_checksums(run), **digests})
    assert told(verify_run(run)) == dict.fromkeys(names, True)
    assert repair_run(run).problems == ()


def test_temporary_files_of_a_run_that_goes_on_are_no_problem(
    tmp_path: Path, small_run: list[Event]
) -> None:
    with RunDirectory.claim(tmp_path, "run") as run:
        run.journal.append(*small_run[:1])
        (run.path / ".trials.parquet.123.tmp").write_bytes(b"half")
        assert verify_run(run.path).problems == ()


def test_a_folder_that_is_no_run_is_refused_and_left_alone(tmp_path: Path) -> None:
    for check in (verify_run, repair_run):
        with pytest.raises(ResultsError, match=r"has no journal\.jsonl"):
            check(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ([1.0, math.nan, None], [1.0, math.nan, None], True),
        ([1.0, math.nan], [1.0, None], False),
        ([1.0, math.nan], [1.0, 2.0], False),
        ([1.0, math.inf], [1.0, -math.inf], False),
        (["a", None], ["a", None], True),
        (["a", None], ["a", ""], False),
        ([1.0], [1.0, 1.0], False),
        ([1], [1.0], False),
    ],
)
def test_nan_equals_nan_and_nothing_else(one: list[Any], other: list[Any], equal: bool) -> None:
    assert are_equal(pa.table({"x": one}), pa.table({"x": other})) is equal
