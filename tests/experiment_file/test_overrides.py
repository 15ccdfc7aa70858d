"""Overrides: which path they set, what leaves the search space, and where their errors point."""

from pathlib import Path

import pytest

from raytune_pipe.base import ConfigError
from raytune_pipe.experiment import Experiment
from raytune_pipe.experiment_file import load_experiment

TEXT = """\
name: demo
seed: 3
trial:
  dataset: {kind: digits}
  model: {kind: mlp, widths: [8]}
  loss: {kind: cross_entropy}
  optimizer: {kind: sgd, lr: 0.05}
  epochs: 4
search_space:
  optimizer.lr: {kind: log_uniform, low: 1e-3, high: 1.0}
  schedule: {kind: choice, options: [{kind: constant}, {kind: cosine, final_factor: 0.1}]}
  batch_size: {kind: choice, options: [16, 32]}
trials: 4
"""


def load(folder: Path, *overrides: str) -> tuple[Experiment, list[str]]:
    file = folder / "x.yaml"
    file.write_text(TEXT)
    notes: list[str] = []
    return load_experiment(file, overrides, notes=notes), notes


def error(folder: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(folder, *overrides)
    return str(caught.value)


def test_a_hyperparameter_goes_by_its_own_name_and_leaves_the_search_space(tmp_path: Path) -> None:
    experiment, notes = load(tmp_path, "optimizer.lr=0.1")
    assert experiment.trial.optimizer.lr == 0.1
    assert "optimizer.lr" not in experiment.search_space
    assert notes == ["optimizer.lr was searched; it is now 0.1, and not searched"]


def test_what_was_not_searched_leaves_no_note(tmp_path: Path) -> None:
    experiment, notes = load(tmp_path, "epochs=2", "trial.optimizer.momentum=0.5")
    assert experiment.trial.epochs == 2
    assert experiment.trial.optimizer.model_dump()["momentum"] == 0.5
    assert notes == []


def test_fields_of_the_experiment_come_first(tmp_path: Path) -> None:
    experiment, _ = load(tmp_path, "seed=7", "trials=2", "objective.at=best")
    assert (experiment.seed, experiment.trial.seed) == (7, 0)
    assert experiment.trials == 2
    assert experiment.objective.at == "best"


def test_the_trials_own_seed_is_set_by_its_full_path(tmp_path: Path) -> None:
    experiment, _ = load(tmp_path, "trial.seed=7")
    assert (experiment.seed, experiment.trial.seed) == (3, 7)


def test_values_are_yaml_and_later_ones_win(tmp_path: Path) -> None:
    experiment, _ = load(
        tmp_path, "scheduler={kind: asha, grace_epochs: 2}", "scheduler.grace_epochs=1"
    )
    assert experiment.scheduler.model_dump()["grace_epochs"] == 1


def test_a_part_that_is_off_is_switched_on(tmp_path: Path) -> None:
    experiment, _ = load(tmp_path, "regularizers.clip_norm.max_norm=2")
    assert experiment.trial.regularizers.model_dump()["clip_norm"] == {"max_norm": 2.0}


def test_a_components_kind_takes_the_option_of_that_kind(tmp_path: Path) -> None:
    experiment, notes = load(tmp_path, "schedule.kind=cosine")
    assert experiment.trial.schedule.model_dump() == {"kind": "cosine", "final_factor": 0.1}
    assert "schedule" not in experiment.search_space
    assert notes == ["schedule.kind was searched; it is now cosine, and not searched"]


def test_entries_of_the_search_space_go_by_their_dotted_names(tmp_path: Path) -> None:
    experiment, _ = load(
        tmp_path,
        "search_space.optimizer.lr.low=0.01",
        "search_space.model.dropout={kind: uniform, low: 0, high: 0.5}",
    )
    assert experiment.search_space["optimizer.lr"].model_dump()["low"] == 0.01
    assert "model.dropout" in experiment.search_space


def test_a_role_is_set_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    experiment, _ = load(tmp_path, "search_space.optimizer.lr.role=scientific")
    assert experiment.space()["optimizer.lr"].distribution.role == "scientific"
    with pytest.raises(ConfigError, match=r"search_space\.optimizer\.lr\.role: .*'nuisance'"):
        load(tmp_path, "search_space.optimizer.lr.role=nuissance")


def test_null_takes_an_entry_out_of_the_search_space(tmp_path: Path) -> None:
    experiment, notes = load(tmp_path, "search_space.batch_size=null")
    assert "batch_size" not in experiment.search_space
    assert notes == ["batch_size has left the search space"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimiser.lr=1", "optimiser.lr: must begin with a field of the trial or of the"),
        ("optimizer.lr", "must be path=value, such as optimizer.lr=0.1, but got 'optimizer.lr'"),
        ("=3", "must be path=value"),
        ("a..b=3", "must be path=value"),
        ("epochs.x=1", "trial.epochs.x: must lead into a mapping, but trial.epochs is 2"),
        ("batch_size=[1", "trial.batch_size: must be YAML"),
        ("optimizer={kind: sgd, lr: 1, lr: 2}", "trial.optimizer.lr: must be given once"),
        ("optimizer.lr=fast", "trial.optimizer.lr: must be a number, but got 'fast'"),
        ("optimizer.momentun=1", "trial.optimizer.momentun: must be a field of sgd"),
        ("trials=", "trials: must be a whole number, but got null"),
    ],
)
def test_mistakes_are_told_on_the_command_line(override: str, message: str, tmp_path: Path) -> None:
    told = error(tmp_path, "epochs=2", override)
    assert told.startswith(f"--set #2: {message}")
    assert told.splitlines()[1] == f"  {override}"
    assert told.splitlines()[2].strip() == "^"


def test_the_caret_points_into_the_value(tmp_path: Path) -> None:
    lines = error(tmp_path, "optimizer={kind: sgd, lr: -1}").splitlines()
    assert lines[1][lines[2].index("^") :] == "-1}"


def test_mistakes_in_the_file_and_on_the_command_line_are_told_together(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(TEXT.replace("epochs: 4", "epochs: -4"))
    with pytest.raises(ConfigError) as caught:
        load_experiment(file, ["trials=0", "foo"])
    firsts = str(caught.value).splitlines()[::3]
    assert [line.split(": ")[0].removeprefix(str(file)) for line in firsts] == [
        ":8:11",
        "--set #1",
        "--set #2",
    ]
