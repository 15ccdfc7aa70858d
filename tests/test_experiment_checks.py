"""What the parts of an experiment have to hold between them, and where a breach is told."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from raytune_pipe.experiment import Experiment

LR = {"kind": "log_uniform", "low": 1e-3, "high": 1.0}
SGD_OR_ADAMW = {
    "kind": "choice",
    "options": [{"kind": "sgd", "nesterov": True}, {"kind": "adamw", "beta2": 0.99}],
}
TRIAL = {
    "dataset": {"kind": "digits"},
    "model": {"kind": "mlp"},
    "loss": {"kind": "cross_entropy"},
    "optimizer": {"kind": "sgd", "lr": 0.05},
    "epochs": 8,
}


def experiment(search_space: dict[str, Any], **fields: Any) -> Experiment:
    trial = TRIAL | fields.pop("trial", {})
    plain = {"name": "x", "trials": 4, "trial": trial, "search_space": search_space}
    return Experiment.model_validate_json(json.dumps(plain | fields))


def points(*configurations: dict[str, Any], **then: Any) -> dict[str, Any]:
    return {"kind": "points", "configurations": list(configurations), **then}


def problems(search_space: dict[str, Any], **fields: Any) -> dict[str, str]:
    """Messages by dotted path."""
    with pytest.raises(ValidationError) as caught:
        experiment(search_space, **fields)
    return {".".join(map(str, each["loc"])): each["msg"] for each in caught.value.errors()}


BATCH = {"kind": "choice", "options": [16, 32]}
FLAG = {"kind": "choice", "options": [True, False]}
SHARE = {"kind": "uniform", "low": 0, "high": 0.9}
PBT = {"kind": "pbt", "interval_epochs": 2}
ETA_2 = {"kind": "asha", "reduction_factor": 2}
NETS = {"kind": "imported", "target": "nets:Net", "args": {"width": 8}}


@pytest.mark.parametrize(
    ("search_space", "fields", "path", "message"),
    [
        ({"optimizer.lx": LR}, {}, "search_space.optimizer.lx", "did you mean 'optimizer.lr'?"),
        ({"trial.optimizer.lr": LR}, {}, "search_space.trial.optimizer.lr", "'optimizer.lr'?"),
        (
            {"regularizers.l1.weight": LR},
            {},
            "search_space.regularizers.l1.weight",
            "regularizers.l1 is off; add regularizers: {l1: {}} to the trial",
        ),
        (
            {"optimizer": SGD_OR_ADAMW, "optimizer.damping": LR},
            {},
            "search_space.optimizer.damping",
            "a hyperparameter of an option of optimizer",
        ),
        (
            {"optimizer.lr": {**LR, "when": {"model.norm": ["batch"]}}},
            {},
            "search_space.optimizer.lr.when.model.norm",
            "model.norm is not searched; search it, or leave the condition out",
        ),
        (
            {"optimizer": SGD_OR_ADAMW, "batch_size": {**BATCH, "when": {"optimizer": ["sgd"]}}},
            {},
            "search_space.batch_size.when.optimizer",
            "must be optimizer.kind, the name of that choice",
        ),
        (
            {"optimizer.lr": LR, "batch_size": {**BATCH, "when": {"optimizer.lr": [0.1]}}},
            {},
            "search_space.batch_size.when.optimizer.lr",
            "must be a choice, so that its values can be named, but is log_uniform",
        ),
        (
            {"optimizer.lr": {**LR, "when": {"batch_size": [16, 48]}}, "batch_size": BATCH},
            {},
            "search_space.optimizer.lr.when.batch_size.1",
            "must be a value of batch_size (16, 32), but got 48",
        ),
        (
            {
                "optimizer": SGD_OR_ADAMW,
                "optimizer.momentum": {**SHARE, "when": {"optimizer.kind": ["adamw"]}},
            },
            {},
            "search_space.optimizer.momentum.when.optimizer.kind",
            "must be an option with optimizer.momentum (sgd), but got adamw",
        ),
        (
            {"batch_size": {**BATCH, "when": {"batch_size": [16]}}},
            {},
            "search_space.batch_size.when",
            "must not depend on itself, but does: batch_size -> batch_size",
        ),
        (
            {
                "optimizer.nesterov": {**FLAG, "when": {"batch_size": [16]}},
                "optimizer.momentum": {
                    **SHARE,
                    "high": 1.5,
                    "when": {"optimizer.nesterov": [False]},
                },
                "batch_size": BATCH,
            },
            {},
            "search_space.optimizer.momentum.high",
            "must be below 1, but got 1.5",
        ),
        (
            {"optimizer.lr": LR},
            {"searcher": {"kind": "tpe"}, "scheduler": PBT},
            "searcher",
            "must draw all configurations beforehand under pbt: its trials start together",
        ),
        (
            {"optimizer.lr": LR},
            {"searcher": points({"optimizer.lx": 0.1})},
            "searcher.configurations.0.optimizer.lx",
            "must be a searched hyperparameter (optimizer.lr), but got 'optimizer.lx'; did you",
        ),
        (
            {"optimizer.lr": LR},
            {"searcher": points({}, {"optimizer.lr": 2})},
            "searcher.configurations.1.optimizer.lr",
            "must lie in the search space of optimizer.lr, but got 2",
        ),
        (
            {"optimizer.lr": LR},
            {"searcher": points({"optimizer.lr": {"a": 1}})},
            "searcher.configurations.0.optimizer.lr",
            "must lie in the search space of optimizer.lr, but got",
        ),
        (
            {"optimizer": SGD_OR_ADAMW},
            {"searcher": points({"optimizer.kind": {"kind": "sgd", "lr": 0.3}})},
            "searcher.configurations.0.optimizer.kind",
            "but got another lr; give what is searched of it by its own name, such as optimizer.lr",
        ),
        (
            {"optimizer": SGD_OR_ADAMW, "optimizer.momentum": {**SHARE, "low": 0.5}},
            {"searcher": points({"optimizer.kind": "adamw", "optimizer.momentum": 0.5})},
            "searcher.configurations.0.optimizer.momentum",
            "must be left out, as optimizer.kind is 'adamw'",
        ),
        (
            {"batch_size": BATCH},
            {"searcher": points({}, then={"kind": "grid"}), "trials": 4},
            "trials",
            "must be the size of the grid, 2, but got 3 for what comes after the given",
        ),
        ({"optimizer.kind": SGD_OR_ADAMW}, {}, "search_space.optimizer.kind", "whole component"),
        (
            {"optimizer": SGD_OR_ADAMW, "optimizer.kind": SGD_OR_ADAMW},
            {},
            "search_space.optimizer.kind",
            "whole component",
        ),
        ({"seed": {"kind": "int_uniform", "low": 0, "high": 9}}, {}, "search_space.seed", "drawn"),
        (
            {"optimizer.momentum": {"kind": "uniform", "low": 0, "high": 1}},
            {},
            "search_space.optimizer.momentum.high",
            "must be below 1, but got 1",
        ),
        (
            {"batch_size": {"kind": "log_uniform", "low": 8, "high": 64}},
            {},
            "search_space.batch_size.kind",
            "must be log_int_uniform, as batch_size is a whole number",
        ),
        (
            {"model.activation": {"kind": "choice", "options": ["relu", "rleu"]}},
            {},
            "search_space.model.activation.options.1",
            "did you mean 'relu'?",
        ),
        (
            {"optimizer": {"kind": "choice", "options": [{"kind": "sgd"}, {"kind": "adm"}]}},
            {},
            "search_space.optimizer.options.1.kind",
            "must be one of sgd, adagrad, adadelta",
        ),
        (
            {"model.widths": {"kind": "choice", "options": [[8], [16, 0]]}},
            {},
            "search_space.model.widths.options.1.1",
            "must be at least 1",
        ),
        (
            {"optimizer.momentum": {"kind": "uniform", "low": 0, "high": 0.9}},
            {"trial": {"optimizer": {"kind": "sgd", "nesterov": True}}},
            "search_space.optimizer.momentum.low",
            "momentum must be above 0 with nesterov",
        ),
        (
            {"optimizer.lr": LR},
            {"trial": {"schedule": {"kind": "piecewise", "rates": {"0": 0.1}}}},
            "trial.schedule.rates",
            "give multipliers of it instead",
        ),
        (
            {
                "optimizer.lr": LR,
                "schedule": {
                    "kind": "choice",
                    "options": [
                        {"kind": "cosine"},
                        {"kind": "warmup", "then": {"kind": "piecewise", "rates": {"0": 0.1}}},
                    ],
                },
            },
            {},
            "search_space.schedule.options.1.then.rates",
            "give multipliers of it instead",
        ),
        ({}, {"scheduler": {"kind": "asha", "grace_epochs": 9}}, "scheduler.grace_epochs", "of 8"),
        (
            {},
            {"scheduler": {"kind": "hyperband", "grace_epochs": 9}},
            "scheduler.grace_epochs",
            "8",
        ),
        (
            {},
            {"scheduler": {"kind": "median", "grace_epochs": 9}},
            "scheduler.grace_epochs",
            "of 8",
        ),
        (
            {},
            {"scheduler": {"kind": "pbt", "interval_epochs": 9}},
            "scheduler.interval_epochs",
            "8 e",
        ),
        ({"optimizer.lr": LR}, {"scheduler": {"kind": "pb2"}, "trials": 1}, "trials", "under pb2"),
        (
            {"model.widths": {"kind": "choice", "options": [[8], [16]]}},
            {"scheduler": {"kind": "pb2"}},
            "search_space.model.widths",
            "as pb2 changes it",
        ),
        ({"optimizer.lr": LR}, {"scheduler": PBT, "trials": 1}, "trials", "at least 2 under pbt"),
        (
            {"model.activation": {"kind": "choice", "options": ["relu", "tanh"]}},
            {"scheduler": PBT},
            "search_space.model.activation",
            "must be able to change while a trial runs",
        ),
        ({"optimizer": SGD_OR_ADAMW}, {"scheduler": PBT}, "search_space.optimizer", "must be able"),
        (
            {"model.args.width": {"kind": "choice", "options": [8, 16]}},
            {"scheduler": PBT, "trial": {"model": NETS}},
            "search_space.model.args.width",
            "must be able",
        ),
        ({}, {"scheduler": {"kind": "asha", "brackets": 3}}, "scheduler.brackets", "at most 2, as"),
        ({}, {"scheduler": {**ETA_2, "brackets": 10**9}}, "scheduler.brackets", "but got 1000000"),
        ({}, {"scheduler": {**ETA_2, "brackets": 4}}, "scheduler.brackets", "raise trial.epochs"),
        (
            {"epochs": {"kind": "int_uniform", "low": 4, "high": 8}},
            {"scheduler": {"kind": "asha"}},
            "search_space.epochs",
            "must stay fixed under asha",
        ),
        (
            {"epochs": {"kind": "int_uniform", "low": 4, "high": 8}},
            {"scheduler": {"kind": "hyperband"}},
            "search_space.epochs",
            "must stay fixed under hyperband",
        ),
        (
            {"optimizer": SGD_OR_ADAMW, "optimizer.momentum": {**LR, "high": 0.9}},
            {"searcher": {"kind": "grid", "points": 3}, "trials": 9},
            "trials",
            "must be the size of the grid, 4, but got 9",
        ),
        ({}, {"objective": {"metric": "val_acc"}}, "objective.metric", "'val_accuracy'?"),
        ({}, {"objective": {"metric": "lr"}}, "objective.metric", "how good a trial is"),
        ({}, {"objective": {"metric": "val_accuracy"}}, "objective.mode", "must be max"),
        (
            {},
            {"objective": {"metric": "val_accuracy"}, "trial": {"loss": {"kind": "mse"}}},
            "objective.metric",
            "must be a metric of regression (train_loss, val_loss)",
        ),
    ],
)
def test_parts_that_do_not_fit_together_are_told_at_their_place(
    search_space: dict[str, Any], fields: dict[str, Any], path: str, message: str
) -> None:
    told = problems(search_space, **fields)
    assert list(told) == [path]
    assert message in told[path]


def test_every_member_of_a_circle_of_conditions_is_told() -> None:
    told = problems(
        {
            "batch_size": {**BATCH, "when": {"optimizer.nesterov": [True]}},
            "optimizer.nesterov": {**FLAG, "when": {"batch_size": [16]}},
        }
    )
    assert set(told) == {"search_space.batch_size.when", "search_space.optimizer.nesterov.when"}
    assert "batch_size -> optimizer.nesterov -> batch_size" in told["search_space.batch_size.when"]


def test_a_bound_need_only_be_valid_where_it_applies() -> None:
    momentum = {**SHARE, "when": {"optimizer.nesterov": [False]}}
    trial = {"optimizer": {"kind": "sgd", "nesterov": True}}
    experiment({"optimizer.nesterov": FLAG, "optimizer.momentum": momentum}, trial=trial)


def test_a_given_option_may_stand_there_whole() -> None:
    whole = points({"optimizer.kind": {"kind": "sgd", "nesterov": True}}, {"optimizer.kind": "sgd"})
    first, second = experiment({"optimizer": SGD_OR_ADAMW}, searcher=whole, trials=2).plan()
    assert first.values == second.values


def test_a_bound_is_tried_where_what_it_depends_on_applies_itself() -> None:
    """Six heads fit into a width of 48 alone, and are searched only there."""
    text = {"dataset": {"kind": "text", "length": 16}, "loss": {"kind": "cross_entropy"}}
    trial = {**text, "model": {"kind": "transformer", "width": 64, "heads": 4}}
    heads = {"kind": "choice", "options": [4, 6], "when": {"model.width": [48]}}
    searched = {
        "model.width": {"kind": "choice", "options": [48, 64]},
        "model.heads": heads,
        "model.dropout": {"kind": "uniform", "low": 0, "high": 0.5, "when": {"model.heads": [6]}},
    }
    experiment(searched, trial=trial)


def test_all_that_does_not_fit_together_is_told_at_once() -> None:
    told = problems(
        {"optimizer.lx": LR, "batch_size": {"kind": "choice", "options": [0, 1.5]}},
        scheduler={"kind": "pbt", "interval_epochs": 20},
        trials=1,
    )
    assert set(told) == {
        "search_space.optimizer.lx",
        "search_space.batch_size.options.0",
        "search_space.batch_size.options.1",
        "scheduler.interval_epochs",
        "trials",
    }


@pytest.mark.parametrize(
    ("epochs", "scheduler"),
    [
        (1, {"kind": "asha"}),  # shortened to its grace: nothing is stopped, on purpose
        (8, {**ETA_2, "brackets": 3}),
        (9, {**ETA_2, "brackets": 4}),
        (9, {**ETA_2, "grace_epochs": 2, "brackets": 3}),
    ],
)
def test_brackets_with_a_rung_below_the_budget_are_taken(
    epochs: int, scheduler: dict[str, Any]
) -> None:
    made = experiment({}, trial={"epochs": epochs}, scheduler=scheduler)
    assert len(made.scheduler.milestones(epochs)) >= scheduler.get("brackets", 0)
