import random
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from raytune_pipe.base import ConfigError, seed_draw
from raytune_pipe.components.augmentations import Mixup, Noise
from raytune_pipe.components.draws import Draws
from raytune_pipe.components.losses_classification import CrossEntropy
from raytune_pipe.components.task import Batch, Data, Split, Task
from raytune_pipe.networks.losses import CentreLoss
from raytune_pipe.training.gradients import BatchGradients
from raytune_pipe.training.trainer import Trainer
from raytune_pipe.training.world import ALONE
from tests.training.test_trainer import RESNET, make_data, make_trial, untimed

BATCH = torch.arange(16)


class Net(nn.Module):
    """A net with an output layer of its own, `head`."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(16, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        """[batch, 1, 4, 4] -> [batch, 3]."""
        outputs: Tensor = self.head(self.body(inputs.flatten(1)).tanh())
        return outputs


def gradients_of(
    batch: Tensor = BATCH, loss: nn.Module | None = None, **fields: Any
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Gradients by name and the means of the losses."""
    torch.manual_seed(0)
    model, data = Net(), make_data()
    trial = make_trial(**{"loss": {"kind": "cross_entropy"}, "regularizers": {}} | fields)
    loss = loss or trial.loss.build(data.task)
    gradients = BatchGradients(trial, data, model, loss, ALONE)
    gradients.begin_epoch(0)
    gradients.compute(batch)
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return found, gradients.means()


def assert_close(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        torch.testing.assert_close(left[name], right[name], msg=name)


@pytest.mark.parametrize("parts", [2, 3, 16, 100])
def test_micro_batches_add_up_to_the_batch(parts: int) -> None:
    fields: dict[str, Any] = {"regularizers": {"l1": {"weight": 0.1}}}
    whole, means = gradients_of(**fields)
    divided, same_means = gradients_of(micro_batches=parts, **fields)
    assert_close(divided, whole)
    assert same_means == pytest.approx(means)


def test_micro_batches_are_no_smaller_than_batch_norms_take() -> None:
    trial = make_trial(model=RESNET, micro_batches=16)
    report = Trainer(trial, data=make_data(17)).train_epoch()
    assert report.metrics["train_loss"] > 0


def test_mixed_samples_have_the_loss_of_both() -> None:
    batch = Batch(torch.randn(6, 2), torch.arange(6))
    draws = Draws(torch.Generator().manual_seed(1), random.Random(1))
    mixed = Mixup(alpha=1.0).apply(batch, draws)
    assert mixed.partners is not None
    torch.testing.assert_close(
        mixed.inputs,
        mixed.own_share * batch.inputs + (1 - mixed.own_share) * batch.inputs[mixed.partners],
    )
    assert 0 < mixed.own_share < 1


def test_the_loss_of_a_mixture_is_that_of_mixed_targets() -> None:
    _, means = gradients_of(augmentations={"mixup": {"alpha": 1.0}})
    torch.manual_seed(0)
    model, train = Net(), make_data().train
    trial = make_trial(augmentations={"mixup": {"alpha": 1.0}})
    seed = seed_draw(trial.seed, "augment", 0)
    draws = Draws(torch.Generator().manual_seed(seed), random.Random(seed))
    batch = Mixup(alpha=1.0).apply(Batch(train.inputs[BATCH], train.targets[BATCH]), draws)
    assert batch.partners is not None
    soft = batch.own_share * functional.one_hot(batch.targets, 3)
    soft = soft + (1 - batch.own_share) * functional.one_hot(batch.partners, 3)
    expected = functional.cross_entropy(model(batch.inputs), soft)
    assert means["train_loss"] == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("kind", ["mse", "mae", "huber"])
def test_numbers_are_mixed_themselves(kind: str) -> None:
    torch.manual_seed(0)
    data = make_data()
    train = data.train._replace(targets=torch.randn(len(data.train.inputs), 3))
    data = Data(train, train, train, Task("regression", (1, 4, 4), 3))
    trial = make_trial(
        loss={"kind": kind}, augmentations={"mixup": {"alpha": 1.0}}, regularizers={}
    )
    model, loss = Net(), trial.loss.build(data.task)
    gradients = BatchGradients(trial, data, model, loss, ALONE)
    gradients.begin_epoch(0)
    gradients.compute(BATCH)
    seed = seed_draw(trial.seed, "augment", 0)
    draws = Draws(torch.Generator().manual_seed(seed), random.Random(seed))
    batch = Mixup(alpha=1.0).apply(Batch(train.inputs[BATCH], train.targets[BATCH]), draws)
    assert batch.partners is not None
    targets = batch.own_share * batch.targets + (1 - batch.own_share) * batch.partners
    expected = loss(model(batch.inputs), targets).item()
    assert gradients.means()["train_loss"] == pytest.approx(expected, rel=1e-5)


def test_draws_differ_by_epoch_and_follow_from_the_seed() -> None:
    trial = make_trial(augmentations={"noise": {"std": 0.5}, "mixup": {}})
    first, second = (Trainer(trial, data=make_data()) for _ in range(2))
    reports = [[untimed(trainer.train_epoch()) for _ in range(2)] for trainer in (first, second)]
    assert reports[0] == reports[1]
    draws = [Draws(torch.Generator().manual_seed(1), random.Random(1)) for _ in range(2)]
    batch = Batch(torch.zeros(1000), torch.zeros(1000))
    noises = [Noise(std=0.5).apply(batch, each).inputs for each in (draws[0], draws[1], draws[0])]
    assert torch.equal(noises[0], noises[1])
    assert not torch.equal(noises[0], noises[2])
    assert noises[0].std().item() == pytest.approx(0.5, rel=0.1)


class Spread(nn.Module):
    """A loss of the outputs and of what goes into the output layer, in two terms."""

    def __init__(self) -> None:
        super().__init__()
        self.terms: dict[str, Tensor] = {}

    def forward(self, outputs: Tensor, targets: Tensor, features: Tensor) -> Tensor:
        """Scalar."""
        own, spread = functional.cross_entropy(outputs, targets), features.square().mean()
        self.terms = {"own": own.detach(), "spread": spread.detach()}
        return own + spread


@pytest.mark.parametrize("parts", [1, 3])
def test_a_loss_gets_the_features_and_tells_its_terms(
    monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    monkeypatch.setattr(CrossEntropy, "needs_features", True)
    _, means = gradients_of(loss=Spread(), micro_batches=parts)
    assert means.keys() == {"train_loss", "train_own", "train_spread"}
    assert means["train_loss"] == pytest.approx(means["train_own"] + means["train_spread"])
    torch.manual_seed(0)
    features = Net().body(make_data().train.inputs[BATCH].flatten(1)).tanh()
    assert means["train_spread"] == pytest.approx(features.square().mean().item(), rel=1e-5)


def centred(**fields: Any) -> tuple[CentreLoss, dict[str, float]]:
    """The loss after an epoch of three batches, and its means."""
    torch.manual_seed(0)
    model, data = Net(), make_data()
    trial = make_trial(loss={"kind": "centre", "weight": 0.5}, regularizers={}, **fields)
    loss = trial.loss.build(data.task)
    assert isinstance(loss, CentreLoss)
    gradients = BatchGradients(trial, data, model, loss, ALONE)
    gradients.begin_epoch(0)
    for batch in torch.arange(48).view(3, 16):
        gradients.compute(batch)
    return loss, gradients.means()


def test_centres_follow_the_features_and_their_terms_are_metrics() -> None:
    loss, means = centred()
    assert loss.centres.shape == (3, 4)
    assert loss.centres.any()
    parts = means["train_cross_entropy"] + means["train_centre"]
    assert means["train_loss"] == pytest.approx(parts, rel=1e-6)
    divided, same_means = centred(micro_batches=3)
    torch.testing.assert_close(divided.centres, loss.centres)
    assert same_means == pytest.approx(means, rel=1e-5)


def test_a_model_that_gives_what_the_loss_does_not_take_is_refused() -> None:
    trial, data = make_trial(loss={"kind": "nll"}), make_data()
    model = Net()
    with pytest.raises(ConfigError, match="model: must end in log-probabilities under loss nll"):
        BatchGradients(trial, data, model, trial.loss.build(data.task), ALONE)
    model.head = nn.Linear(4, 2)
    with pytest.raises(ConfigError, match=r"model: must give outputs of the shape \[2, 3\]"):
        BatchGradients(trial, data, model, trial.loss.build(data.task), ALONE)
    assert model.training


def test_a_model_without_a_head_cannot_give_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CrossEntropy, "needs_features", True)
    trial, data = make_trial(), make_data()
    with pytest.raises(ConfigError, match="that layer as its attribute head, but Linear has none"):
        BatchGradients(trial, data, nn.Linear(2, 2), nn.CrossEntropyLoss(), ALONE)


def test_tokens_cannot_be_augmented() -> None:
    tokens = Split(torch.zeros(4, 7, dtype=torch.int64), torch.zeros(4, 7, dtype=torch.int64))
    data = Data(tokens, tokens, tokens, Task("classification", (7,), 5, tokens=5))
    trial = make_trial(augmentations={"noise": {}})
    with pytest.raises(ConfigError, match=r"augmentations\.noise: must have inputs of numbers"):
        BatchGradients(trial, data, Net(), nn.CrossEntropyLoss(), ALONE)
