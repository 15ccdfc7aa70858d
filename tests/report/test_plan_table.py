import io
import json
from typing import Any

import pytest
from rich.console import Console

from raytune_pipe.distributions import Choice, LogUniform, OneMinusLogUniform
from raytune_pipe.experiment import Experiment
from raytune_pipe.report.plan_table import describe_distribution, number, plan_mapping, plan_table
from raytune_pipe.scheduling.successive_halving import is_control

BASE: dict[str, Any] = {
    "name": "small",
    "seed": 3,
    "trial": {
        "dataset": {"kind": "digits"},
        "model": {"kind": "mlp", "widths": [8, 4]},
        "loss": {"kind": "cross_entropy"},
        "optimizer": {"kind": "adamw", "lr": 0.1},
        "epochs": 9,
    },
    "search_space": {"optimizer.lr": {"kind": "log_uniform", "low": 1e-4, "high": 1.0}},
    "trials": 6,
}
CHOICE_OF_COMPONENTS: dict[str, dict[str, Any]] = {
    "optimizer": {"kind": "choice", "options": [{"kind": "sgd", "lr": 0.1}, {"kind": "adamw"}]},
    "optimizer.momentum": {"kind": "uniform", "low": 0.0, "high": 0.9},
}


def experiment(**changes: Any) -> Experiment:
    return Experiment.model_validate_json(json.dumps(BASE | changes))


def drawn(made: Experiment, slots: int | None = None) -> str:
    console = Console(file=io.StringIO(), record=True, width=200)
    console.print(plan_table(made, made.plan(), slots))
    return console.export_text()


@pytest.mark.parametrize(
    ("scheduler", "words"),
    [
        ({"kind": "fifo"}, "fifo: every trial runs its 9 epochs"),
        (
            {"kind": "asha", "reduction_factor": 2},
            "asha, bracket 0: rungs at epochs 1, 2, 4, 8; 1 in 2 goes on from each",
        ),
        (
            {"kind": "asha", "reduction_factor": 3, "brackets": 2},
            "asha, bracket 1: rungs at epochs 3; 1 in 3 goes on from each",
        ),
        (
            {"kind": "hyperband"},
            "hyperband, bracket 2: 3 trials; 1 goes on from epoch 1, 1 goes on from epoch 3",
        ),
        ({"kind": "hyperband"}, "hyperband, bracket 0: 1 trial; none is stopped"),
        (
            {"kind": "median", "grace_epochs": 4},
            "median: each epoch from 4 on, stops what is worse than the median of 3 others or more",
        ),
        (
            {"kind": "pbt", "interval_epochs": 2},
            "pbt, synchronous: 5 generations of 2 epochs; between them the worst 25% copy the best",
        ),
        (
            {"kind": "pb2", "interval_epochs": 3, "synchronous": False},
            "pb2, asynchronous: 3 generations of 3 epochs; between them the worst 25% copy",
        ),
        ({"kind": "pb2"}, "pb2: a model of the improvements selects optimizer.lr for each copy"),
    ],
)
def test_table_says_when_the_scheduler_decides(scheduler: dict[str, Any], words: str) -> None:
    assert words in drawn(experiment(scheduler=scheduler))


def test_table_shows_what_is_fixed_and_what_is_searched() -> None:
    rows = {
        line.split()[0]: line.split()[1:]
        for line in drawn(experiment()).splitlines()
        if line.strip()
    }
    assert rows["model.widths"] == ["[8,4]"]
    assert rows["optimizer.lr"] == ["log_uniform", "0.0001", "to", "1"]
    assert rows["experiment"] == ["small,", "seed", "3"]
    assert rows["epochs"][0] in ("54", "9")


def test_table_says_where_a_hyperparameter_applies() -> None:
    text = drawn(experiment(search_space=CHOICE_OF_COMPONENTS))
    assert "choice of sgd, adamw" in text
    assert "uniform 0 to 0.9, where optimizer.kind is sgd" in text


def test_table_says_roles() -> None:
    momentum = CHOICE_OF_COMPONENTS["optimizer.momentum"] | {"role": "nuisance"}
    optimizer = CHOICE_OF_COMPONENTS["optimizer"] | {"role": "scientific"}
    text = drawn(experiment(search_space={"optimizer": optimizer, "optimizer.momentum": momentum}))
    assert "choice of sgd, adamw; scientific" in text
    assert "uniform 0 to 0.9, where optimizer.kind is sgd; nuisance" in text


def test_slots_are_said_where_they_are_known() -> None:
    assert "4 trials" in drawn(experiment(), slots=4)
    assert "at once" not in drawn(experiment())


def test_mapping_holds_every_planned_trial() -> None:
    made = experiment(scheduler={"kind": "pbt", "interval_epochs": 3})
    plan = made.plan()
    mapping = plan_mapping(made, plan, slots=2)
    assert mapping["total_epochs"] == 54
    assert mapping["decisions_at_epochs"] == [3, 6]
    assert mapping["trials_at_once"] == 2
    assert [one["values"] for one in mapping["trials"]] == [one.values for one in plan]
    assert mapping["trials"][0]["leaves"]["optimizer.lr"] == plan[0].values["optimizer.lr"]
    assert json.loads(json.dumps(mapping)) == mapping


def test_the_price_of_a_control_arm_is_told() -> None:
    scheduler = {"kind": "asha", "reduction_factor": 3, "control_fraction": 0.3}
    made = experiment(scheduler=scheduler, trials=30)
    arm = plan_mapping(made, made.plan())["control_arm"]
    controls = sum(is_control(3, one.trial_id, 0.3) for one in made.plan())
    ordinary = 9 - arm["extra_epochs"] / controls
    assert 7 / 3 < ordinary < 3  # 1 + 2/3 + 6/9 epochs, and some more in a small run
    assert arm["trials"] == controls
    assert arm["share"] == pytest.approx(arm["extra_epochs"] / (30 * ordinary))
    words = f"{controls} of 30 trials are never stopped early: about {arm['extra_epochs']:.0f} "
    assert words + f"epochs more (+{arm['share']:.0%})" in drawn(made)


def test_the_epochs_of_brackets_are_told() -> None:
    made = experiment(scheduler={"kind": "hyperband"}, trials=39)  # two rounds of 17, and 5
    text = drawn(made)
    assert "bracket 2: 2 times 9 trials; 3 go on from epoch 1, 1 goes on from epoch 3" in text
    expected = 2 * (9 + 3 * 2 + 6 + 5 * 3 + 6 + 3 * 9) + (3 + 2 + 6) + (1 * 9) + 9
    assert plan_mapping(made, made.plan())["expected_epochs"] == expected
    assert f"351 at most, all trials together; {expected} where none ends of its own" in text
    assert "expected_epochs" not in plan_mapping(experiment(), experiment().plan())


def test_no_control_arm_is_not_told_of() -> None:
    made = experiment(scheduler={"kind": "asha"})
    assert "control_arm" not in plan_mapping(made, made.plan())
    assert "control arm" not in drawn(made)


def test_values_in_words() -> None:
    assert describe_distribution(LogUniform(low=1e-5, high=0.1)) == "log_uniform 1e-05 to 0.1"
    near_one = OneMinusLogUniform(low=0.9, high=0.9999999)
    assert describe_distribution(near_one) == "one_minus_log_uniform 0.9 to 0.9999999"
    assert describe_distribution(Choice(options=("b", "a"))) == "choice of b, a"
    assert [number(value) for value in (None, True, 1.0, 3, "x")] == ["null", "true", "1", "3", "x"]
