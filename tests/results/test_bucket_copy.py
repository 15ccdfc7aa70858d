"""Runs in a bucket on a real S3 server: their names, their lease, their way to another disk."""

import dataclasses
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from raytune_pipe.base import NameTakenError, ResultsError
from raytune_pipe.results.bucket_runs import fetch_run, is_bucket_behind
from raytune_pipe.results.control import STOP, STOP_KEY
from raytune_pipe.results.events import Event
from raytune_pipe.results.holder import Holder
from raytune_pipe.results.journal import JOURNAL, read_events
from raytune_pipe.results.lease import LEASE, is_leased, take_lease
from raytune_pipe.results.locations import local_folder
from raytune_pipe.results.object_store import ObjectStore, StoreError, StoreRefusedError
from raytune_pipe.results.run_directory import RunDirectory
from tests.bucket import S3Server
from tests.results.conftest import SGD, end, experiment, plan, report, start

BEGUN: list[Event] = [experiment("last"), plan("00000", SGD), start("00000")]
NEVER_S = 3600.0

LOST_DRIVER = """
import json, os, sys
from raytune_pipe.results.run_directory import RunDirectory
run = RunDirectory.claim(sys.argv[1], "run")
copied, lost = json.loads(sys.argv[2])
run.journal.append(*copied)
run.publish()
run.begin_copying(3600)
run.journal.append(*lost)
os._exit(9)
"""


def lose_driver(bucket: str, copied: list[Event], lost: list[Event]) -> None:
    """Have a driver die at once, its last events not copied."""
    import json

    words = [sys.executable, "-c", LOST_DRIVER, bucket, json.dumps([copied, lost])]
    assert subprocess.run(words).returncode == 9


def number_of_events(folder: Path) -> int:
    return sum(1 for _ in read_events(folder / JOURNAL))


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_name_is_taken_once_whoever_asks(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunDirectory.claim(f"{bucket}/runs", "run") as run:
        assert run.location == f"{bucket}/runs/run"
        assert run.path.is_relative_to(tmp_path / "cache")
        run.journal.append(*BEGUN)
        run.begin_copying(NEVER_S)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    with pytest.raises(NameTakenError) as caught:
        RunDirectory.claim(f"{bucket}/runs", "run")
    for way_on in (f"raytune-pipe resume {bucket}/runs/run", "--name", "--new"):
        assert way_on in str(caught.value)
    with RunDirectory.claim(f"{bucket}/runs", "run", new=True) as other:
        assert other.location == f"{bucket}/runs/run-2"


def test_a_missing_bucket_is_one_error_and_leaves_nothing(bucket: str) -> None:
    with pytest.raises(StoreRefusedError, match="make the bucket, or name another one") as caught:
        RunDirectory.claim(f"{bucket}-not/runs", "run")
    assert caught.value.exit_code == 5
    assert not local_folder(f"{bucket}-not/runs/run").exists()


def test_wrong_credentials_are_one_error_and_leave_nothing(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moto import settings

    monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)  # the server now checks them
    with pytest.raises(StoreRefusedError, match="give the credentials used here the right to it"):
        RunDirectory.claim(bucket, "run")
    assert not local_folder(f"{bucket}/run").exists()


def test_a_name_is_not_taken_for_a_refusal(bucket: str, s3_server: S3Server) -> None:
    s3_server.make_bucket(f"{bucket.removeprefix('s3://')}-403")
    store = ObjectStore(f"{bucket}-403/runs/403-TOKEN")
    assert store.get("403") is None
    s3_server.stop()
    try:
        with pytest.raises(StoreError, match="see that the storage answers") as caught:
            store.get("403")
    finally:
        s3_server.start()
    assert not isinstance(caught.value, StoreRefusedError)


def test_what_was_copied_is_there_on_another_disk(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[Event] = [report("00000", 2, 0.4, SGD)]
    lose_driver(bucket, [*BEGUN, report("00000", 1, 0.5, SGD)], lost)
    first = local_folder(f"{bucket}/run")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    second = fetch_run(f"{bucket}/run")
    assert second != first
    assert (first / JOURNAL).read_bytes().startswith((second / JOURNAL).read_bytes())
    assert number_of_events(first) - number_of_events(second) == len(lost)
    with RunDirectory.reopen(second) as run:
        assert run.window is not None
        assert run.window.startswith("4 events were in the bucket, copied at ")
        assert run.took_over is not None
        run.journal.append(report("00000", 2, 0.4, SGD, attempt=1))
        run.begin_copying(NEVER_S)
    with RunDirectory.reopen(second) as run:
        assert run.window is None  # told once
    with pytest.raises(ResultsError, match="both were gone on with") as caught:
        RunDirectory.reopen(first)
    assert f"mv {first} {first}.old" in str(caught.value)


def test_a_folder_that_is_behind_catches_up_and_one_ahead_brings_the_bucket_up(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunDirectory.claim(bucket, "run") as run:
        run.journal.append(*BEGUN)
        run.begin_copying(NEVER_S)
    first = run.path
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    second = fetch_run(f"{bucket}/run")
    with RunDirectory.reopen(second) as run:
        run.journal.append(report("00000", 1, 0.5, SGD))
        assert is_bucket_behind(second)
        run.begin_copying(NEVER_S)
        assert not is_bucket_behind(second)
    with (first / JOURNAL).open("ab") as file:
        file.write(b"120 0a1b2c")  # a torn tail
    with RunDirectory.reopen(first) as run:
        assert run.journal.number == 4
    assert (first / JOURNAL).read_bytes() == (second / JOURNAL).read_bytes()


def test_a_damaged_object_is_named(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunDirectory.claim(bucket, "run") as run:
        run.journal.append(*BEGUN)
        run.begin_copying(NEVER_S)
    store = ObjectStore(f"{bucket}/run")
    (segment,) = store.keys("journal")
    store.put(segment, b"something else")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    with pytest.raises(ResultsError, match=f"{segment}: the object must be there with the SHA-256"):
        fetch_run(f"{bucket}/run")
    assert not local_folder(f"{bucket}/run").exists()
    assert not list(local_folder(f"{bucket}/run").parent.iterdir())


def test_a_bucket_that_is_away_for_a_while_costs_nothing(bucket: str, s3_server: S3Server) -> None:
    with RunDirectory.claim(bucket, "run") as run:
        run.journal.append(*BEGUN)
        run.begin_copying(0.1)
        s3_server.stop()
        run.journal.append(report("00000", 1, 0.5, SGD))
        told: list[str] = []

        def has_told(count: int) -> bool:
            told.extend(run.troubles())
            return len(told) == count

        until(lambda: has_told(1))
        assert "could not be copied to its bucket; it is tried again" in told[0]
        s3_server.start()
        run.journal.append(end("00000", "completed", "budget"))
        run.finish_copying()
        until(lambda: has_told(2))
        assert told[1] == "the run is copied to its bucket again"
    assert not is_bucket_behind(run.path)


def test_a_bucket_that_is_away_for_good_is_an_error_that_says_where_all_is(
    bucket: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raytune_pipe.results.bucket_copy.LAST_PATIENCE_S", 0.0)
    with RunDirectory.claim(bucket, "run") as run:
        run.journal.append(*BEGUN)
        run.begin_copying(NEVER_S)
        run.journal.append(report("00000", 1, 0.5, SGD))
        s3_server.stop()
        try:
            with pytest.raises(StoreError) as caught:
                run.finish_copying()
        finally:
            s3_server.start()
    assert caught.value.exit_code == 5
    assert "holds 3 of its events" in str(caught.value)
    assert f"nothing is lost, all is in {run.path}" in str(caught.value)
    with RunDirectory.reopen(run.path) as run:
        run.begin_copying(NEVER_S)
    assert not is_bucket_behind(run.path)


def test_a_lease_has_one_holder(bucket: str) -> None:
    store = ObjectStore(f"{bucket}/run")
    lease = take_lease(store)
    assert is_leased(store)
    with pytest.raises(NameTakenError, match="only one driver may write to a run"):
        take_lease(store)
    lease.release()
    assert not is_leased(store)
    other = take_lease(store)
    with pytest.raises(NameTakenError, match="has lost it to process"):
        lease.renew()
    assert other.took_over is None


def test_the_lease_of_another_host_counts_until_it_is_stale_or_stolen(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ObjectStore(f"{bucket}/run")
    holder = Holder.here(7, has_flock=False)
    elsewhere = dataclasses.replace(holder, host="elsewhere", boot_id="another")
    store.put(LEASE, elsewhere.to_bytes())
    with pytest.raises(NameTakenError, match="--steal-lock"):
        take_lease(store)
    assert take_lease(store, steal=True).took_over == (
        f"process {holder.pid} on elsewhere: it was taken by force, with --steal-lock"
    )
    store.put(LEASE, elsewhere.to_bytes())
    monkeypatch.setattr("raytune_pipe.results.lease.STALE_AFTER_S", -1.0)
    assert "its lease was last renewed" in str(take_lease(store).took_over)


def test_a_driver_that_lost_its_lease_writes_nothing_more(bucket: str) -> None:
    with RunDirectory.claim(bucket, "run") as run:
        run.journal.append(*BEGUN)
        run.begin_copying(0.1)
        elsewhere = dataclasses.replace(Holder.here(7, has_flock=False), host="elsewhere")
        run.bucket.store.put(LEASE, elsewhere.to_bytes())  # type: ignore[union-attr]  # it is in one

        def is_refused() -> bool:
            try:
                run.journal.append(report("00000", 1, 0.5, SGD))
            except NameTakenError:
                return True
            return False

        until(is_refused)
    assert b"elsewhere" in (ObjectStore(f"{bucket}/run").get(LEASE) or b"")


def test_requests_to_stop_pass_both_ways(bucket: str) -> None:
    store = ObjectStore(f"{bucket}/run")
    with RunDirectory.claim(bucket, "run") as run:
        run.journal.append(*BEGUN)
        run.begin_copying(0.1)
        (run.path / STOP).touch()
        until(lambda: store.exists(STOP_KEY))
    with RunDirectory.reopen(run.path) as run:
        (run.path / STOP).unlink()
        run.begin_copying(0.1)
        assert not store.exists(STOP_KEY)
        store.put(STOP_KEY, b"")
        until((run.path / STOP).exists)
