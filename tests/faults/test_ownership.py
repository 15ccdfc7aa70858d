"""Twenty processes want one run at the same moment, on file systems with locks and without."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from raytune_pipe.base import NameTakenError
from raytune_pipe.results import lock
from raytune_pipe.results.events import Event
from raytune_pipe.results.lock_files import create_next
from raytune_pipe.results.run_directory import RunDirectory

from benchmarks.races import Storage, race, take_turns

ROUNDS = 5
PROCESSES = 20


STORAGES = (Storage(), Storage(has_flock=False), Storage(has_flock=False, has_links=False))


@pytest.mark.parametrize("storage", STORAGES, ids=str)
def test_one_gets_the_run_and_all_others_are_refused(storage: Storage, tmp_path: Path) -> None:
    for kind, found in race(tmp_path, ROUNDS, PROCESSES, storage).items():
        assert found.wrong == [], kind
        assert found.single_winners == ROUNDS
        assert found.refused == ROUNDS * (PROCESSES - 1)


@pytest.mark.parametrize("storage", STORAGES, ids=str)
def test_no_two_own_a_folder_at_once(storage: Storage, tmp_path: Path) -> None:
    assert take_turns(tmp_path, turns=3, processes=8, storage=storage) == (24, 0)


def test_a_former_owner_writes_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "UNSURE_AFTER_S", 0.0)  # it looks before each write
    event: Event = {"event": "anomaly", "what": "none", "time": 0.0}
    with RunDirectory.claim(tmp_path, "run") as run:
        run.journal.append(event)
        before = {path: path.read_bytes() for path in run.path.rglob("*.json*")}
        owner = create_next(run.path, after=1)  # as a process does that takes a stale lock over
        assert owner
        writes: list[Callable[[], object]] = [
            lambda: run.journal.append(event),
            run.publish,
            run.collect_garbage,
            run.discard,
            lambda: run.write_status("finished"),
        ]
        for write in writes:
            with pytest.raises(NameTakenError, match="has lost it to process") as caught:
                write()
            assert caught.value.exit_code == 4
    assert {path: path.read_bytes() for path in run.path.rglob("*.json*")} == before
    os.close(owner.descriptor)
