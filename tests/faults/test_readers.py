"""Processes that read a run while it is published after each event: no read fails or shrinks."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.read_loops import SCHEDULERS, Reading, publish_always, readers
from benchmarks.simulated_run import experiment_of


@pytest.mark.parametrize("scheduler", SCHEDULERS.values(), ids=SCHEDULERS)
def test_no_read_fails_and_none_shows_less_than_the_one_before(
    scheduler: dict[str, Any], tmp_path: Path
) -> None:
    found, experiment = Reading(), experiment_of(scheduler, trials=4, epochs=6)
    with readers(tmp_path / experiment.name, 2, found) as publishes:
        publish_always(experiment, tmp_path, publishes)
    assert found.wrong == []
    assert publishes.done > 30
    assert found.versions > 20  # it was read while it grew
