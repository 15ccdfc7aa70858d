"""A copy that ends anywhere leaves a bucket that a run can be gone on with from."""

import hashlib
from contextlib import closing
from pathlib import Path

import pytest

from raytune_pipe.base import ResultsError
from raytune_pipe.results.bucket_runs import catch_up, copied_run, fetched
from raytune_pipe.results.events import Event
from raytune_pipe.results.journal import JOURNAL, Journal, read_events
from raytune_pipe.results.manifest import MANIFEST, Manifest, read_manifest
from raytune_pipe.results.mirror import LARGE_BYTES, MOST_SEGMENTS, Mirror
from raytune_pipe.results.object_store import ObjectStore, StoreError
from tests.bucket import MemoryStore, fail_after
from tests.results.conftest import SGD, experiment, plan, report, start


def history() -> list[list[Event]]:
    """The events of a small run, by the copy that brings them to the bucket."""
    return [
        [experiment("last"), plan("00000", SGD)],
        [start("00000"), report("00000", 1, 0.5, SGD)],
        [report("00000", 2, 0.4, SGD), report("00000", 3, 0.3, SGD)],
        [report("00000", 4, 0.2, SGD)],
    ]


def files(step: int) -> dict[str, bytes]:
    """What is published with each copy: one file that changes, one that stays."""
    return {"trials.parquet": b"table %d" % step, "experiment.yaml": b"name: small"}


def restored(store: MemoryStore, folder: Path) -> int:
    """Make the run's folder from the bucket alone, all of it checked; its number of events."""
    manifest = read_manifest(store)
    folder.mkdir()
    (folder / JOURNAL).touch()
    if manifest is None:
        return 0
    catch_up(folder, store, manifest)
    for stored in manifest.files.values():
        fetched(store, stored)
    events = read_events(folder / JOURNAL)
    numbers = sum(1 for _ in events)
    assert (numbers, events.checksum) == (manifest.events, manifest.checksum)
    return numbers


def test_every_prefix_of_the_requests_leaves_a_bucket_that_resumes(tmp_path: Path) -> None:
    """Fails at the first, the second, ... request, and copies on from there as a new driver."""
    cut, is_through = 0, False
    while not is_through:
        store, before = MemoryStore(), 0
        with closing(Journal.create(tmp_path / f"journal-{cut}")) as journal:
            mirror = Mirror(store, journal.path, Manifest())
            store.before = fail_after(cut)
            is_through = True
            for step, events in enumerate(history()):
                journal.append(*events)
                try:
                    mirror.copy(journal.end, files(step))
                    before = journal.end.number
                except StoreError:
                    is_through = False
                    break
            store.before = lambda: None
            found = restored(store, tmp_path / f"cut-{cut}")
            assert before <= found <= journal.end.number  # nothing that was copied is lost
            again = Mirror(store, journal.path, read_manifest(store) or Manifest())
            again.sweep()
            again.copy(journal.end, files(9))
            assert restored(store, tmp_path / f"after-{cut}") == journal.end.number
            named = again.manifest.keys | {*again.manifest.retired, MANIFEST}
            assert named >= set(store.objects)  # nothing is left that nothing names
        cut += 1
    assert cut > 12


def test_a_reader_of_the_manifest_before_finds_all_it_names(tmp_path: Path) -> None:
    store = MemoryStore()
    with closing(Journal.create(tmp_path / JOURNAL)) as journal:
        mirror = Mirror(store, journal.path, Manifest())
        for step, events in enumerate(history()):
            before = mirror.manifest
            journal.append(*events)
            mirror.copy(journal.end, files(step))
            assert before.keys <= set(store.objects)
    assert len(store.keys("files")) == 3  # two tables: that of now and that of the one before


def test_nothing_new_is_no_request(tmp_path: Path) -> None:
    store = MemoryStore()
    with closing(Journal.create(tmp_path / JOURNAL)) as journal:
        mirror = Mirror(store, journal.path, Manifest())
        journal.append(*history()[0])
        mirror.copy(journal.end, files(0))
        store.before = fail_after(0)
        mirror.copy(journal.end, files(0))


def test_many_segments_become_one(tmp_path: Path) -> None:
    store = MemoryStore()
    with closing(Journal.create(tmp_path / JOURNAL)) as journal:
        mirror = Mirror(store, journal.path, Manifest())
        journal.append(*history()[0], start("00000"))
        for number in range(1, 2 * MOST_SEGMENTS):
            journal.append(report("00000", number, 0.5, SGD))
            mirror.copy(journal.end, {})
            assert len(mirror.manifest.segments) <= MOST_SEGMENTS
    assert journal.end.offset < LARGE_BYTES
    assert restored(store, tmp_path / "from-bucket") == journal.end.number


def test_a_checkpoint_goes_only_once_the_bucket_needs_it_no_more(tmp_path: Path) -> None:
    store = MemoryStore({"checkpoints/00000/1.pt": b"weights"})
    with closing(Journal.create(tmp_path / JOURNAL)) as journal:
        mirror = Mirror(store, journal.path, Manifest())
        journal.append(*history()[0])
        early = journal.end
        journal.append(*history()[1])
        mirror.delete_later("checkpoints/00000/1.pt", journal.end.number)
        mirror.copy(early, {})
        assert store.exists("checkpoints/00000/1.pt")
        mirror.copy(journal.end, {})
        assert not store.exists("checkpoints/00000/1.pt")


def test_a_changed_object_is_named(tmp_path: Path) -> None:
    store = MemoryStore()
    with closing(Journal.create(tmp_path / JOURNAL)) as journal:
        mirror = Mirror(store, journal.path, Manifest())
        journal.append(*history()[0])
        mirror.copy(journal.end, files(0))
    segment = mirror.manifest.segments[0]
    store.objects[segment.key] = b"x" + store.objects[segment.key][1:]
    assert hashlib.sha256(store.objects[segment.key]).hexdigest() != segment.sha256
    with pytest.raises(ResultsError, match=f"{segment.key}: the object must be there"):
        fetched(store, segment)


def test_a_changed_manifest_is_refused() -> None:
    data = Manifest(time=1.5).to_bytes()
    assert Manifest.parse(data, "s3://b/run") == Manifest(time=1.5)
    with pytest.raises(ResultsError, match="its checksum does not fit"):
        Manifest.parse(data.replace(b"1.5", b"2.5"), "s3://b/run")


def test_a_copy_of_a_run_is_gone_afterwards(bucket: str, tmp_path: Path) -> None:
    store = ObjectStore(f"{bucket}/runs/small")
    with closing(Journal.create(tmp_path / JOURNAL)) as journal:
        journal.append(*history()[0])
        Mirror(store, journal.path, Manifest()).copy(journal.end, {"errors/00000-0.txt": b"why"})
    with copied_run(store.uri) as folder:
        assert (folder / JOURNAL).read_bytes() == (tmp_path / JOURNAL).read_bytes()
        assert (folder / "errors/00000-0.txt").read_text() == "why"
    assert not folder.exists()
