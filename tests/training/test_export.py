from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from raytune_pipe.base import ResultsError, TrialError
from raytune_pipe.training.export import evaluate_test, export_weights
from raytune_pipe.training.trainer import Trainer
from raytune_pipe.trial import Trial

TRIAL = Trial.model_validate_json(
    """{
    "dataset": {"kind": "digits"},
    "model": {"kind": "resnet", "depth": 8, "width": 4},
    "loss": {"kind": "cross_entropy"},
    "optimizer": {"kind": "sgd", "lr": 0.1},
    "epochs": 1
    }"""
)


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    trainer = Trainer(TRIAL)
    trainer.train_epoch()
    return trainer


def test_exported_weights_are_those_of_the_model(trainer: Trainer, tmp_path: Path) -> None:
    sha256 = trainer.save(tmp_path / "1.pt")
    export_weights(tmp_path / "1.pt", sha256, tmp_path / "weights.safetensors")
    weights = load_file(tmp_path / "weights.safetensors")
    expected = trainer.model.state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in weights)


def test_test_metrics_are_those_of_the_trainer(trainer: Trainer, tmp_path: Path) -> None:
    sha256 = trainer.save(tmp_path / "1.pt")
    found = evaluate_test(TRIAL, tmp_path / "1.pt", sha256)
    assert found.keys() == {"test_loss", "test_accuracy"}
    assert found == trainer.evaluate("test")


def test_a_changed_checkpoint_is_refused_before_it_is_read(
    trainer: Trainer, tmp_path: Path
) -> None:
    sha256 = trainer.save(tmp_path / "1.pt")
    with (tmp_path / "1.pt").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ResultsError, match=f"must have the SHA-256 {sha256}"):
        export_weights(tmp_path / "1.pt", sha256, tmp_path / "weights.safetensors")
    assert not (tmp_path / "weights.safetensors").exists()


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="must be there to be read, but No such file"):
        evaluate_test(TRIAL, tmp_path / "1.pt", "0" * 64)


def test_a_checkpoint_of_another_model_is_refused(trainer: Trainer, tmp_path: Path) -> None:
    sha256 = trainer.save(tmp_path / "1.pt")
    wider = TRIAL.model_copy(update={"model": TRIAL.model.model_copy(update={"width": 8})})
    with pytest.raises(TrialError, match="model shape"):
        evaluate_test(wider, tmp_path / "1.pt", sha256)
