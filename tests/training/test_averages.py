from pathlib import Path

import pytest
import torch
from torch import nn

from raytune_pipe.training.averages import WeightAverages
from raytune_pipe.training.checkpoints import load_checkpoint
from raytune_pipe.training.trainer import Trainer
from tests.training.test_trainer import RESNET, make_data, make_trial, train, untimed

AVERAGING = {"weight_averaging": {"decay": 0.9}}


def test_averages_follow_the_formula() -> None:
    model = nn.Linear(2, 2)
    averages, expected = WeightAverages(model), model.weight.detach().clone()
    for step in range(1, 200):
        with torch.no_grad():
            model.weight.add_(torch.randn(2, 2))
        averages.update(model, 0.9, step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.weight.detach()
    torch.testing.assert_close(averages.state()["weight"], expected)


def test_a_trial_is_evaluated_and_exported_by_its_averages(tmp_path: Path) -> None:
    trial = make_trial(model=RESNET, regularizers=AVERAGING)
    trainer, plain = (
        Trainer(each, data=make_data())
        for each in (trial, make_trial(model=RESNET, regularizers={}))
    )
    averaged, live = train(trainer, 2)[-1].metrics, train(plain, 2)[-1].metrics
    assert averaged["train_loss"] == live["train_loss"]
    assert averaged["val_loss"] != live["val_loss"]
    trainer.save(tmp_path / "checkpoints" / "trial" / "2.pt")
    checkpoint = load_checkpoint(tmp_path / "checkpoints" / "trial" / "2.pt", torch.device("cpu"))
    plain.model.load_state_dict(checkpoint.evaluated_weights)
    assert plain.evaluate("validation")["val_loss"] == averaged["val_loss"]


def test_averages_are_gone_on_with(tmp_path: Path) -> None:
    trial = make_trial(model=RESNET, regularizers=AVERAGING)
    through, first, second = (Trainer(trial, data=make_data()) for _ in range(3))
    expected = [untimed(report) for report in train(through, 4)]
    train(first, 2)
    path = tmp_path / "checkpoints" / "trial" / "2.pt"
    first.save(path)
    second.load(path)
    assert [untimed(report) for report in train(second, 2)] == expected[2:]


def test_without_saved_averages_they_begin_at_the_weights(tmp_path: Path) -> None:
    donor = Trainer(make_trial(regularizers={}), data=make_data())
    train(donor, 1)
    path = tmp_path / "checkpoints" / "trial" / "1.pt"
    donor.save(path)
    trainer = Trainer(make_trial(regularizers=AVERAGING), data=make_data())
    trainer.load(path)
    assert trainer.evaluate("validation") == donor.evaluate("validation")


def test_a_weight_of_two_names_has_its_average_under_both() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    averages = WeightAverages(model)
    averages.update(model, 0.9, step=1)
    assert averages.state().keys() == model.state_dict().keys()
    assert torch.equal(averages.state()["0.weight"], averages.state()["1.weight"])


@pytest.mark.parametrize("step", [1, 5, 50])
def test_the_first_steps_count_more(step: int) -> None:
    model = nn.Linear(1, 1, bias=False)
    averages = WeightAverages(model)
    with torch.no_grad():
        model.weight.fill_(10.0)
        averages.model.get_parameter("weight").fill_(0.0)
    averages.update(model, 0.999, step)
    assert averages.state()["weight"].item() == pytest.approx(10 * (1 - (1 + step) / (10 + step)))
