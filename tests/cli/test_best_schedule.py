"""best --schedule, on populations that were really trained."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import Result

from raytune_pipe.analysis.best import best_trial
from raytune_pipe.analysis.lineage_schedule import lineage_schedule
from raytune_pipe.experiment_file import load_experiment
from raytune_pipe.results.reading import read_results
from raytune_pipe.training.trainer import Trainer
from tests.cli.populations import run_population

Command = Callable[..., Result]

MEMBERS = """\
name: members
trial:
  dataset: {kind: digits}
  model: {kind: mlp, widths: [8]}
  loss: {kind: cross_entropy}
  optimizer: {kind: sgd, lr: 0.1}
  epochs: 5
search_space:
  optimizer.lr: {kind: log_uniform, low: 1e-3, high: 1.0}
scheduler: {kind: pbt, interval_epochs: 1, quantile: 0.5}
trials: 4
"""


def population(folder: Path, *overrides: str) -> Path:
    """The folder of a population's run."""
    file = folder / "members.yaml"
    file.write_text(MEMBERS)
    return run_population(load_experiment(file, [f"storage={folder / 'results'}", *overrides]))


def recorded_rates(run: Path) -> list[float]:
    """The learning rate of the last step of each epoch of the best weights, as recorded."""
    results = read_results(run)
    reports = results.reports.set_index(["trial_id", "epoch"])["lr"]
    lineage = lineage_schedule(results, best_trial(results))
    return [reports[one.trial_id, float(age)] for age, one in enumerate(lineage.epochs, start=1)]


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A population that searched two hyperparameters, whose winner copied others."""
    space = (
        "{optimizer.lr: {kind: log_uniform, low: 1e-3, high: 1.0},"
        " batch_size: {kind: choice, options: [64, 128, 256]}}"
    )
    return population(tmp_path_factory.mktemp("population"), f"search_space={space}")


def test_the_file_trains_at_the_rates_of_the_lineage(
    command: Command, members: Path, tmp_path: Path
) -> None:
    file = tmp_path / "learned.yaml"
    result = command("best", members, "--schedule", file)
    assert result.exit_code == 0
    assert result.stdout.endswith(f"next: raytune-pipe train {file}\n")
    recorded = recorded_rates(members)
    assert len(set(recorded)) > 1
    trained = json.loads(command("train", file, "--json").stdout)
    rates = [epoch["metrics"]["lr"] for epoch in trained["epochs"]]
    assert rates == pytest.approx(recorded, rel=3e-16)  # base * (rate / base): the last bit
    assert command("validate", file).exit_code == 0


def test_what_a_bandit_has_found_is_exported(command: Command, tmp_path: Path) -> None:
    run = population(tmp_path, "scheduler={kind: pb2, quantile: 0.5}")
    file = tmp_path / "learned.yaml"
    assert command("best", run, "--schedule", file).exit_code == 0
    recorded = recorded_rates(run)
    assert len(set(recorded)) > 1
    trained = json.loads(command("train", file, "--json").stdout)
    assert [epoch["metrics"]["lr"] for epoch in trained["epochs"]] == pytest.approx(recorded)


def test_it_says_what_cannot_have_a_schedule(
    command: Command, members: Path, tmp_path: Path
) -> None:
    file = tmp_path / "learned.yaml"
    result = command("best", members, "--schedule", file, "--json")
    learned = json.loads(result.stdout)["schedule"]
    assert learned["file"] == str(file)
    assert learned["scheduled"] == ["optimizer.lr"]
    sizes = [stage["values"]["batch_size"] for stage in learned["stages"]]
    assert learned["fixed"] == {"batch_size": sizes[-1]}
    assert len(set(sizes)) > 1
    assert load_experiment(file).trial.batch_size == sizes[-1]
    assert result.stderr == f"next: raytune-pipe train {file}\n"
    again = tmp_path / "again.yaml"
    shown = command("best", members, "--schedule", again).stdout
    assert "No schedule can change batch_size" in shown
    assert f"batch_size    {sizes[0]}, {sizes[1]} after epoch 1" in shown


@pytest.mark.parametrize(
    "schedule", ["{kind: warmup, epochs: 2.5}", "{kind: plateau, patience: 0, threshold: 0.4}"]
)
def test_the_files_own_schedule_is_taken_in(
    command: Command, tmp_path: Path, schedule: str
) -> None:
    run = population(tmp_path, f"schedule={schedule}")
    command("best", run, "--schedule", tmp_path / "learned.yaml")
    trainer = Trainer(load_experiment(tmp_path / "learned.yaml").trial)
    trained = [trainer.train_epoch().metrics["lr"] for _ in range(5)]
    recorded = recorded_rates(run)
    assert trained == pytest.approx(recorded, rel=3e-16)
    assert len(set(recorded)) > 2


def test_a_winner_that_copied_nobody_is_trained_again_to_the_same_score(
    command: Command, tmp_path: Path
) -> None:
    run = population(tmp_path, "scheduler.interval_epochs=5", "schedule={kind: cosine}")
    found = json.loads(command("best", run, "--schedule", tmp_path / "x.yaml", "--json").stdout)
    trained = json.loads(command("train", tmp_path / "x.yaml", "--json").stdout)
    assert trained["epochs"][-1]["metrics"]["val_loss"] == found["value"]


def test_no_file_is_overwritten(command: Command, members: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("precious")
    result = command("best", members, "--schedule", file)
    assert result.exit_code == 2
    assert "must be a new file, but it exists" in result.stderr
    assert file.read_text() == "precious"


def test_a_folder_that_is_not_there_is_told(
    command: Command, members: Path, tmp_path: Path
) -> None:
    result = command("best", members, "--schedule", tmp_path / "missing" / "x.yaml")
    assert result.exit_code == 5
    assert "No such file or directory" in result.stderr


def test_a_search_has_no_schedule(command: Command, run: Path, tmp_path: Path) -> None:
    result = command("best", run, "--schedule", tmp_path / "x.yaml")
    assert result.exit_code == 2
    assert "must be a run of a population" in result.stderr
    assert "its scheduler is fifo" in result.stderr
    assert not (tmp_path / "x.yaml").exists()


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A population's tables that another program wrote."""
    folder = tmp_path / "foreign"
    folder.mkdir()
    names, losses = ["a", "b"], [0.5, 0.25]
    trials = {"trial_id": names, "status": "completed", "lr": [0.1, 0.2], "loss": losses}
    pd.DataFrame(trials).to_parquet(folder / "trials.parquet")
    reports = {"trial_id": names, "report": 1, "epoch": 1.0, "lr": [0.1, 0.2], "loss": losses}
    pd.DataFrame(reports).to_parquet(folder / "reports.parquet")
    (folder / "experiment.yaml").write_text(
        "search_space: {lr: {kind: log_uniform, low: 0.01, high: 1.0}}\n"
        "objective: {metric: loss, mode: min}\n"
        "scheduler: {kind: pbt, interval_epochs: 1}\n"
    )
    return folder


def test_of_what_was_trained_elsewhere_no_export_is_offered(
    command: Command, foreign: Path
) -> None:
    result = command("best", foreign)
    assert result.exit_code == 0
    assert "best trial  b, completed" in result.stdout
    assert result.stdout.endswith(f"next: raytune-pipe analyze {foreign}\n")


@pytest.mark.parametrize("words", [["--export", "x"], ["--schedule", "x.yaml"], ["--test"]])
def test_what_was_trained_elsewhere_cannot_be_trained_here(
    command: Command, foreign: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(foreign.parent)
    result = command("best", foreign, *words)
    assert result.exit_code == 2
    assert "must be a run that raytune-pipe trained" in result.stderr
    assert "made from another program's tables" in result.stderr
    assert sorted(path.name for path in foreign.parent.iterdir()) == ["foreign"]
