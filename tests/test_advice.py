"""Advice: every row fits trials that there are, and says who says so."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from raytune_pipe.advice import advised_over, advised_paths, advised_range, overlaps
from raytune_pipe.advice_table import ADVICE, Advice
from raytune_pipe.base import Component, ConfigError, members
from raytune_pipe.components.models import Model
from raytune_pipe.components.optimizers import Optimizer
from raytune_pipe.components.schedules import Schedule
from raytune_pipe.distributions import (
    DISTRIBUTION,
    Choice,
    Distribution,
    IntUniform,
    LogUniform,
    OneMinusLogUniform,
    Uniform,
)
from raytune_pipe.experiment import Experiment
from raytune_pipe.experiment_file import load_experiment
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


def searched(search_space: dict[str, Any], **parts: Any) -> Experiment:
    experiment = {"name": "x", "trials": 3, "trial": TRIAL | parts, "search_space": search_space}
    return Experiment.model_validate_json(json.dumps(experiment))


def test_the_advised_range_is_filled_in_and_kept() -> None:
    when = {"optimizer.nesterov": [True]}
    made = searched(
        {
            "optimizer.momentum": {"kind": "advised", "role": "nuisance", "when": when},
            "optimizer.nesterov": {"kind": "choice", "options": [True, False]},
        }
    )
    momentum = made.search_space["optimizer.momentum"]
    assert momentum == OneMinusLogUniform(
        low=0.5, high=0.98, role="nuisance", when={"optimizer.nesterov": (True,)}
    )
    assert list(made.search_space) == ["optimizer.momentum", "optimizer.nesterov"]
    resolved = made.resolved()["search_space"]["optimizer.momentum"]
    assert resolved["kind"] == "one_minus_log_uniform"
    assert Experiment.model_validate_json(json.dumps(made.resolved())) == made


def test_over_searched_components_it_holds_what_is_advised_for_each() -> None:
    options = [{"kind": "sgd", "momentum": 0.0}, {"kind": "adamw"}]
    optimizer = {"kind": "choice", "options": options}
    made = searched({"optimizer.lr": {"kind": "advised"}, "optimizer": optimizer})
    assert made.search_space["optimizer.lr"] == LogUniform(low=1e-3, high=1e-1)


def test_where_nothing_is_advised_that_is_told_at_the_entry() -> None:
    with pytest.raises(ValidationError) as caught:
        searched({"optimizer.wieght_decay": {"kind": "advised"}, "seed": {"kind": "advised"}})
    first, second = caught.value.errors()
    assert first["loc"] == ("search_space", "optimizer.wieght_decay")
    assert "there is advice on (optimizer.lr, batch_size," in first["msg"]
    assert "did you mean 'optimizer.weight_decay'?" in first["msg"]
    assert second["loc"] == ("search_space", "seed")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{kind: advise}", "optimizer.lr.kind: must be one of uniform,"),
        ("{kind: advise}", "choice, advised, but got 'advise'; did you mean 'advised'?"),
        ("{kind: advised, low: 1}", "low: must be a field of advised (when, role), but got 'low'"),
    ],
)
def test_a_mistake_beside_the_word_is_told_as_any_other(
    entry: str, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(json.dumps({"name": "x", "trials": 3, "trial": TRIAL}))
    with pytest.raises(ConfigError) as caught:
        load_experiment(file, [f"search_space.optimizer.lr={entry}"])
    assert message in str(caught.value)


def test_a_trial_that_is_not_valid_is_all_that_is_told() -> None:
    with pytest.raises(ValidationError) as caught:
        searched({"optimizer.lr": {"kind": "advised"}}, optimizer={"kind": "sgd", "lr": -1})
    assert [each["loc"][0] for each in caught.value.errors()] == ["trial"]


def test_a_file_says_why_a_range_is_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    plain_file = {"name": "x", "trials": 3, "trial": TRIAL, "search_space": {}}
    file.write_text(json.dumps(plain_file))
    notes: list[str] = []
    override = "search_space.optimizer.lr={kind: advised}"
    made = load_experiment(file, [override], notes=notes)
    assert made.search_space["optimizer.lr"] == LogUniform(low=1e-3, high=1e-2)
    advice = advised_range("optimizer.lr", to_plain(made.trial))
    assert advice is not None
    assert notes == [f"optimizer.lr is searched as advised (C, D): {advice.reason}"]
