from typing import Any

import numpy as np

from raytune_pipe.traps_of_data import data_traps
from tests.test_traps import make


def test_a_model_larger_than_its_data_is_told() -> None:
    small, large = ({"model": {"kind": "mlp", "widths": [width]}} for width in (4, 400))
    assert data_traps(make(trial=small)) == ([], [])
    problems, (trap,) = data_traps(make(trial=large))
    assert (problems, trap.code) == ([], "more_parameters_than_samples")
    assert "30,010 parameters for 1,079 training samples" in trap.message
    assert data_traps(make(trial=large, ignore=[trap.code])) == ([], [])


def test_a_loss_that_does_not_fit_the_task_is_a_problem() -> None:
    (problem,), _ = data_traps(make(trial={"loss": {"kind": "mse"}}))
    assert problem.path == ("trial", "loss")
    assert "the dataset's is classification" in problem.message


def test_searched_values_that_the_data_rules_out_are_problems() -> None:
    trial = {"model": {"kind": "cnn", "filters": [4]}, "augmentations": {"crop": {"padding": 2}}}
    paddings = {"kind": "int_uniform", "low": 0, "high": 8}
    weights = {"kind": "choice", "options": [[1.0] * 10, [1.0, 2.0]]}
    loss = {"kind": "cross_entropy", "class_weights": [1.0] * 10}
    searched = {"augmentations.crop.padding": paddings, "loss.class_weights": weights}
    problems, _ = data_traps(make(trial=trial | {"loss": loss}, search_space=searched))
    assert {problem.path: problem.message.partition(", but")[0] for problem in problems} == {
        ("search_space", "augmentations.crop.padding"): "must be below the 8 pixels of the images",
        ("search_space", "loss.class_weights"): "must have one weight for each of the 10 classes",
    }
    fitting = {"augmentations.crop.padding": paddings | {"high": 7}}
    assert data_traps(make(trial=trial, search_space=fitting)) == ([], [])


def test_components_that_conditions_keep_apart_need_not_fit() -> None:
    models = [{"kind": "mlp", "widths": [4]}, {"kind": "cnn", "filters": [4]}]
    datasets = {"kind": "choice", "options": [{"kind": "digits"}, {"kind": "wine"}]}
    model = {"kind": "choice", "options": models}
    of_images = model | {"when": {"dataset.kind": ["digits"]}}
    trial = {"model": models[0]}
    apart, together = (
        make(trial=trial, search_space={"dataset": datasets, "model": each})
        for each in (of_images, model)
    )
    assert data_traps(apart) == ([], [])
    (problem,), _ = data_traps(together)
    assert problem.path == ("search_space", "model")
    assert "model cnn must have images" in problem.message


def test_data_that_is_not_here_is_told_and_no_problem(tmp_path: Any) -> None:
    path = tmp_path / "data.npz"
    elsewhere = make(trial={"dataset": {"kind": "arrays", "path": str(path)}})
    problems, (trap,) = data_traps(elsewhere)
    assert (problems, trap.code, trap.path) == ([], "data_not_seen", ("trial", "dataset", "kind"))
    np.savez(path, x=np.zeros((900, 2)), y=np.arange(900) % 2)
    assert data_traps(elsewhere)[1][0].code == "more_parameters_than_samples"
