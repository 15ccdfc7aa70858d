import json
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from raytune_pipe.components.regularizers import ClipNorm, Regularizers
from raytune_pipe.components.schedules import Cosine, Warmup
from raytune_pipe.distributions import Choice
from raytune_pipe.trial import Trial, is_mutable, leaves

PLAIN: dict[str, Any] = {
    "dataset": {"kind": "digits"},
    "model": {"kind": "resnet"},
    "loss": {"kind": "cross_entropy"},
    "optimizer": {"kind": "sgd", "lr": 0.05, "nesterov": True, "weight_decay": 5e-4},
}


def trial(**changes: Any) -> Trial:
    return Trial.model_validate_json(json.dumps(PLAIN | changes))


def test_leaves_are_every_scalar_by_dotted_name() -> None:
    found = leaves(
        trial(
            model={"kind": "mlp", "widths": [8, 4]},
            schedule={"kind": "warmup", "then": {"kind": "piecewise", "multipliers": {"3": 0.1}}},
            regularizers={"clip_norm": {"max_norm": 2.0}},
        )
    )
    expected = {
        "dataset.kind": "digits",
        "dataset.split_seed": 0,
        "model.widths": "[8,4]",
        "model.activation": "relu",
        "optimizer.lr": 0.05,
        "optimizer.nesterov": True,
        "schedule.kind": "warmup",
        "schedule.then.multipliers": '{"3":0.1}',
        "schedule.then.rates": None,
        "regularizers.clip_norm.max_norm": 2.0,
        "batch_size": 64,
        "precision": "float32",
        "seed": 0,
    }
    assert found | expected == found


def test_a_list_has_the_name_of_the_option_that_it_was() -> None:
    options = [[0, 0.1], [0.5, 0.0]]
    choice = Choice.model_validate_json(json.dumps({"options": options}))
    trials = [trial(model={"kind": "mlp", "dropout": option}) for option in options]
    assert tuple(leaves(each)["model.dropout"] for each in trials) == choice.labels


def test_a_part_that_is_off_has_no_leaves() -> None:
    found = leaves(trial())
    assert not [path for path in found if path.startswith(("regularizers", "stoppers"))]


def test_mutable_leaves_are_those_that_can_change_mid_run() -> None:
    subject = trial(regularizers={"clip_norm": {}, "l1": {}})
    mutable = {path for path in leaves(subject) if is_mutable(subject, path)}
    assert mutable == {
        "model.dropout",
        "model.stochastic_depth",
        "loss.label_smoothing",
        "optimizer.lr",
        "optimizer.momentum",
        "optimizer.dampening",
        "optimizer.weight_decay",
        "regularizers.clip_norm.max_norm",
        "regularizers.l1.weight",
        "batch_size",
    }


@pytest.mark.parametrize(
    "path", ["optimizer.beta1", "optimizer.lr.x", "regularizers.l1.weight", "nothing", "no.such"]
)
def test_a_path_that_is_no_leaf_is_a_key_error(path: str) -> None:
    with pytest.raises(KeyError, match=path):
        is_mutable(trial(), path)


def test_every_field_is_described() -> None:
    assert all(field.description for field in Trial.model_fields.values())


def test_json_round_trip() -> None:
    subject = trial().model_copy(
        update={
            "schedule": Warmup(then=Cosine()),
            "regularizers": Regularizers(clip_norm=ClipNorm()),
        }
    )
    assert Trial.model_validate_json(subject.model_dump_json()) == subject


@pytest.mark.parametrize(
    "changes",
    [{"batch_size": 0}, {"batch_size": 1.5}, {"epochs": 0}, {"seed": -1}, {"precision": "float16"}],
)
def test_values_outside_their_range_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        trial(**changes)


@pytest.mark.slow
def test_resnet_8_learns_the_digits() -> None:
    """The parts together, without the training loop: at least 0.97 in 10 epochs."""
    subject = trial(epochs=10)
    data = subject.dataset.load()
    model = subject.model.build(data.task)
    subject.initializer.apply(model, torch.Generator().manual_seed(0))
    loss, optimizer = subject.loss.build(data.task), subject.optimizer.build(model)
    order = torch.Generator().manual_seed(0)
    for _ in range(subject.epochs):
        model.train()
        for batch in torch.split(torch.randperm(len(data.train.inputs), generator=order), 64):
            optimizer.zero_grad()
            loss(model(data.train.inputs[batch]), data.train.targets[batch]).backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        predicted = model(data.validation.inputs).argmax(1)
    assert (predicted == data.validation.targets).float().mean() >= 0.97
