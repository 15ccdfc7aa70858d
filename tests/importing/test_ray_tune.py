import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from raytune_pipe.base import ConfigError, NameTakenError, ResultsError
from raytune_pipe.distributions import Choice, LogUniform, Uniform
from raytune_pipe.importing.ray_files import flat
from raytune_pipe.importing.ray_tune import read_ray_folder
from raytune_pipe.importing.writing import write_run
from raytune_pipe.results.reading import read_results
from raytune_pipe.results.verifying import verify_run
from raytune_pipe.search_space import Hyperparameter, SearchSpace

MakeTrial = Callable[..., Path]
SPACE = SearchSpace(
    (
        Hyperparameter("optimizer.lr", LogUniform(low=1e-3, high=1.0)),
        Hyperparameter("batch_size", Choice(options=(16, 32))),
    )
)


def test_trials_have_their_reports_and_how_they_ended(
    ray_folder: Path, ray_trial: MakeTrial, tmp_path: Path
) -> None:
    ray_trial(0, [(1, 2.0, 0.1), (2, 1.0, 0.1)])
    ray_trial(1, [(1, 3.0, 0.01)])
    ray_trial(2, [(1, 3.0, 1.0), (2, math.nan, 1.0)])
    (ray_trial(3, [(1, 3.0, 0.2)]) / "error.txt").write_text("Traceback\nValueError: boom\n")
    path = write_run(read_ray_folder(ray_folder, SPACE, "val_loss", "min"), tmp_path, "imported")
    results = read_results(path)
    assert results.trials["status"].tolist() == ["completed", "stopped_early", "diverged", "failed"]
    assert results.trials["reason"].tolist()[3] == "ValueError: boom"
    assert results.trials["optimizer.lr"].tolist() == [0.1, 0.01, 1.0, 0.2]
    assert results.trials["optimizer.name"].tolist() == ["sgd"] * 4
    assert results.reports["epoch"].tolist() == [1, 2, 1, 1, 2, 1]
    assert results.reports["nested/acc"].tolist() == [0.5] * 6
    assert results.reports["reported_epoch"].tolist() == [1, 2, 1, 1, 2, 1]
    assert verify_run(path).problems == ()


def test_a_larger_budget_and_a_maximum_are_told(ray_folder: Path, ray_trial: MakeTrial) -> None:
    ray_trial(0, [(1, 2.0, 0.1)])
    run = read_ray_folder(ray_folder, SPACE, "val_loss", "max", epochs=5)
    assert run.trials[0].status == "stopped_early"
    assert run.trials[0].reports[0].score == -2.0


def test_without_a_space_one_is_shown_to_fill_in(ray_folder: Path, ray_trial: MakeTrial) -> None:
    ray_trial(0, [(1, 2.0, 0.5)])
    ray_trial(1, [(1, 2.0, 0.002)])
    with pytest.raises(
        ConfigError, match=r"optimizer\.lr: {kind: log_uniform, low: 0.002, high: 0.5"
    ):
        read_ray_folder(ray_folder, None, "val_loss", "min")


def test_values_outside_of_the_space_are_refused(ray_folder: Path, ray_trial: MakeTrial) -> None:
    ray_trial(0, [(1, 2.0, 7.0)])
    with pytest.raises(ConfigError, match=r"optimizer.lr: must hold every value .* has 7.0"):
        read_ray_folder(ray_folder, SPACE, "val_loss", "min")


@pytest.mark.parametrize("is_population", [False, True])
def test_steps_may_be_off_by_rounding(
    ray_folder: Path, ray_trial: MakeTrial, is_population: bool
) -> None:
    """As Ray's quniform gives them."""
    ray_trial(0, [(1, 2.0, 0.30000000000000004)])
    if is_population:
        (ray_folder / "pbt_global.txt").write_text("")
    steps = Hyperparameter("optimizer.lr", Uniform(low=0.1, high=0.5, quantum=0.1))
    run = read_ray_folder(ray_folder, SearchSpace((steps,)), "val_loss", "min")
    assert run.trials[0].leaves["optimizer.lr"] == 0.3
    assert not [note for note in run.notes if "outside" in note]


def test_a_metric_that_nobody_reported_is_told(ray_folder: Path, ray_trial: MakeTrial) -> None:
    ray_trial(0, [(1, 2.0, 0.1)])
    with pytest.raises(ConfigError, match="got 'loss'; there are epoch, nested/acc, val_loss"):
        read_ray_folder(ray_folder, SPACE, "loss", "min")


def test_a_cut_off_last_line_is_left_out_and_other_damage_is_told(
    ray_folder: Path, ray_trial: MakeTrial
) -> None:
    file = ray_trial(0, [(1, 2.0, 0.1), (2, 1.0, 0.1)]) / "result.json"
    whole = file.read_text()
    file.write_text(whole[:-20])
    run = read_ray_folder(ray_folder, SPACE, "val_loss", "min")
    assert len(run.trials[0].reports) == 1
    assert "cut off" in run.notes[0]
    file.write_text("{\n" + whole)
    with pytest.raises(ResultsError, match=r"result.json:1: must be JSON"):
        read_ray_folder(ray_folder, SPACE, "val_loss", "min")


def test_copies_make_segments_and_lineage(
    ray_folder: Path, ray_trial: MakeTrial, tmp_path: Path
) -> None:
    ray_trial(0, [(1, 2.0, 0.1), (2, 1.5, 0.1), (3, 1.2, 0.1), (4, 1.1, 0.1)])
    ray_trial(1, [(1, 3.0, 0.5), (2, 2.5, 0.5), (3, 1.3, 0.12), (4, 1.2, 0.12)])
    config = {"optimizer": {"lr": 0.12, "name": "sgd"}, "batch_size": 32}
    line = json.dumps(["1_lr=0.5", "0_lr=0.1", 2, 2, config, config])
    (ray_folder / "pbt_global.txt").write_text(line + "\n")
    run = read_ray_folder(ray_folder, SPACE, "val_loss", "min")
    assert run.scheduler == {"kind": "pbt", "interval_epochs": 2}
    results = read_results(write_run(run, tmp_path, "imported"))
    of_copy = results.reports[results.reports["trial_id"] == "943ed_00001"]
    assert of_copy["segment"].tolist() == [0, 0, 1, 1]
    [row] = results.lineage.to_dict("records")
    assert (row["donor"], row["donor_report"], row["report"]) == ("943ed_00000", 2, 2)
    assert (row["hyperparameter"], row["before"], row["after"]) == ("optimizer.lr", "0.5", "0.12")


def test_lost_rows_leave_gaps(ray_folder: Path, ray_trial: MakeTrial) -> None:
    ray_trial(0, [(1, 2.0, 0.1), (2, 1.5, 0.1), (5, 1.2, 0.3)])
    (ray_folder / "pbt_global.txt").write_text("")
    run = read_ray_folder(ray_folder, SPACE, "val_loss", "min")
    assert [one.number for one in run.trials[0].reports] == [1, 2, 5]
    assert "at least 2 reports are missing" in run.notes[0]


def test_names_are_flat_and_never_those_of_our_columns() -> None:
    found = flat({"a/b": {"c": [1, 2]}, "lr": 0.1})
    assert found == {"a.b.c": "[1,2]", "config.lr": 0.1}


def test_a_taken_name_is_refused_and_a_bad_one_leaves_nothing(
    ray_folder: Path, ray_trial: MakeTrial, tmp_path: Path
) -> None:
    ray_trial(0, [(1, 2.0, 0.1)])
    run = read_ray_folder(ray_folder, SPACE, "val_loss", "min")
    write_run(run, tmp_path / "results", "taken")
    with pytest.raises(NameTakenError):
        write_run(run, tmp_path / "results", "taken")
    with pytest.raises(ConfigError):
        write_run(run, tmp_path / "results", "../bad")
    assert [one.name for one in (tmp_path / "results").iterdir()] == ["taken"]
