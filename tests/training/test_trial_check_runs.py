import json
import random
from typing import Any

import pytest
import torch
from torch import nn

from raytune_pipe.components.task import Split
from raytune_pipe.training.data import load_data
from raytune_pipe.training.trial_check_runs import (
    Place,
    Subject,
    drawn,
    untouched,
    without_regularization,
)
from raytune_pipe.trial import Trial, leaves
from tests.conftest import USER_CODE

REGULARIZED: dict[str, Any] = {
    "dataset": {"kind": "digits"},
    "model": {"kind": "resnet", "depth": 8, "width": 4, "dropout": 0.4, "stochastic_depth": 0.3},
    "loss": {"kind": "cross_entropy", "label_smoothing": 0.2},
    "optimizer": {"kind": "adamw", "lr": 0.01, "weight_decay": 0.3},
    "regularizers": {
        "l1": {"weight": 0.1},
        "l2": {"weight": 0.1},
        "max_norm": {"max_norm": 0.5},
        "weight_averaging": {},
        "clip_norm": {"max_norm": 2.0},
    },
    "augmentations": {"noise": {"std": 1.0}, "mixup": {}},
}


def trial(**changes: Any) -> Trial:
    return Trial.model_validate_json(json.dumps(REGULARIZED | changes))


def test_all_regularization_goes_and_all_else_stays() -> None:
    plain = leaves(without_regularization(trial()))
    before = leaves(trial())
    gone = {"regularizers.l1", "regularizers.l2", "regularizers.max_norm"}
    gone |= {"regularizers.weight_averaging", "augmentations.noise", "augmentations.mixup"}
    zero = {"model.dropout", "model.stochastic_depth", "loss.label_smoothing"}
    zero |= {"optimizer.weight_decay"}
    assert {path: plain[path] for path in zero} == dict.fromkeys(zero, 0.0)
    assert {path.rpartition(".")[0] for path in before.keys() - plain.keys()} == gone
    same = plain.keys() - zero
    assert {path: plain[path] for path in same} == {path: before[path] for path in same}


def test_rates_of_a_list_and_of_terms_go_too() -> None:
    loss = {"kind": "cross_entropy", "label_smoothing": 0.1}
    several = {"kind": "weighted_sum", "terms": {"a": {"loss": loss, "weight": 3.0}}}
    mlp = {"kind": "mlp", "widths": [8, 8], "dropout": [0.1, 0.2], "input_dropout": 0.1}
    plain = leaves(without_regularization(trial(model=mlp, loss=several)))
    assert json.loads(str(plain["model.dropout"])) == [0, 0]
    assert plain["model.input_dropout"] == 0.0
    assert plain["loss.terms.a.loss.label_smoothing"] == 0.0
    assert plain["loss.terms.a.weight"] == 3.0


def test_an_imported_network_drops_nothing_where_nothing_regularizes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(USER_CODE))
    dropping = trial(model={"kind": "imported", "target": "planted_faults:Dropping"})
    subject = Subject(dropping, load_data(dropping.dataset), Place())
    rates = [
        [module.p for module in each.run().model.modules() if isinstance(module, nn.Dropout)]
        for each in (subject, subject.unregularized())
    ]
    assert rates == [[0.5], [0.0]]


def test_a_step_takes_the_rate_it_is_given() -> None:
    plain = trial(optimizer={"kind": "sgd", "lr": 0.1, "momentum": 0.0}, regularizers={})
    run = Subject(plain, load_data(plain.dataset), Place()).run()
    weight = next(run.model.parameters())
    before = weight.detach().clone()
    run.step(next(run.batches()), rate=0.025)
    assert weight.grad is not None
    assert torch.allclose(before - weight.detach(), 0.025 * weight.grad, atol=1e-7)
    assert run.step_s > 0


def test_draws_are_of_the_split_and_keep_pairs_together() -> None:
    split = Split(torch.arange(50), torch.arange(50) * 2)
    some = drawn(split, 10, "key")
    assert len(set(some.inputs.tolist())) == 10
    assert torch.equal(some.targets, some.inputs * 2)
    assert torch.equal(drawn(split, 10, "key").inputs, some.inputs)
    assert len(drawn(split, 100, "key").inputs) == 50


def test_generators_are_as_they_were_also_after_an_error() -> None:
    before = random.getstate(), torch.get_rng_state().tolist()
    with pytest.raises(ValueError, match="planted"), untouched():
        _draw_and_raise()
    assert (random.getstate(), torch.get_rng_state().tolist()) == before
    assert (torch.full((1,), 1e-310, dtype=torch.float64) * 1.0).item() > 0


def _draw_and_raise() -> None:
    random.random()
    torch.rand(1)
    torch.set_flush_denormal(True)
    raise ValueError("planted")
