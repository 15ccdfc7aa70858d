"""Trials that break in every way we know; `benchmarks/fault_poison.py` has those that hang too."""

from pathlib import Path

import pytest

from benchmarks.fault_poison import FATE, run_poisoned

pytestmark = [pytest.mark.slow, pytest.mark.ray]


@pytest.mark.usefixtures("local_ray")
def test_no_trial_ends_the_experiment_and_each_has_its_status(tmp_path: Path) -> None:
    fates = run_poisoned(tmp_path, FATE)
    assert fates.wrong == []
    assert fates.exit_code == 0
