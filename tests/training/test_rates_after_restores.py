"""Every schedule under every optimizer after every kind of mutation: what is in force is declared.

An exploit is `Trainer(changed).load(donor)`: nothing of the donor's rates may be left in any group,
at any step, and what is read back must be the changed values to the last bit.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from raytune_pipe.base import members
from raytune_pipe.components.optimizers import Optimizer
from raytune_pipe.components.schedules import Schedule
from raytune_pipe.components.schedules_progress import Factors, Progress
from raytune_pipe.components.task import Data, Split, Task
from raytune_pipe.training.trainer import Trainer
from raytune_pipe.trial import Trial, is_mutable, leaves

EPOCHS, STEPS, AGE = 6, 2, 2
"""Planned epochs, steps of each, and epochs after which the donor is copied."""

OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"nesterov": True, "momentum": 0.8},
    "adagrad": {},
    "adadelta": {"decay_biases_and_norms": False},
    "rmsprop": {"momentum": 0.5},
    "adam": {},
    "adamw": {"beta1": 0.8},
    "adamax": {},
    "nadam": {"decay_biases_and_norms": False},
    "radam": {},
    "muon": {},
    "lion": {},
}
SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {},
    "piecewise": {"multipliers": {"2": 0.5, "4": 0.1}},
    "step": {"every": 1, "factor": 0.5},
    "multi_step": {"milestones": [1, 2], "factor": 0.5},
    "exponential": {},
    "inverse": {},
    "inverse_sqrt": {},
    "polynomial": {"power": 2.0},
    "sigmoid": {"center": 2.0},
    "plateau": {"patience": 0, "factor": 0.5, "threshold": 0.9},
    "cosine": {"final_factor": 0.01},
    "cosine_restarts": {"period": 1, "growth": 2},
    "one_cycle": {"peak_at": 0.4},
    "triangular": {"period": 3.0},
    "warmup_stable_decay": {"warmup": 0.5, "decay": 0.5},
    "warmup": {"epochs": 3.0, "shape": "exponential", "then": {"kind": "one_cycle"}},
}
MUTATIONS = ("lr", "momentum", "averages", "weight_decay", "schedule")
MOMENTA, AVERAGES = ("momentum", "beta1"), ("beta2", "rho", "alpha")
"""Fields that the schedule's momentum factor multiplies, and those of second moments."""


def kinds(union: Any) -> set[str]:
    return {member.model_fields["kind"].default for member in members(union)}


def make_trial(optimizer: str, schedule: str, /, **changes: Any) -> Trial:
    settings: dict[str, Any] = {
        "dataset": {"kind": "digits"},
        "model": {"kind": "mlp", "widths": [3]},
        "loss": {"kind": "cross_entropy"},
        "optimizer": {"kind": optimizer, "lr": 0.01, "weight_decay": 0.02} | OPTIMIZERS[optimizer],
        "schedule": {"kind": schedule} | SCHEDULES[schedule],
        "batch_size": 8,
        "epochs": EPOCHS,
    }
    settings["optimizer"] |= changes.pop("optimizer", {})
    return Trial.model_validate_json(json.dumps(settings | changes))


def make_data() -> Data:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(8 * STEPS, 4, generator=generator)
    split = Split(inputs, inputs[:, :3].argmax(1))
    return Data(split, split, split, Task("classification", (4,), 3))


DATA = make_data()


def make_trainer(trial: Trial) -> Trainer:
    return Trainer(trial, data=DATA)


Donate = Callable[[str, str], tuple[Path, list[float]]]


@pytest.fixture(scope="module")
def donate(tmp_path_factory: pytest.TempPathFactory) -> Donate:
    """The checkpoint and the scores of a donor, trained once for each optimizer and schedule."""
    donors: dict[tuple[str, str], tuple[Path, list[float]]] = {}

    def donor(optimizer: str, schedule: str) -> tuple[Path, list[float]]:
        if (optimizer, schedule) not in donors:
            trainer = make_trainer(make_trial(optimizer, schedule))
            for _ in range(AGE):
                trainer.train_epoch()
            path = tmp_path_factory.mktemp("donor") / "2.pt"
            trainer.save(path)
            donors[optimizer, schedule] = (path, list(trainer.scores))
        return donors[optimizer, schedule]

    return donor


def mutated(optimizer: str, mutation: str) -> dict[str, Any]:
    """The fields of the optimizer that the mutation changes."""
    member = next(m for m in members(Optimizer) if m.model_fields["kind"].default == optimizer)
    names = {"momentum": MOMENTA, "averages": AVERAGES}.get(mutation, (mutation,))
    values = {"lr": 0.3, "weight_decay": 0.003} | dict.fromkeys((*MOMENTA, *AVERAGES), 0.7)
    return {name: values[name] for name in names if name in member.model_fields}


def group_entries(fields: dict[str, Any], factors: Factors) -> dict[str, Any]:
    """What torch's groups must hold under these fields of an optimizer and these factors."""
    entries = dict(fields) | {"lr": fields["lr"] * factors.lr}
    if "momentum" in fields:
        entries["momentum"] = fields["momentum"] * factors.momentum
    if "beta1" in fields:
        entries["betas"] = (fields["beta1"] * factors.momentum, fields["beta2"])
    return entries


def test_every_optimizer_and_schedule_is_covered() -> None:
    assert OPTIMIZERS.keys() == kinds(Optimizer)
    assert SCHEDULES.keys() == kinds(Schedule)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    ("optimizer", "mutation"),
    [
        (optimizer, mutation)
        for optimizer in OPTIMIZERS
        for mutation in MUTATIONS
        if mutated(optimizer, mutation) or mutation == "schedule"
    ],
)
def test_changed_rates_are_in_force_from_the_next_step_on(
    donate: Donate, optimizer: str, schedule: str, mutation: str
) -> None:
    donors_own = "constant" if mutation == "schedule" and schedule != "constant" else schedule
    path, scores = donate(optimizer, donors_own)
    trial = make_trial(optimizer, schedule, optimizer=mutated(optimizer, mutation), seed=5)
    copy = make_trainer(trial)
    copy.load(path)
    applied: list[list[dict[str, Any]]] = []
    copy.optimizer.register_step_pre_hook(
        lambda optimizer, *_: applied.append([dict(group) for group in optimizer.param_groups])
    )
    report = copy.train_epoch()
    assert len(applied) == STEPS
    for index, groups in enumerate(applied):
        epoch, step = AGE + index / STEPS, AGE * STEPS + index
        progress = Progress(epoch, step, EPOCHS, STEPS, trial.optimizer.lr)
        factors = trial.schedule.factors(progress, scores)
        expected = group_entries(trial.optimizer.model_dump(), factors)
        for group in groups:
            is_flat = all(parameter.ndim < 2 for parameter in group["params"])
            wanted = expected | ({"weight_decay": 0.0} if is_flat else {})
            assert {key: group[key] for key in wanted.keys() & group.keys()} == {
                key: wanted[key] for key in wanted.keys() & group.keys()
            }
        assert all(any(name in group for group in groups) for name in ("lr", "weight_decay"))
    declared = {path: value for path, value in leaves(trial).items() if is_mutable(trial, path)}
    assert report.values_in_force == declared


def state(trainer: Trainer) -> dict[str, Tensor]:
    """Every tensor of the model and the optimizer by name."""
    buffers = trainer.optimizer.state_dict()["state"]
    return dict(trainer.model.state_dict()) | {
        f"{number} {name}": torch.as_tensor(value)
        for number, entries in buffers.items()
        for name, value in entries.items()
        if value is not None
    }


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [("sgd", schedule) for schedule in SCHEDULES] + [(other, "one_cycle") for other in OPTIMIZERS],
)
def test_two_and_two_epochs_are_four(tmp_path: Path, optimizer: str, schedule: str) -> None:
    trial = make_trial(optimizer, schedule)
    through, first, second = (make_trainer(trial) for _ in range(3))
    expected = [through.train_epoch() for _ in range(4)][2:]
    for _ in range(2):
        first.train_epoch()
    first.save(tmp_path / "2.pt")
    second.load(tmp_path / "2.pt")
    resumed = [second.train_epoch() for _ in range(2)]
    for left, right in zip(resumed, expected, strict=True):
        assert left.values_in_force == right.values_in_force
        for name in ("train_loss", "val_loss", "lr", "grad_norm", "update_ratio"):
            assert left.metrics[name] == right.metrics[name]
    assert state(second).keys() == state(through).keys()
    assert all(torch.equal(state(second)[name], value) for name, value in state(through).items())


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("decays", [False, True])
def test_a_checkpoint_does_not_depend_on_the_groups(
    tmp_path: Path, optimizer: str, decays: bool
) -> None:
    donor, copy = (
        make_trainer(make_trial(optimizer, "constant", optimizer={"decay_biases_and_norms": which}))
        for which in (not decays, decays)
    )
    donor.train_epoch()
    donor.save(tmp_path / "1.pt")
    copy.load(tmp_path / "1.pt")
    for theirs, own in zip(donor.model.parameters(), copy.model.parameters(), strict=True):
        left, right = donor.optimizer.state[theirs], copy.optimizer.state[own]
        assert left.keys() == right.keys() != set()
        assert all(
            torch.equal(torch.as_tensor(left[key]), torch.as_tensor(right[key])) for key in left
        )
    copy.train_epoch()
