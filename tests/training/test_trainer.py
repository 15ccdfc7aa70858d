import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from raytune_pipe.base import TrialError
from raytune_pipe.components.schedules_progress import Progress
from raytune_pipe.components.task import Data, Split, Task
from raytune_pipe.training.seeding import data_order, seed_generators
from raytune_pipe.training.trainer import EpochReport, Trainer
from raytune_pipe.trial import Trial, is_mutable, leaves
from raytune_pipe.variants import put, to_plain, to_trial

SAMPLES = 50
TIMES = {"epoch_s", "samples_per_s"}
MLP = {"kind": "mlp", "widths": [8], "dropout": 0.25}
RESNET = {"kind": "resnet", "width": 2, "dropout": 0.1}
SGD = {"kind": "sgd", "lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 1e-3}
ADAMW = {"kind": "adamw", "lr": 0.01, "beta1": 0.8, "beta2": 0.95, "eps": 1e-7}
OPTIMIZERS = [SGD, ADAMW]
COSINE = {"kind": "cosine", "final_factor": 0.01}
SCHEDULES: list[dict[str, Any]] = [
    {"kind": "constant"},
    COSINE,
    {"kind": "piecewise", "multipliers": {1: 0.5, 2: 0.25}},
    {"kind": "piecewise", "rates": {0: 0.03, 9: 0.01}, "unit": "step"},
    {"kind": "plateau", "patience": 0, "factor": 0.5, "threshold": 0.9},
    {"kind": "warmup", "epochs": 2.5, "then": COSINE},
]


def make_trial(**fields: Any) -> Trial:
    settings: dict[str, Any] = {
        "dataset": {"kind": "digits"},
        "model": MLP,
        "loss": {"kind": "cross_entropy", "label_smoothing": 0.1},
        "optimizer": SGD,
        "regularizers": {"l1": {"weight": 1e-4}, "clip_norm": {"max_norm": 2.0}},
        "batch_size": 16,
        "epochs": 4,
    }
    return Trial.model_validate_json(json.dumps(settings | fields))


def make_data(
    samples: int = SAMPLES, metrics: dict[str, Callable[[Tensor, Tensor], Any]] | None = None
) -> Data:
    generator = torch.Generator().manual_seed(1)

    def split(size: int) -> Split:
        inputs = torch.randn(size, 1, 4, 4, generator=generator)
        return Split(inputs, inputs.flatten(1)[:, :3].argmax(1))

    task = Task("classification", (1, 4, 4), 3, metrics or {})
    return Data(split(samples), split(30), split(20), task)


def make_trainer(trial: Trial, data: Data | None = None) -> Trainer:
    return Trainer(trial, data=data or make_data())


def train(trainer: Trainer, epochs: int) -> list[EpochReport]:
    return [trainer.train_epoch() for _ in range(epochs)]


def untimed(report: EpochReport) -> dict[str, object]:
    metrics = {name: value for name, value in report.metrics.items() if name not in TIMES}
    return vars(report) | {"metrics": metrics, "time_s": None}


def state(trainer: Trainer) -> dict[str, Tensor]:
    """Every tensor of the model and the optimizer by name."""
    buffers = {
        f"{number} {name}": tensor
        for number, state in trainer.optimizer.state_dict()["state"].items()
        for name, tensor in state.items()
    }
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()} | buffers


def assert_same_state(left: Trainer, right: Trainer) -> None:
    left_state, right_state = state(left), state(right)
    assert left_state.keys() == right_state.keys()
    assert all(torch.equal(left_state[name], right_state[name]) for name in left_state)


def label(fields: dict[str, Any]) -> str:
    return "-".join([fields["kind"], *(str(fields[key]) for key in ("unit",) if key in fields)])


@pytest.mark.parametrize("model", [MLP, RESNET], ids=label)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=label)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=label)
def test_two_and_two_epochs_are_four(
    tmp_path: Path, optimizer: dict[str, Any], schedule: dict[str, Any], model: dict[str, Any]
) -> None:
    trial = make_trial(optimizer=optimizer, schedule=schedule, model=model)
    through = make_trainer(trial)
    expected = train(through, 4)
    first = make_trainer(trial)
    train(first, 2)
    first.save(tmp_path / "2.pt")
    second = make_trainer(trial)
    train(second, 1)  # what it did before the load must leave no trace
    second.load(tmp_path / "2.pt")
    resumed = train(second, 2)
    assert [untimed(report) for report in resumed] == [untimed(report) for report in expected[2:]]
    assert_same_state(second, through)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=label)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=label)
def test_an_exploit_applies_its_own_rates_from_the_next_step_on(
    tmp_path: Path, optimizer: dict[str, Any], schedule: dict[str, Any]
) -> None:
    donor = make_trainer(make_trial(optimizer=optimizer, schedule=schedule))
    train(donor, 2)
    donor.save(tmp_path / "2.pt")
    changed = {"lr": 0.2, "weight_decay": 0.03}
    trial = make_trial(optimizer=optimizer | changed, schedule=schedule, batch_size=10, seed=5)
    copy = make_trainer(trial)
    copy.load(tmp_path / "2.pt")
    assert_same_state(copy, donor)
    applied: list[tuple[float, float]] = []
    copy.optimizer.register_step_pre_hook(
        lambda optimizer, *_: applied.append(
            (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["weight_decay"])
        )
    )
    scores, step = list(donor.scores), donor.step
    report = copy.train_epoch()
    assert len(applied) == 5
    for index, rates in enumerate(applied):
        progress = Progress(2 + index / 5, step + index, 4, 5, 0.2)
        assert rates == (0.2 * trial.schedule.factors(progress, scores).lr, 0.03)
    assert report.metrics["lr"] == applied[-1][0]
    assert report.values_in_force["optimizer.lr"] == 0.2
    assert report.values_in_force["batch_size"] == 10
    assert (report.epoch, report.step) == (3.0, step + 5)


def test_equals_a_loop_written_by_hand() -> None:
    trial = make_trial(schedule=COSINE, regularizers={"clip_norm": {"max_norm": 0.5}})
    trainer, twin, data = make_trainer(trial), make_trainer(trial), make_data()
    reports = train(trainer, 3)
    model = twin.model
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.05, momentum=0.8, nesterov=True, weight_decay=1e-3, fused=True
    )
    for epoch in range(3):
        model.train()
        seed_generators(trial.seed, "epoch", epoch)
        losses, norm = [], torch.zeros(())
        for index, batch in enumerate(torch.split(data_order(SAMPLES, trial.seed, epoch), 16)):
            decay = (1 + math.cos(math.pi * (epoch + index / 4) / 4)) / 2
            optimizer.param_groups[0]["lr"] = 0.05 * (0.01 + 0.99 * decay)
            loss = functional.cross_entropy(
                model(data.train.inputs[batch]), data.train.targets[batch], label_smoothing=0.1
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch's
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5, foreach=True)
            optimizer.step()
            losses += [loss.item()] * len(batch)
        metrics = reports[epoch].metrics
        assert metrics["train_loss"] == pytest.approx(sum(losses) / SAMPLES, rel=1e-6)
        assert metrics["grad_norm"] == norm.item()
    expected = model.state_dict()
    actual = trainer.model.state_dict()
    assert all(torch.equal(actual[name], expected[name]) for name in expected)


@pytest.mark.parametrize("model", [MLP, RESNET], ids=label)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=label)
def test_all_mutable_values_are_in_force(optimizer: dict[str, Any], model: dict[str, Any]) -> None:
    trial = make_trial(optimizer=optimizer, model=model, schedule=COSINE)
    declared = {path: value for path, value in leaves(trial).items() if is_mutable(trial, path)}
    reports = train(make_trainer(trial), 2)
    assert [report.values_in_force for report in reports] == [declared] * 2
    assert {"batch_size", "model.dropout", "regularizers.l1.weight"} <= declared.keys()


def test_values_in_force_are_the_live_ones() -> None:
    trainer = make_trainer(make_trial())

    def meddle(optimizer: torch.optim.Optimizer, *_: object) -> None:
        optimizer.param_groups[0]["weight_decay"] = 0.5

    trainer.optimizer.register_step_pre_hook(meddle)
    assert trainer.train_epoch().values_in_force["optimizer.weight_decay"] == 0.5


def test_a_batch_above_the_training_set_takes_all_of_it() -> None:
    assert SAMPLES < 64
    report = make_trainer(make_trial(batch_size=64)).train_epoch()
    assert report.values_in_force["batch_size"] == 64
    assert report.step == 1


@pytest.mark.parametrize(("model", "steps"), [(MLP, 4), (RESNET, 3)], ids=["mlp", "batch norm"])
def test_a_last_batch_of_one_is_dropped_for_batch_norm_alone(
    model: dict[str, Any], steps: int
) -> None:
    report = make_trainer(make_trial(model=model), make_data(49)).train_epoch()
    assert report.step == steps
    assert math.isfinite(report.metrics["train_loss"])


def test_a_diverged_trial_reports_nan_and_goes_on() -> None:
    calls: list[Tensor] = []

    def metric(outputs: Tensor, _: Tensor) -> float:
        calls.append(outputs)
        return 1.0

    trial = make_trial(optimizer={"kind": "sgd", "lr": 1e30}, regularizers={})
    trainer = make_trainer(trial, make_data(metrics={"mine": metric}))
    reports = train(trainer, 2)
    for report in reports:
        assert report.verdict == "not_a_number"
        names = ("val_loss", "val_accuracy", "mine")
        assert all(math.isnan(report.metrics[name]) for name in names)
    assert reports[0].metrics.keys() == reports[1].metrics.keys()
    assert not calls


def test_a_stop_rule_speaks() -> None:
    trial = make_trial(stoppers={"patience": {"epochs": 1, "min_improvement": 100.0}})
    verdicts = [report.verdict for report in train(make_trainer(trial), 2)]
    assert verdicts == [None, "patience"]


def test_metrics_of_a_report() -> None:
    data = make_data(metrics={"largest": lambda outputs, _: outputs.max()})
    trainer = make_trainer(make_trial(epochs=2), data)
    report, last = train(trainer, 2)
    assert report.metrics.keys() == {
        *("train_loss", "val_loss", "val_accuracy", "lr", "grad_norm", "update_ratio"),
        *("samples_per_s", "epoch_s", "largest"),
    }
    assert all(type(value) is float for value in report.metrics.values())
    assert 0 < report.metrics["update_ratio"] < 1
    assert trainer.done
    assert last.time_s == report.time_s + last.metrics["epoch_s"]
    assert trainer.evaluate("validation")["val_loss"] == last.metrics["val_loss"]
    assert trainer.evaluate("test").keys() == {"test_loss", "test_accuracy", "largest"}


def test_trials_in_one_process_do_not_touch_each_other() -> None:
    trials = [make_trial(seed=seed, model=MLP | {"dropout": seed / 4}) for seed in (1, 2)]
    alone = [[untimed(report) for report in train(make_trainer(trial), 3)] for trial in trials]
    trainers = [make_trainer(trial) for trial in trials]
    pairs = [[untimed(trainer.train_epoch()) for trainer in trainers] for _ in range(3)]
    assert [list(reports) for reports in zip(*pairs, strict=True)] == alone


def test_the_seed_fixes_weights_order_and_dropout() -> None:
    def weights(seed: int) -> Tensor:
        trainer = make_trainer(make_trial(seed=seed))
        trainer.train_epoch()
        return torch.cat([weight.detach().flatten() for weight in trainer.model.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_bfloat16_keeps_weights_and_metrics_in_float32() -> None:
    trainer = make_trainer(make_trial(precision="bfloat16"))
    before, *_, last = train(trainer, 4)
    assert last.metrics["train_loss"] < before.metrics["train_loss"]
    assert {weight.dtype for weight in trainer.model.parameters()} == {torch.float32}
    exact = make_trainer(make_trial()).train_epoch()
    assert exact.metrics["train_loss"] != before.metrics["train_loss"]
    assert exact.metrics["train_loss"] == pytest.approx(before.metrics["train_loss"], rel=0.01)


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"model": {"kind": "mlp", "widths": [9]}}, "own model shape"), ({"optimizer": ADAMW}, "sgd")],
)
def test_a_checkpoint_that_does_not_fit_changes_nothing(
    tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    donor = make_trainer(make_trial())
    train(donor, 1)
    donor.save(tmp_path / "1.pt")
    trainer, twin = (make_trainer(make_trial(**fields)) for _ in range(2))
    with pytest.raises(TrialError, match=message):
        trainer.load(tmp_path / "1.pt")
    assert_same_state(trainer, twin)
    assert (trainer.epoch, trainer.step, trainer.scores) == (0, 0, [])


def test_regression() -> None:
    inputs = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    split = Split(inputs, inputs.sum(1, keepdim=True))
    data = Data(split, split, split, Task("regression", (3,), 1))
    sgd = {"kind": "sgd", "lr": 0.01}
    trainer = make_trainer(make_trial(loss={"kind": "mse"}, optimizer=sgd), data)
    first, *_, last = train(trainer, 4)
    assert last.metrics["val_loss"] < first.metrics["val_loss"]
    assert "val_accuracy" not in last.metrics


def test_digits_are_learned() -> None:
    trial = make_trial(model={"kind": "mlp"}, regularizers={}, schedule={"kind": "cosine"})
    report = train(Trainer(trial), 4)[-1]
    assert report.metrics["val_accuracy"] > 0.93


SEVERAL = {
    "kind": "weighted_sum",
    "terms": {
        "class": {"loss": {"kind": "cross_entropy"}, "weight": 0.5},
        "size": {"loss": {"kind": "huber"}},
    },
}


def two_tasks() -> Data:
    """A class of three, and a number."""
    data, parts = make_data(), {}
    for name in ("train", "validation", "test"):
        inputs, classes = getattr(data, name)
        targets = torch.stack([classes.float(), inputs.flatten(1).norm(dim=1)], dim=1)
        parts[name] = Split(inputs, targets)
    tasks = {
        "class": Task("classification", (1, 4, 4), 3),
        "size": Task("regression", (1, 4, 4), 1),
    }
    return Data(**parts, task=Task("several", (1, 4, 4), 4, parts=tasks))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("loss.terms.class.weight", 0.9),
        ("loss.terms.class.loss.label_smoothing", 0.3),
        ("loss.terms.size.loss.delta", 0.2),
    ],
)
def test_a_changed_term_is_in_force_after_an_exploit(
    tmp_path: Path, path: str, value: float
) -> None:
    trial = make_trial(loss=SEVERAL)
    changed = to_trial(put(to_plain(trial), path, value))
    donor, unchanged, copy = (Trainer(each, data=two_tasks()) for each in (trial, trial, changed))
    donor.train_epoch()
    donor.save(tmp_path / "1.pt")
    unchanged.load(tmp_path / "1.pt")
    copy.load(tmp_path / "1.pt")
    before, after = unchanged.train_epoch(), copy.train_epoch()
    assert after.values_in_force == before.values_in_force | {path: value}
    assert after.metrics["val_loss"] != before.metrics["val_loss"]
    terms = after.metrics["train_class"] + after.metrics["train_size"]
    penalty = trial.regularizers.l1.penalty(copy.model).item()  # type: ignore[union-attr]  # it is on
    assert after.metrics["train_loss"] == pytest.approx(terms + penalty, rel=1e-2)


def test_the_centres_go_on_from_a_checkpoint(tmp_path: Path) -> None:
    model = {"kind": "imported", "target": "tests.training.ranks:Headed"}
    trial = make_trial(loss={"kind": "centre", "weight": 0.5}, model=model)
    through, resumed = make_trainer(trial), make_trainer(trial)
    first = train(through, 1)
    through.save(tmp_path / "1.pt")
    saved = through.loss.get_buffer("centres").clone()
    expected = train(through, 1)
    resumed.load(tmp_path / "1.pt")
    assert torch.equal(resumed.loss.get_buffer("centres"), saved)
    assert [untimed(report) for report in train(resumed, 1)] == [untimed(one) for one in expected]
    assert torch.equal(resumed.loss.get_buffer("centres"), through.loss.get_buffer("centres"))
    assert first[0].metrics["train_centre"] > 0


@pytest.mark.parametrize(("weight", "is_told"), [(0.5, False), (1e-4, True)])
def test_terms_far_apart_are_told_after_the_first_epoch(weight: float, is_told: bool) -> None:
    loss = json.loads(json.dumps(SEVERAL))
    loss["terms"]["class"]["weight"] = weight
    reports = train(Trainer(make_trial(loss=loss), data=two_tasks()), 2)
    assert [set(report.warnings) - {"more_parameters_than_samples"} for report in reports] == [
        {"loss_terms_apart"} if is_told else set(),
        set(),
    ]


@pytest.mark.parametrize(("width", "is_told"), [(1, False), (50, True)])
def test_a_model_larger_than_its_data_is_told_after_the_first_epoch(
    width: int, is_told: bool
) -> None:
    trial = make_trial(model={"kind": "mlp", "widths": [width]})
    reports = train(Trainer(trial, data=make_data()), 2)
    told = [report.warnings.get("more_parameters_than_samples") for report in reports]
    assert (told[0] is not None, told[1]) == (is_told, None)
