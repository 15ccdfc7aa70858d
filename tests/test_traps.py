from typing import Any, get_args

import pytest

from raytune_pipe.experiment import Experiment, TrapCode
from raytune_pipe.traps import traps
from tests.test_experiment import experiment

RATE = {"kind": "log_uniform", "low": 1e-3, "high": 0.1}
UNIFORM = {"kind": "uniform", "low": 0.0, "high": 0.5}
NORMED = {"kind": "mlp", "widths": [8, 8], "norm": "batch"}
CNN = {"kind": "cnn", "filters": [4, 4], "spatial_dropout": 0.2}


def make(trial: dict[str, Any] | None = None, **fields: Any) -> Experiment:
    return experiment(fields.pop("search_space", {}), trial=trial or {}, **fields)


CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "uniform rate": (
        {"search_space": {"optimizer.lr": {"kind": "uniform", "low": 1e-4, "high": 0.1}}},
        "linear_learning_rate",
        "search_space/optimizer.lr",
    ),
    "grid": (
        {
            "search_space": {
                path: {"kind": "choice", "options": options}
                for path, options in {
                    "optimizer.lr": [0.01, 0.1],
                    "optimizer.momentum": [0.8, 0.9],
                    "batch_size": [32, 64],
                    "model.dropout": [0.0, 0.2],
                }.items()
            },
            "searcher": {"kind": "grid"},
            "trials": 16,
        },
        "grid_of_many",
        "searcher/kind",
    ),
    "range": (
        {"search_space": {"optimizer.lr": {"kind": "log_uniform", "low": 1e-9, "high": 1e-8}}},
        "outside_advice",
        "search_space/optimizer.lr",
    ),
    "lists": (
        {"search_space": {"model.widths": {"kind": "choice", "options": [[8], [16]]}}},
        "outside_advice",
        "search_space/model.widths",
    ),
    "dropout between norms": (
        {"trial": {"model": NORMED | {"dropout": 0.2}}},
        "dropout_before_batch_norm",
        "trial/model/dropout",
    ),
    "dropout that is searched": (
        {
            "trial": {"model": NORMED},
            "search_space": {"model.dropout": {"kind": "uniform", "low": 0.0, "high": 0.5}},
        },
        "dropout_before_batch_norm",
        "search_space/model.dropout",
    ),
    "a norm that is searched": (
        {
            "trial": {"model": NORMED | {"norm": "none", "input_dropout": 0.1}},
            "search_space": {"model.norm": {"kind": "choice", "options": ["none", "batch"]}},
        },
        "dropout_before_batch_norm",
        "trial/model/input_dropout",
    ),
    "spatial dropout": (
        {"trial": {"model": CNN}},
        "dropout_before_batch_norm",
        "trial/model/spatial_dropout",
    ),
    "an option of the model": (
        {"search_space": {"model": {"kind": "choice", "options": [{"kind": "mlp"}, CNN]}}},
        "dropout_before_batch_norm",
        "search_space/model",
    ),
    "batch": (
        {"trial": {"model": NORMED, "batch_size": 4}},
        "tiny_batch_norm",
        "trial/batch_size",
    ),
    "batch that is searched": (
        {
            "trial": {"model": {"kind": "resnet"}},
            "search_space": {"batch_size": {"kind": "choice", "options": [2, 64]}},
        },
        "tiny_batch_norm",
        "search_space/batch_size",
    ),
    "micro-batches": (
        {"trial": {"model": NORMED, "batch_size": 32, "micro_batches": 8}},
        "tiny_batch_norm",
        "trial/batch_size",
    ),
    "zeros": (
        {"trial": {"initializer": {"kind": "zeros"}}},
        "zero_initialization",
        "trial/initializer/kind",
    ),
    "sigmoid": (
        {"trial": {"model": {"kind": "mlp", "widths": [8, 8, 8], "activation": "sigmoid"}}},
        "deep_sigmoid",
        "trial/model/activation",
    ),
    "muon": (
        {"trial": {"model": {"kind": "resnet"}, "optimizer": {"kind": "muon"}}},
        "muon_without_matrices",
        "trial/optimizer/kind",
    ),
    "muon that is searched": (
        {
            "search_space": {
                "model": {"kind": "choice", "options": [{"kind": "mlp"}, {"kind": "cnn"}]},
                "optimizer": {"kind": "choice", "options": [{"kind": "sgd"}, {"kind": "muon"}]},
            }
        },
        "muon_without_matrices",
        "search_space/optimizer",
    ),
    "muon where its choice does not apply": (
        {
            "trial": {"optimizer": {"kind": "muon"}},
            "search_space": {
                "model": {"kind": "choice", "options": [{"kind": "mlp"}, {"kind": "cnn"}]},
                "optimizer": {
                    "kind": "choice",
                    "options": [{"kind": "sgd"}, {"kind": "adamw"}],
                    "when": {"model.kind": ["mlp"]},
                },
            },
        },
        "muon_without_matrices",
        "trial/optimizer/kind",
    ),
    "an option's own dropout where none is searched": (
        {
            "search_space": {
                "model": {"kind": "choice", "options": [NORMED | {"dropout": 0.5}, CNN]},
                "model.dropout": UNIFORM | {"when": {"model.kind": ["cnn"]}},
            }
        },
        "dropout_before_batch_norm",
        "search_space/model",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_trap_is_told_with_its_place_and_can_be_silenced(name: str) -> None:
    fields, code, place = CASES[name]
    trapped = make(**fields)
    (trap,) = traps(trapped)
    assert (trap.code, "/".join(map(str, trap.path))) == (code, place)
    assert ";" in trap.message  # the reason; the mend
    assert not traps(make(**fields, ignore=[code]))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"search_space": {"optimizer.lr": RATE}},
        {"search_space": {"optimizer.lr": {"kind": "uniform", "low": 0.01, "high": 0.05}}},
        {"trial": {"model": NORMED, "batch_size": 32}},
        {"trial": {"model": NORMED | {"norm": "layer", "dropout": 0.2}, "batch_size": 2}},
        {"trial": {"model": {"kind": "resnet", "dropout": 0.3}}},
        {
            "trial": {"model": NORMED},
            "search_space": {
                "model.norm": {"kind": "choice", "options": ["none", "batch"]},
                "model.dropout": UNIFORM | {"when": {"model.norm": ["none"]}},
            },
        },
        {"trial": {"model": CNN | {"spatial_dropout": 0.0, "dropout": 0.5}}},
        {"trial": {"model": NORMED | {"dropout": [0.0, 0.5]}}},  # no norm comes behind the last
        {"trial": {"model": CNN | {"spatial_dropout": [0.0, 0.5]}}},
        {
            "search_space": {
                "model": {"kind": "choice", "options": [NORMED, CNN | {"norm": "group"}]},
                "model.spatial_dropout": UNIFORM,  # which the normed one has not
            }
        },
        {"trial": {"optimizer": {"kind": "muon"}}},
        {
            "search_space": {
                "model": {"kind": "choice", "options": [{"kind": "mlp"}, {"kind": "cnn"}]},
                "optimizer": {
                    "kind": "choice",
                    "options": [{"kind": "sgd"}, {"kind": "muon"}],
                    "when": {"model.kind": ["mlp"]},
                },
            }
        },
        {"trial": {"model": {"kind": "mlp", "widths": [8, 8], "activation": "sigmoid"}}},
    ],
)
def test_what_is_no_trap_is_not_told(fields: dict[str, Any]) -> None:
    assert traps(make(**fields)) == []


def test_every_code_is_tried_here() -> None:
    by_data = {"more_parameters_than_samples", "data_not_seen", "loss_terms_apart"}
    assert {code for _, code, _ in CASES.values()} | by_data == set(get_args(TrapCode))
