"""Every experiment that the package ships, shortened, from its file to its tables."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from raytune_pipe import launch, load_experiment
from raytune_pipe.analysis.observations import value_of
from raytune_pipe.components.schedulers_populations import Pbt

FILES = sorted((Path(__file__).parents[1] / "experiments").glob("*.yaml"))
SHORT = ["trials=4", "epochs=2", "resources.max_concurrent=1"]
SHORTER = {"lstm_text": ["dataset.max_samples=200"]}


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_experiment_runs_and_stays_in_its_space(file: Path, tmp_path: Path) -> None:
    overrides = [*SHORT, *SHORTER.get(file.stem, []), f"storage={tmp_path}"]
    if isinstance(load_experiment(file).scheduler, Pbt):
        overrides.append("scheduler.interval_epochs=1")  # else nobody would copy anybody
    experiment = load_experiment(file, overrides)
    outcome = launch(experiment)
    assert (outcome.state, outcome.exit_code) == ("finished", 0)
    trials = pq.read_table(outcome.path / "trials.parquet")
    assert set(trials["status"].to_pylist()) <= {"completed", "stopped_early"}
    space = experiment.space()
    reports = pq.read_table(outcome.path / "reports.parquet").select(list(space.names))
    assert reports.num_rows >= len(trials)
    rows = [
        {name: value_of(space[name], cell) for name, cell in row.items()}
        for row in reports.to_pylist()
    ]
    assert [values for values in rows if not space.contains(values)] == []


def test_experiments_are_named_as_their_files() -> None:
    assert [load_experiment(file).name for file in FILES] == [file.stem for file in FILES]
