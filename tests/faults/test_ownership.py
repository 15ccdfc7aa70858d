"""Twenty processes want one run at the same moment, on file systems with locks and without."""

from pathlib import Path

import pytest

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
