from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

from raytune_pipe.base import ConfigError
from raytune_pipe.importing.optuna_study import read_study
from raytune_pipe.importing.writing import write_run
from raytune_pipe.results.reading import read_results


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
    assert results.space["momentum"].distribution.kind == "choice"
    assert results.trials["score"].tolist()[2] == study.trials[2].value


def test_one_of_several_objectives_must_be_chosen() -> None:
    study = optuna.create_study(directions=["minimize", "maximize"])
    study.optimize(lambda t: (t.suggest_float("x", 0, 1), 2.0), n_trials=2)
    with pytest.raises(ConfigError, match="--objective: must say which of the 2"):
        read_study(study)
    run = read_study(study, objective=1)
    assert run.objective["mode"] == "max"
    assert [one.reports[0].score for one in run.trials] == [-2.0, -2.0]
