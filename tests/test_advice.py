"""Advice: every row fits trials that there are, and says who says so."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from raytune_pipe.advice import advised_over, advised_paths, advised_range, overlaps
from raytune_pipe.advice_table import ADVICE, Advice
from raytune_pipe.base import Component, members
from raytune_pipe.components.models import Model
from raytune_pipe.components.optimizers import Optimizer
from raytune_pipe.components.schedules import Schedule
from raytune_pipe.distributions import (
    DISTRIBUTION,
    Choice,
    Distribution,
    IntUniform,
    LogUniform,
    Uniform,
)
from raytune_pipe.experiment import Experiment
from raytune_pipe.variants import to_plain, to_trial

FAMILIES = {"optimizer": Optimizer, "model": Model, "schedule": Schedule}
REGULARIZERS: dict[str, Any] = {"clip_norm": {}, "l1": {}}
TRIAL: dict[str, Any] = {
    "dataset": {"kind": "digits"},
    "model": {"kind": "mlp"},
    "loss": {"kind": "cross_entropy"},
    "optimizer": {"kind": "sgd"},
    "regularizers": REGULARIZERS,
    "stoppers": {"patience": {"epochs": 5}},
}


def plain(**parts: Any) -> dict[str, Any]:
    return to_plain(to_trial(TRIAL | parts))


def plains() -> Iterator[dict[str, Any]]:
    """A trial with each member that needs nothing but its kind."""
    for family, union in FAMILIES.items():
        for member in members(union):
            try:
                yield plain(**{family: {"kind": kind_of(member)}})
            except ValidationError:  # it has fields that must be given
                continue
    yield plain(optimizer={"kind": "sgd", "momentum": 0.0})


def kind_of(member: type[Component]) -> str:
    kind: str = member.model_fields["kind"].default
    return kind


def rows_in_use() -> list[tuple[Advice, dict[str, Any]]]:
    return [
        (advice, each)
        for each in plains()
        for path in advised_paths(each)
        if (advice := advised_range(path, each)) is not None
    ]


def test_every_advised_range_can_be_searched() -> None:
    for advice, trial in rows_in_use():
        search_space = {advice.path: advice.distribution.model_dump(mode="json")}
        experiment = {"name": "x", "trials": 3, "trial": trial, "search_space": search_space}
        Experiment.model_validate_json(json.dumps(experiment))


@pytest.mark.parametrize("kind", [kind_of(member) for member in members(Optimizer)])
def test_every_optimizer_has_one_learning_rate(kind: str) -> None:
    advice = advised_range("optimizer.lr", plain(optimizer={"kind": kind}))
    assert advice is not None
    assert isinstance(advice.distribution, LogUniform)


@pytest.mark.parametrize("advice", ADVICE, ids=lambda advice: advice.path)
def test_every_row_gives_a_sentence_and_its_sources(advice: Advice) -> None:
    assert advice.reason.endswith(".")
    assert advice.reason.count(". ") == 0
    assert advice.by
    assert set(advice.by) <= set("ABCDE")
    assert all(other.by and set(other.by) <= set("ABCDE") for other in advice.alternatives)
    mapping = json.loads(json.dumps(advice.to_mapping()))
    assert DISTRIBUTION.validate_json(json.dumps(mapping["distribution"])) == advice.distribution


def test_a_learning_rate_is_advised_by_optimizer_and_its_momentum() -> None:
    def low(**optimizer: Any) -> float:
        advice = advised_range("optimizer.lr", plain(optimizer=optimizer))
        assert advice is not None
        assert isinstance(advice.distribution, LogUniform)
        return advice.distribution.low

    assert low(kind="sgd", momentum=0.0) == 1e-2
    assert low(kind="sgd") == 1e-3
    assert low(kind="adamw") == 1e-3


def test_what_a_trial_does_not_have_is_not_advised() -> None:
    assert advised_range("optimizer.beta1", plain()) is None
    assert advised_range("seed", plain()) is None
    assert "optimizer.beta1" not in advised_paths(plain())
    assert "optimizer.momentum" in advised_paths(plain())


def test_a_choice_of_components_has_the_range_that_holds_all() -> None:
    options = ({"kind": "sgd", "momentum": 0.0}, {"kind": "adamw"})
    space: dict[str, Distribution] = {"optimizer": Choice(options=options)}
    advice = advised_over("optimizer.lr", plain(), space)
    assert advice is not None
    assert advice.distribution == LogUniform(low=1e-3, high=1e-1)
    assert advice.by == ("C", "D")
    only = advised_over("optimizer.momentum", plain(), space)
    assert only == advised_range("optimizer.momentum", plain())
    assert advised_over("optimizer.lx", plain(), space) is None


@pytest.mark.parametrize(
    ("searched", "advised", "expected"),
    [
        (LogUniform(low=1e-4, high=1e-2), LogUniform(low=1e-3, high=1e-1), True),
        (LogUniform(low=1, high=10), LogUniform(low=1e-3, high=1e-1), False),
        (Uniform(low=0.1, high=0.2), LogUniform(low=1e-3, high=1e-1), True),
        (Choice(options=(512, 1024)), Choice(options=(16, 128)), False),
        (Choice(options=(24, 1024)), Choice(options=(16, 128)), True),
        (IntUniform(low=40, high=50), Choice(options=(16, 128)), True),
        (Choice(options=(1.0, 1e-9)), LogUniform(low=1e-3, high=1e-1), False),
        (Choice(options=([8], [16])), Choice(options=([64], [128])), False),
        (Choice(options=([8], [64])), Choice(options=([64], [128])), True),
        (Choice(options=("a", "b")), LogUniform(low=1e-3, high=1e-1), True),
    ],
)
def test_ranges_overlap_or_not(
    searched: Distribution, advised: Distribution, expected: bool
) -> None:
    assert overlaps(searched, advised) is expected
