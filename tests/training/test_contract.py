"""What every member of every family holds in training; a new one is tested by being in its union.

It trains on data that it fits, goes on from a checkpoint to the last bit, and a change of a mutable
field, which comes with a donor's checkpoint, is in force from the next step on.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional

from raytune_pipe.base import Component, ConfigError, Mutable, members
from raytune_pipe.components.augmentations import Augmentations
from raytune_pipe.components.initializers import Initializer
from raytune_pipe.components.losses import Loss
from raytune_pipe.components.models import Imported, Model
from raytune_pipe.components.optimizers import Optimizer
from raytune_pipe.components.regularizers import Regularizers
from raytune_pipe.components.schedules import Schedule
from raytune_pipe.components.stoppers import Stoppers
from raytune_pipe.components.task import Data, Split, Task
from raytune_pipe.training.trainer import EpochReport, Trainer
from raytune_pipe.trial import Trial
from tests.components.test_families import REQUIRED

FAMILIES: dict[str, Any] = {
    "model": Model,
    "initializer": Initializer,
    "loss": Loss,
    "optimizer": Optimizer,
    "schedule": Schedule,
    "regularizers": Regularizers,
    "augmentations": Augmentations,
    "stoppers": Stoppers,
}
KEYED = ("regularizers", "augmentations", "stoppers")

SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"widths": [8]},
    "cnn": {"filters": [4, 4]},
    "resnet": {"width": 2},
    "recurrent": {"embedding_size": 4, "hidden_size": 6},
    "transformer": {"width": 4, "heads": 2},
    "focal": {"alpha": 0.25},
}
"""Fields that make a member quick, and its effect in two epochs large, by its name."""

OTHERS = (0.37, 0.011, 0.9, 3.0, 3, 2, 1)
"""Values that a mutable field may be changed to; the first that fits and has an effect is."""


class Member(NamedTuple):
    """A member of a family, by the word that chooses it."""

    family: str
    name: str
    kind: type[Component]

    @property
    def plain(self) -> dict[str, Any]:
        """Its fields as in an experiment file."""
        chosen = {} if self.family in KEYED else {"kind": self.name}
        return chosen | REQUIRED.get(self.kind, {}) | SMALL.get(self.name, {})

    def within(self, plain: dict[str, Any]) -> dict[str, Any]:
        """The part of a trial that holds it."""
        return {self.family: {self.name: plain} if self.family in KEYED else plain}

    @property
    def path(self) -> str:
        """Where its fields are, in a trial."""
        return f"{self.family}.{self.name}" if self.family in KEYED else self.family


def all_members() -> Iterator[Member]:
    for family, union in FAMILIES.items():
        if family in KEYED:
            for name, field in union.model_fields.items():
                yield from (Member(family, name, kind) for kind in members(field.annotation))
        else:
            for kind in members(union):
                yield Member(family, kind.model_fields["kind"].default, kind)


# The user's own model is whatever it is.
MEMBERS = [member for member in all_members() if member.kind is not Imported]
MUTABLE = [
    (member, name)
    for member in MEMBERS
    for name, field in member.kind.model_fields.items()
    if any(isinstance(mark, Mutable) for mark in field.metadata)
]


def images(classes: int) -> Data:
    generator = torch.Generator().manual_seed(1)

    def split(size: int) -> Split:
        inputs = torch.randn(size, 1, 8, 8, generator=generator)
        return Split(inputs, inputs.flatten(1)[:, :classes].argmax(1))

    return Data(split(40), split(20), split(20), Task("classification", (1, 8, 8), classes))


def table() -> Data:
    inputs = torch.randn(40, 5, generator=torch.Generator().manual_seed(2))
    split = Split(inputs, inputs[:, :2] + 0.1)
    return Data(split, split, split, Task("regression", (5,), 2))


def tokens() -> Data:
    text = torch.randint(6, (20, 9), generator=torch.Generator().manual_seed(3)).cumsum(1) % 6
    split = Split(text[:, :-1], text[:, 1:])
    return Data(split, split, split, Task("classification", (8,), 6, tokens=6))


def several() -> Data:
    inputs = torch.randn(40, 5, generator=torch.Generator().manual_seed(4))
    split = Split(inputs, torch.stack([(inputs[:, 0] > 0).float(), inputs[:, 1]], dim=1))
    parts = {"sign": Task("classification", (5,), 2), "size": Task("regression", (5,), 1)}
    return Data(split, split, split, Task("several", (5,), 3, parts=parts))


class OfTheUser(nn.Module):
    """A net that ends in log-probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        """[batch, 1, 8, 8] -> [batch, 3]."""
        return functional.log_softmax(self.layer(inputs.flatten(1)), dim=1)


OF_THE_USER = {"kind": "imported", "target": "tests.training.test_contract:OfTheUser"}
CROSS_ENTROPY = {"kind": "cross_entropy", "label_smoothing": 0.1}
FITS: list[tuple[Data, dict[str, Any]]] = [
    (images(3), {"loss": CROSS_ENTROPY}),
    (images(2), {"loss": CROSS_ENTROPY}),
    (images(3), {"model": OF_THE_USER}),
    (table(), {"loss": {"kind": "mse"}}),
    (tokens(), {"loss": CROSS_ENTROPY}),
    (several(), {"loss": {"kind": "mse"}}),
]


def make_trial(fields: dict[str, Any]) -> Trial:
    base = {
        "dataset": {"kind": "digits"},
        "model": {"kind": "mlp", "widths": [8], "dropout": 0.2},
        "optimizer": {"kind": "sgd", "lr": 0.05},
        "batch_size": 16,
        "epochs": 4,
    }
    return Trial.model_validate_json(json.dumps(base | fields))


def fitting(member: Member, plain: dict[str, Any]) -> tuple[Trial, Data]:
    """A trial with the member, on the first data that it fits."""
    reasons = []
    for data, fields in FITS:
        try:
            trial = make_trial(fields | member.within(plain))
            Trainer(trial, data=data)
        except (ConfigError, ValidationError) as error:
            reasons.append(str(error))
        else:
            return trial, data
    raise AssertionError(f"{member.path}: fits no data: {reasons}")


def told(report: EpochReport) -> dict[str, Any]:
    """What a report says, but for times; a NaN equals itself as text."""
    timed = {"epoch_s", "samples_per_s"}
    metrics = {name: repr(value) for name, value in report.metrics.items() if name not in timed}
    return vars(report) | {"metrics": metrics, "time_s": None}


def weights(trainer: Trainer) -> list[Tensor]:
    return [tensor.clone() for tensor in trainer.model.state_dict().values()]


def name_of(member: Member) -> str:
    return member.path if member.family in KEYED else f"{member.family}-{member.name}"


@pytest.mark.parametrize("member", MEMBERS, ids=name_of)
def test_trains_and_goes_on_to_the_last_bit(member: Member, tmp_path: Path) -> None:
    trial, data = fitting(member, member.plain)
    through, first, second = (Trainer(trial, data=data) for _ in range(3))
    initial = weights(through)
    expected = [through.train_epoch() for _ in range(2)]
    first.train_epoch()
    path = tmp_path / "checkpoints" / "00000" / "1.pt"
    first.save(path)
    second.load(path)
    assert told(second.train_epoch()) == told(expected[1])
    assert all(torch.equal(*pair) for pair in zip(weights(second), weights(through), strict=True))
    assert all(math.isfinite(report.metrics["val_loss"]) for report in expected)
    is_dead = member.name == "zeros"  # nothing but the last bias ever moves
    moved = [not torch.equal(*pair) for pair in zip(initial, weights(through), strict=True)]
    assert any(moved) if is_dead else all(moved), "some weights do not learn"


@pytest.mark.parametrize(
    ("member", "field"),
    MUTABLE,
    ids=lambda value: value if isinstance(value, str) else name_of(value),
)
def test_a_mutation_is_in_force_from_the_next_step_on(
    member: Member, field: str, tmp_path: Path
) -> None:
    trial, data = fitting(member, member.plain)
    donor, unchanged = (Trainer(trial, data=data) for _ in range(2))
    donor.train_epoch()
    path = tmp_path / "checkpoints" / "00000" / "1.pt"
    donor.save(path)
    unchanged.load(path)
    plain_report = unchanged.train_epoch()
    for value in OTHERS:
        try:
            changed, _ = fitting(member, member.plain | {field: value})
            copy = Trainer(changed, data=data)
        except (AssertionError, ConfigError):
            continue
        copy.load(path)
        report = copy.train_epoch()
        assert report.values_in_force[f"{member.path}.{field}"] == value
        same = zip(weights(copy), weights(unchanged), strict=True)
        is_seen = report.metrics["val_loss"] != plain_report.metrics["val_loss"]
        if is_seen or not all(torch.equal(*pair) for pair in same):
            return
    raise AssertionError(f"{member.path}.{field}: no change of it had an effect")
