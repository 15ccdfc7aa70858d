"""Whole launches on an embedded local Ray: what a user sees, and what is on disk afterwards."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from raytune_pipe import launch, load_experiment, read_results
from raytune_pipe.experiment import Experiment
from raytune_pipe.results.reading import Results
from raytune_pipe.search_space import SearchSpace
from raytune_pipe.tuning.runner import Outcome

pytestmark = pytest.mark.ray

MLP = """
name: run
trial:
  dataset: {kind: imported, target: "poison:data"}
  model: {kind: mlp, widths: [8]}
  loss: {kind: cross_entropy}
  optimizer: {kind: sgd, lr: 0.05, momentum: 0.9}
  epochs: 4
  batch_size: 16
search_space:
  optimizer.lr: {kind: log_uniform, low: 1e-3, high: 1.0}
  batch_size: {kind: choice, options: [8, 16, 32]}
"""


ONE_AT_A_TIME = "resources.max_concurrent=1"
"""For what has nothing to do with what else runs: each process imports torch anew."""


def experiment_of(tmp_path: Path, text: str, overrides: Sequence[str] = ()) -> Experiment:
    """An experiment written as YAML, which stores its results in the folder."""
    file = tmp_path / "experiment.yaml"
    file.write_text(text)
    storage = f"storage={tmp_path / 'results'}"
    return load_experiment(file, [storage, *overrides], allow_imports=["poison"])


def run(tmp_path: Path, text: str, overrides: Sequence[str] = ()) -> tuple[Outcome, Results]:
    """Launch an experiment; read what it left."""
    outcome = launch(experiment_of(tmp_path, text, overrides))
    return outcome, read_results(outcome.path)


def inside(space: SearchSpace, rows: pd.DataFrame) -> bool:
    """Whether every row's hyperparameters lie in the declared space."""
    return all(
        hyperparameter.distribution.contains(value)
        for hyperparameter in space
        for value in rows[hyperparameter.name].tolist()
    )


@pytest.mark.usefixtures("local_ray")
class TestLaunch:
    def test_random_search_completes_every_trial(self, tmp_path: Path) -> None:
        outcome, results = run(tmp_path, MLP + "trials: 4\n")
        assert (outcome.state, outcome.exit_code) == ("finished", 0)
        assert results.trials["status"].tolist() == ["completed"] * 4
        assert len(results.reports) == 4 * 4
        assert not results.reports.duplicated(["trial_id", "report"]).any()
        plan = experiment_of(tmp_path, MLP + "trials: 4\n").plan()
        planned = [trial.values["optimizer.lr"] for trial in plan]
        assert results.trials["optimizer.lr"].tolist() == planned
        assert inside(results.space, results.reports)
        assert json.loads((outcome.path / "status.json").read_text())["state"] == "finished"

    def test_asha_stops_trials_at_rungs(self, tmp_path: Path) -> None:
        scheduler = "scheduler={kind: asha, grace_epochs: 1, reduction_factor: 2}"
        _, results = run(tmp_path, MLP + "trials: 8\n", [scheduler])
        stopped = results.trials[results.trials["status"] == "stopped_early"]
        assert len(stopped) > 0
        assert set(stopped["reports"]) <= {1, 2}
        stops = results.lineage[results.lineage["operation"] == "stop"]
        assert sorted(stops["trial_id"]) == sorted(stopped["trial_id"])
        assert (stops["score"] > stops["cutoff"]).all()

    def test_brackets_wait_at_rungs_and_their_best_go_on(self, tmp_path: Path) -> None:
        scheduler = "scheduler={kind: hyperband, reduction_factor: 2}"
        _, results = run(tmp_path, MLP + "trials: 10\n", [scheduler, ONE_AT_A_TIME])
        assert set(results.trials["status"]) == {"completed", "stopped_early"}
        # Of a round of 10 two halve at 1 and 2 epochs: 4 trials to 2 to 1; 3 at 2; 3 never.
        assert results.trials["reports"].value_counts().to_dict() == {1: 2, 2: 3, 4: 5}
        kinds = results.lineage["operation"].value_counts().to_dict()
        assert kinds == {"go_on": 2 + 1 + 1, "stop": 2 + 1 + 2}

    def test_pbt_copies_the_best_and_stays_in_its_space(self, tmp_path: Path) -> None:
        scheduler = "scheduler={kind: pbt, interval_epochs: 1, quantile: 0.5}"
        _, results = run(tmp_path, MLP + "trials: 4\n", [scheduler])
        assert results.trials["status"].tolist() == ["completed"] * 4
        assert len(results.reports) == 4 * 4
        assert inside(results.space, results.reports)
        assert results.trials["segments"].sum() == 4 + 2 * 3  # two members copy at three barriers
        copies = results.lineage[results.lineage["donor"].notna()]
        assert copies["trial_id"].nunique() > 0
        for copy in copies.itertuples():
            donor = results.reports.query(
                "trial_id == @copy.donor and report == @copy.donor_report"
            )
            assert donor["checkpoint_sha256"].tolist() == [copy.checkpoint_sha256]

    def test_pb2_selects_what_copies_train_with(self, tmp_path: Path) -> None:
        scheduler = "scheduler={kind: pb2, interval_epochs: 1, quantile: 0.5}"
        _, results = run(tmp_path, MLP + "trials: 4\n", [scheduler, ONE_AT_A_TIME])
        assert set(results.trials["status"]) == {"completed"}
        assert results.trials["reports"].tolist() == [4] * 4
        selected = results.lineage[results.lineage["operation"] == "select"]
        assert set(selected["hyperparameter"]) == {"optimizer.lr"}
        assert inside(results.space, results.reports)

    def test_synchronous_pbt_goes_on_past_a_raising_and_a_nan_member(self, tmp_path: Path) -> None:
        text = MLP.replace("{kind: mlp, widths: [8]}", '{kind: imported, target: "poison:Fragile"}')
        text = text[: text.index("search_space:")] + (
            "search_space:\n  optimizer.lr: {kind: log_uniform, low: 1e-3, high: 1e7}\n"
            "searcher: {kind: grid, points: 6}\ntrials: 6\n"
        )
        scheduler = "scheduler={kind: pbt, interval_epochs: 1, quantile: 0.25}"
        _, results = run(tmp_path, text, [scheduler, ONE_AT_A_TIME])
        statuses = results.trials["status"].tolist()  # from 1e-3 up to 1e7
        assert statuses == ["completed"] * 4 + ["failed"] * 2
        diverged = np.isnan(results.reports["val_loss"].to_numpy(float))
        nan_members = set(results.reports[diverged]["trial_id"])
        assert nan_members
        replaced = results.lineage[results.lineage["donor"].notna()]["trial_id"]
        assert nan_members <= set(replaced)


def test_the_plan_is_the_same_whatever_the_concurrency(tmp_path: Path) -> None:
    text = MLP + "trials: 4\n"
    one, two = (experiment_of(tmp_path, text, [f"resources.max_concurrent={n}"]) for n in (1, 2))
    assert one.plan() == two.plan()


def command(tmp_path: Path, *arguments: str) -> list[str]:
    """The command line that launches a file in `tmp_path`."""
    file = tmp_path / "experiment.yaml"
    program = [sys.executable, "-m", "raytune_pipe", "launch", str(file)]
    return [*program, "--set", f"storage={tmp_path / 'results'}", *arguments]


DIGITS = MLP.replace('{kind: imported, target: "poison:data"}', "{kind: digits}")


@pytest.mark.slow
def test_a_signal_publishes_and_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "experiment.yaml").write_text(DIGITS + "trials: 4\n")
    process = subprocess.Popen(
        command(tmp_path, "--set", "epochs=10000"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    journal = tmp_path / "results" / "run" / "journal.jsonl"
    deadline = time.monotonic() + 60
    while not (journal.exists() and '"event":"report"' in journal.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.terminate()
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "interrupted; to go on:" in stderr
    run = tmp_path / "results" / "run"
    assert stdout.splitlines()[-1] == f"next: raytune-pipe resume {run}"
    results = read_results(run)
    assert "interrupted" in set(results.trials["status"])
    last = results.reports.groupby("trial_id").tail(1)
    assert last["checkpoint"].notna().all()  # by the clock, the first was due after a minute
    assert not (run / ".stop").exists()


@pytest.mark.slow
def test_of_two_launches_of_one_name_one_wins(tmp_path: Path) -> None:
    (tmp_path / "experiment.yaml").write_text(DIGITS + "trials: 1\n")
    processes = [
        subprocess.Popen(command(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in processes:
        process.communicate(timeout=120)
    assert sorted(process.returncode for process in processes) == [0, 4]
    results = read_results(tmp_path / "results" / "run")
    assert results.trials["status"].tolist() == ["completed"]
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["run"]
