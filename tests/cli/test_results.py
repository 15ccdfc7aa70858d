import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import Result
from safetensors.torch import load_file

from raytune_pipe.experiment_file import load_experiment

Command = Callable[..., Result]


def test_analyze_ranks_the_hyperparameters(command: Command, run: Path) -> None:
    result = command("analyze", run)
    assert result.exit_code == 0
    assert "24 usable trials" in result.stdout
    assert result.stdout.index("optimizer.lr ") < result.stdout.index("batch_size ")
    assert result.stdout.endswith(f"next: raytune-pipe best {run}\n")


def test_analyze_as_json(command: Command, run: Path) -> None:
    result = command("analyze", run, "--json")
    found = json.loads(result.stdout)
    assert [one["name"] for one in found["ranking"]] == ["optimizer.lr", "batch_size"]
    assert result.stderr == f"next: raytune-pipe best {run}\n"


def test_analyze_of_a_folder_that_is_not_there(command: Command, run: Path) -> None:
    result = command("analyze", run.parent / "missing")
    assert result.exit_code == 5
    assert "must be the folder of a run" in result.stderr


@pytest.mark.slow
def test_analyze_needs_neither_torch_nor_ray(run: Path) -> None:
    code = (
        "import sys, atexit; atexit.register(lambda: print('LOADED', *sys.modules));"
        f"from raytune_pipe.cli import main; main(['analyze', {str(run)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ranking, _, loaded = done.stdout.partition("LOADED")
    assert "usable trials" in ranking
    assert not {"torch", "ray"} & set(loaded.split())


def test_best_is_the_lowest_score(command: Command, run: Path) -> None:
    trials = pd.read_parquet(run / "trials.parquet")
    lowest = trials.sort_values("val_loss").iloc[0]
    found = json.loads(command("best", run, "--json").stdout)
    assert found["trial_id"] == lowest["trial_id"]
    assert found["value"] == lowest["val_loss"]
    assert found["values"]["optimizer.lr"] == lowest["optimizer.lr"]
    assert found["test_metrics"] is None
    shown = command("best", run).stdout
    assert f"best trial    {lowest['trial_id']}, completed" in shown
    assert shown.endswith(f"next: raytune-pipe best {run} --export best\n")


def test_exported_best_trains_to_the_same_score(
    command: Command, run: Path, tmp_path: Path
) -> None:
    result = command("best", run, "--export", tmp_path / "out", "--json")
    found, file = json.loads(result.stdout), tmp_path / "out" / "best.yaml"
    assert found["exported"] == str(file)
    assert result.stderr == f"next: raytune-pipe train {file}\n"
    assert load_experiment(file).search_space == {}
    again = json.loads(command("train", file, "--json").stdout)
    assert again["epochs"][-1]["metrics"]["val_loss"] == found["value"]
    weights = load_file(tmp_path / "out" / "weights.safetensors")
    assert {weight.shape[0] for weight in weights.values()} == {8, 10}


def test_best_with_test_metrics(command: Command, run: Path) -> None:
    result = command("best", run, "--test")
    accuracy = next(line for line in result.stdout.splitlines() if line.startswith("test_acc"))
    assert 0.5 < float(accuracy.split()[1]) <= 1


def test_a_checkpoint_that_was_changed_is_refused(
    command: Command, run: Path, tmp_path: Path
) -> None:
    found = json.loads(command("best", run, "--json").stdout)
    checkpoint = Path(found["weights"]["path"])
    kept = checkpoint.read_bytes()
    checkpoint.write_bytes(kept[:-1] + b"x")
    try:
        result = command("best", run, "--export", tmp_path)
    finally:
        checkpoint.write_bytes(kept)
    assert result.exit_code == 5
    assert "must have the SHA-256" in result.stderr


@pytest.mark.slow
def test_every_blas_is_held_to_one_thread_while_ranking(run: Path) -> None:
    code = f"""
from threadpoolctl import threadpool_info
from raytune_pipe import rank_importance, read_results

class Spy:
    kind = "spy"

    def fit(self, space, units, target):
        import scipy.linalg
        print({{one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}})
        raise SystemExit

rank_importance(read_results({str(run)!r}), estimator=Spy())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "{1}\n"
