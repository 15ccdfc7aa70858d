"""What `gpus: auto` comes to: the largest trials of a space, and the share that holds them."""

import json
from collections import Counter

import pytest

from raytune_pipe.experiment import Experiment
from raytune_pipe.resources import Resources
from raytune_pipe.training.memory_peak import MemoryPeak
from raytune_pipe.trial import leaves
from raytune_pipe.tuning.gpu_shares import (
    MOST_PER_GPU,
    largest_trials,
    share_for,
    share_of,
    with_share,
)

GIB = 2**30


def experiment(search_space: dict[str, object], **fields: object) -> Experiment:
    trial: dict[str, object] = {
        "dataset": {"kind": "digits"},
        "model": {"kind": "mlp"},
        "loss": {"kind": "cross_entropy"},
        "optimizer": {"kind": "sgd", "lr": 0.1},
        "epochs": 2,
        **fields,
    }
    plain = {"name": "x", "trials": 4, "trial": trial, "search_space": search_space}
    return Experiment.model_validate_json(json.dumps(plain))


def test_without_a_search_space_the_trial_itself_is_the_largest() -> None:
    plain = experiment({})
    assert largest_trials(plain) == [plain.trial]


def test_batch_and_model_are_as_large_as_the_space_allows_and_all_else_is_as_it_was() -> None:
    (largest,) = largest_trials(
        experiment(
            {
                "batch_size": {"kind": "choice", "options": [16, 128, 64]},
                "model.dropout": {"kind": "uniform", "low": 0.0, "high": 0.5},
                "optimizer.lr": {"kind": "log_uniform", "low": 1e-3, "high": 1.0},
            }
        )
    )
    found = leaves(largest)
    assert [found[path] for path in ("batch_size", "model.dropout", "optimizer.lr")] == [
        128,
        0.5,
        0.1,
    ]


def test_each_component_that_is_chosen_from_is_measured() -> None:
    models = [{"kind": "mlp"}, {"kind": "resnet"}]
    optimizers = [{"kind": "sgd"}, {"kind": "adamw"}]
    found = largest_trials(
        experiment(
            {
                "model": {"kind": "choice", "options": models},
                "model.width": {"kind": "choice", "options": [8, 32]},
                "optimizer": {"kind": "choice", "options": optimizers},
            }
        )
    )
    kinds = {(one.model.kind, one.optimizer.kind) for one in found}
    assert kinds == {(m, o) for m in ("mlp", "resnet") for o in ("sgd", "adamw")}
    assert len(found) == 4
    assert {one.model.width for one in found if one.model.kind == "resnet"} == {32}


def test_what_conditions_keep_apart_is_not_measured() -> None:
    """A convolutional net cannot train on a table at all."""
    datasets = [{"kind": "digits"}, {"kind": "wine"}]
    found = largest_trials(
        experiment(
            {
                "model": {"kind": "choice", "options": [{"kind": "mlp"}, {"kind": "cnn"}]},
                "dataset": {"kind": "choice", "options": datasets, "when": {"model.kind": ["mlp"]}},
                "model.widths": {"kind": "choice", "options": [[8], [64]]},
            }
        )
    )
    assert Counter((one.model.kind, one.dataset.kind) for one in found) == {
        ("cnn", "digits"): 1,
        ("mlp", "digits"): 2,
        ("mlp", "wine"): 2,
    }


def test_more_data_in_fewer_parts_takes_the_most() -> None:
    (largest,) = largest_trials(
        experiment(
            {
                "micro_batches": {"kind": "int_uniform", "low": 1, "high": 8},
                "dataset.max_samples": {"kind": "choice", "options": [500, 1000, 100]},
            },
            micro_batches=4,
        )
    )
    assert (largest.micro_batches, leaves(largest)["dataset.max_samples"]) == (1, 1000)


def test_upper_bounds_that_do_not_go_together_leave_a_trial_to_measure() -> None:
    """Eight heads do not fit into a width of 100, though each bound is valid by itself."""
    (largest,) = largest_trials(
        experiment(
            {
                "model.width": {"kind": "int_uniform", "low": 24, "high": 100},
                "model.heads": {"kind": "choice", "options": [2, 4, 8]},
            },
            dataset={"kind": "text", "length": 16},
            model={"kind": "transformer", "width": 64, "heads": 4},
        )
    )
    found = leaves(largest)
    assert (found["model.width"], found["model.heads"]) == (100, 4)


def peak(allocator_gib: float, context_gib: float = 0.5, total_gib: float = 16.0) -> MemoryPeak:
    return MemoryPeak(
        int(allocator_gib * GIB), int(context_gib * GIB), total_bytes=int(total_gib * GIB)
    )


def test_the_largest_peak_gives_the_share_and_the_limit() -> None:
    share = share_of([peak(1.0), peak(2.0)])  # 2 GiB and a quarter, and the context: 3
    assert share.gpus == 1 / 5
    assert share.gpu_memory_gib == pytest.approx(16 / 5 - 0.5, abs=1e-3)
    assert "5 trials per GPU" in share.reason
    assert "2.50 of its 16.0 GiB" in share.reason


def test_what_fills_a_gpu_has_it_alone_and_without_a_limit() -> None:
    share = share_of([peak(9.0), peak(1.0)])
    assert (share.gpus, share.gpu_memory_gib) == (1.0, None)


def test_the_smallest_trials_do_not_crowd_a_gpu() -> None:
    assert share_of([peak(0.01, 0.1)]).gpus == 1 / MOST_PER_GPU


def test_a_stated_memory_gives_the_share_too() -> None:
    assert share_for(5.0, 16.0)[:2] == (1 / 3, 5.0)
    assert share_for(40.0, 16.0).gpus == 1.0


def test_settled_resources_are_valid_ones() -> None:
    settled = with_share(Resources(), share_of([peak(2.0)]))
    assert Resources.model_validate_json(settled.model_dump_json()) == settled
