"""Twenty processes want one run at the same moment, on file systems with locks and without."""

from pathlib import Path

import pytest

from benchmarks.races import Storage, race

ROUNDS = 5
PROCESSES = 20


@pytest.mark.parametrize(
    "storage",
    [Storage(), Storage(has_flock=False), Storage(has_flock=False, has_links=False)],
    ids=str,
)
def test_one_gets_the_run_and_all_others_are_refused(storage: Storage, tmp_path: Path) -> None:
    for kind, found in race(tmp_path, ROUNDS, PROCESSES, storage).items():
        assert found.wrong == [], kind
        assert found.single_winners == ROUNDS
        assert found.refused == ROUNDS * (PROCESSES - 1)
