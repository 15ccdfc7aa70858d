import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from raytune_pipe.base import ConfigError
from raytune_pipe.distributions import Choice, Distribution, IntUniform, LogUniform, Uniform
from raytune_pipe.importing.imported_run import ImportedRun
from raytune_pipe.importing.optuna_study import read_study
from raytune_pipe.importing.writing import write_run
from raytune_pipe.results.reading import read_results

Suggest = Callable[[Any], Any]
"""Suggests a value of the parameter x to a trial of Optuna's."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


def objective(trial):  # type: ignore[no-untyped-def]  # Optuna's own types are not followed
    value = trial.suggest_float("lr", 1e-4, 1.0, log=True)
    trial.suggest_float("momentum", 0.0, 0.9, step=0.1)
    trial.suggest_categorical("kind", ["a", "b"])
    for step in range(3):
        trial.report(value + step, step)
        if trial.number == 1 and step == 1:
            raise optuna.TrialPruned
    return value


def test_a_study_becomes_a_run(tmp_path: Path) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=3)
    results = read_results(write_run(read_study(study), tmp_path, "study"))
    assert results.trials["status"].tolist() == ["completed", "stopped_early", "completed"]
    assert results.reports["epoch"].tolist() == [1, 2, 3, 1, 2, 1, 2, 3]
    assert results.space.names == ("params.lr", "momentum", "kind")
    assert results.space["momentum"].distribution == Uniform(low=0.0, high=0.9, quantum=0.1)
    assert results.trials["score"].tolist()[2] == study.trials[2].value


def test_one_of_several_objectives_must_be_chosen() -> None:
    study = optuna.create_study(directions=["minimize", "maximize"])
    study.optimize(lambda t: (t.suggest_float("x", 0, 1), 2.0), n_trials=2)
    with pytest.raises(ConfigError, match="--objective: must say which of the 2"):
        read_study(study)
    run = read_study(study, objective=1)
    assert run.objective["mode"] == "max"
    assert [one.reports[0].score for one in run.trials] == [-2.0, -2.0]


def imported(suggest: Suggest) -> tuple[ImportedRun, list[Any]]:
    """A study of one parameter, x; and its values as Optuna has them."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda trial: (suggest(trial), 1.0)[1], n_trials=20)
    return read_study(study), [trial.params["x"] for trial in study.trials]


@pytest.mark.parametrize(
    ("suggest", "expected", "note"),
    [
        (
            lambda trial: trial.suggest_float("x", -0.2, 0.7, step=0.1),
            Uniform(low=-0.2, high=0.7, quantum=0.1),
            "",
        ),
        (
            lambda trial: trial.suggest_float("x", 0, 9, step=0.001),
            Uniform(low=0.0, high=9.0, quantum=0.001),
            "",
        ),
        (
            lambda trial: trial.suggest_float("x", 0, 9, step=1e-6),
            Uniform(low=0.0, high=9.0),
            "x: has steps of 1e-06, too fine",
        ),
        (
            lambda trial: trial.suggest_int("x", 8, 24, step=8),
            Choice(options=(8, 16, 24)),
            "",
        ),
        (
            lambda trial: trial.suggest_int("x", 0, 1000, step=10),
            IntUniform(low=0, high=1000),
            "x: has 101 steps",
        ),
        (
            lambda trial: trial.suggest_int("x", 0, 2**63 - 1),
            Uniform(low=0.0, high=2.0**63),
            "x: goes beyond 1,099,511,627,776",
        ),
        (
            lambda trial: trial.suggest_int("x", 1, 2**50, log=True),
            LogUniform(low=1.0, high=2.0**50),
            "x: goes beyond 1,099,511,627,776",
        ),
    ],
)
def test_steps_and_wide_ranges_are_kept_where_they_can_be(
    tmp_path: Path, suggest: Suggest, expected: Distribution, note: str
) -> None:
    run, values = imported(suggest)
    assert run.space["x"].distribution == expected
    assert [one.leaves["x"] for one in run.trials] == pytest.approx(values, rel=1e-12)
    assert all(expected.contains(one.leaves["x"]) for one in run.trials)
    _, *notes = run.notes
    assert [line[: len(note)] for line in notes] == ([note] if note else [])
    results = read_results(write_run(run, tmp_path, "study"))
    assert results.trials["x"].tolist() == [one.leaves["x"] for one in run.trials]


def test_values_of_steps_have_few_digits() -> None:
    run, values = imported(lambda trial: trial.suggest_float("x", 0.0, 0.9, step=0.1))
    assert 0.30000000000000004 in values
    assert {one.leaves["x"] for one in run.trials} <= {number / 10 for number in range(10)}


def test_choices_that_are_no_finite_number_are_named(tmp_path: Path) -> None:
    study = optuna.create_study()
    for clip in (None, math.inf, 1.0):
        study.enqueue_trial({"clip": clip})
    study.optimize(
        lambda trial: (trial.suggest_categorical("clip", [None, math.inf, 1.0]), 1.0)[1], n_trials=3
    )
    results = read_results(write_run(read_study(study), tmp_path, "study"))
    assert results.space["clip"].distribution == Choice(options=("null", "inf", 1.0))
    assert results.trials["clip"].tolist() == ["null", "inf", "1.0"]


def test_values_that_optuna_let_pass_outside_of_the_space_are_counted() -> None:
    study = optuna.create_study()
    for x in (0.33, 5.0, 0.3):
        study.enqueue_trial({"x": x})
    with pytest.warns(UserWarning, match="out of range"):
        study.optimize(lambda trial: trial.suggest_float("x", 0.0, 0.9, step=0.1), n_trials=3)
    run = read_study(study)
    assert [one.leaves["x"] for one in run.trials] == [0.3, 0.9, 0.3]
    assert "2 values outside of the search space were taken as the nearest" in run.notes[-1]
