"""Planted faults, each named by the check that is for it; and a healthy trial."""

import json
import random
from typing import Any

import numpy as np
import pytest
import torch

from raytune_pipe.distributions import Choice, LogUniform
from raytune_pipe.training.trial_check import check_trial
from raytune_pipe.training.trial_check_findings import Finding, TrialCheck
from raytune_pipe.training.trial_check_runs import Place
from raytune_pipe.trial import Trial
from tests.conftest import USER_CODE

HEALTHY: dict[str, Any] = {
    "dataset": {"kind": "digits"},
    "model": {"kind": "mlp", "widths": [32], "dropout": 0.3},
    "loss": {"kind": "cross_entropy", "label_smoothing": 0.1},
    "optimizer": {"kind": "sgd", "lr": 0.05},
    "augmentations": {"noise": {}},
}


@pytest.fixture(autouse=True)
def _faults_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(USER_CODE))


def checked(**changes: Any) -> TrialCheck:
    trial = Trial.model_validate_json(json.dumps(HEALTHY | changes))
    return check_trial(trial, {"optimizer.lr": LogUniform(low=1e-4, high=1.0)}, Place())


def planted(name: str) -> dict[str, Any]:
    return {"kind": "imported", "target": f"planted_faults:{name}"}


def failed(check: TrialCheck) -> dict[str, Finding]:
    return {one.name: one for one in check.findings if one.verdict == "fail"}


@pytest.fixture(scope="module")
def healthy() -> TrialCheck:
    return checked()


def test_a_healthy_trial_passes(healthy: TrialCheck) -> None:
    assert healthy.ok, failed(healthy)
    assert [one.name for one in healthy.findings if one.verdict == "warn"] == ["capacity"]


@pytest.mark.parametrize(
    "changes",
    [
        {
            "dataset": {"kind": "text", "length": 16, "max_samples": 400},
            "model": {"kind": "recurrent", "embedding_size": 16, "hidden_size": 32, "layers": 1},
            "optimizer": {"kind": "adamw", "lr": 0.003},
        },
        {"dataset": {"kind": "diabetes"}, "loss": {"kind": "huber"}},
        {
            "dataset": {"kind": "imported", "target": "two_tasks:digits_and_ink"},
            "loss": {
                "kind": "weighted_sum",
                "terms": {
                    "digit": {"loss": {"kind": "cross_entropy"}},
                    "ink": {"loss": {"kind": "mse"}},
                },
            },
        },
    ],
    ids=["tokens", "regression", "several"],
)
def test_every_kind_of_task_passes(changes: dict[str, Any]) -> None:
    check = checked(**{"augmentations": {}, **changes})
    assert check.ok, failed(check)
    assert {one.name for one in check.findings if one.verdict == "warn"} <= {"capacity"}


def test_what_else_may_be_chosen_is_said() -> None:
    trial = Trial.model_validate_json(json.dumps(HEALTHY))
    options = ({"kind": "sgd"}, {"kind": "adamw"}, {"kind": "lion"})
    check = check_trial(trial, {"optimizer": Choice(options=options)}, Place())
    (scope,) = (one for one in check.findings if one.name == "scope")
    assert scope.found == "optimizer sgd alone, and not adamw or lion, is looked at"


def test_plain_values_give_it_back(healthy: TrialCheck) -> None:
    assert TrialCheck.from_mapping(json.loads(json.dumps(healthy.to_mapping()))) == healthy


def decided(check: TrialCheck) -> list[Finding]:
    """All but what a clock or the memory of this moment says."""
    return [one for one in check.findings if one.name not in ("time", "memory")]


def test_it_repeats_and_leaves_generators_and_threads_alone(healthy: TrialCheck) -> None:
    torch.set_num_threads(2)
    before = random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()
    again = checked()
    assert decided(again) == decided(healthy)
    assert again.range_test == healthy.range_test
    after = random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()
    assert before == after
    assert torch.get_num_threads() == 2
    assert (torch.full((1,), 1e-310, dtype=torch.float64) * 1.0).item() > 0


def test_dead_units_are_named_with_the_parameters_they_starve() -> None:
    found = failed(checked(model=planted("Dead")))
    assert {"gradients", "dead units"} <= found.keys()
    assert "head.weight, hidden.bias, hidden.weight and 1 more" in found["gradients"].found
    assert "dead initialization" in found["gradients"].suspect
    assert "dead initialization" in found["overfitting"].suspect
    assert found["dead units"].found.startswith("32 of 32 ReLU units")


def test_a_layer_that_is_never_called_is_a_warning() -> None:
    check = checked(model=planted("Idle"))
    (gradients,) = (one for one in check.findings if one.name == "gradients")
    assert gradients.verdict == "warn"
    assert gradients.found == "missing in 2 of 7 parameters: spare.bias, spare.weight"


def test_shuffled_labels_are_found_by_what_no_probe_can_predict() -> None:
    found = failed(checked(dataset=planted("shuffled_digits")))
    assert list(found) == ["signal"]
    assert found["signal"].suspect.startswith("labels: shuffled")


def test_class_indices_as_quantities_are_a_loss_that_does_not_fit() -> None:
    found = failed(checked(dataset=planted("digits_as_numbers"), loss={"kind": "mse"}))
    assert list(found) == ["fit"]
    assert "whole numbers 0 to 9" in found["fit"].found
    assert "cross_entropy" in found["fit"].mend


def test_a_loss_for_another_task_is_a_finding() -> None:
    found = failed(checked(loss={"kind": "mse"}))
    assert "mse must have a task of" in found["fit"].found


@pytest.mark.parametrize(
    ("name", "words"),
    [("TwiceSoftmax", "probabilities already"), ("TooFew", "outputs of the shape [2, 10]")],
)
def test_outputs_that_do_not_fit_are_named(name: str, words: str) -> None:
    check = checked(model=planted(name))
    assert words in failed(check)["fit"].found
    assert check.range_test is None


def test_an_error_of_the_users_network_is_a_finding() -> None:
    found = failed(checked(model={"kind": "imported", "target": "poison:Raises"}))
    assert found["fit"].found.startswith("ValueError: cannot digest")


def test_targets_that_are_all_alike_fail() -> None:
    found = failed(
        checked(dataset={"kind": "imported", "target": "planted_faults:constant_digits"})
    )
    assert found["fit"].found == "all training targets are alike"
