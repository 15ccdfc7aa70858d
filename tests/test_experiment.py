"""Experiment: the space and its conditions, plans, what is resolved, checks between the parts."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from ruamel.yaml import YAML

from raytune_pipe.base import ConfigError, Value, seed_draw, to_json
from raytune_pipe.components.searchers_tpe import Past
from raytune_pipe.experiment import Experiment, Objective, experiment_schema
from raytune_pipe.experiment_file import load_experiment
from raytune_pipe.search_space import Condition, SearchSpace
from raytune_pipe.trial import leaves

ROOT = Path(__file__).parents[1]
EXPERIMENTS = sorted((ROOT / "experiments").glob("*.yaml"))
LR = {"kind": "log_uniform", "low": 1e-3, "high": 1.0}
SGD_OR_ADAMW = {
    "kind": "choice",
    "options": [{"kind": "sgd", "nesterov": True}, {"kind": "adamw", "beta2": 0.99}],
}


def experiment(search_space: dict[str, Any], **fields: Any) -> Experiment:
    trial = {
        "dataset": {"kind": "digits"},
        "model": {"kind": "mlp"},
        "loss": {"kind": "cross_entropy"},
        "optimizer": {"kind": "sgd", "lr": 0.05},
        "epochs": 8,
    } | fields.pop("trial", {})
    plain = {"name": "x", "trials": 4, "trial": trial, "search_space": search_space}
    return Experiment.model_validate_json(json.dumps(plain | fields))


def conditional() -> Experiment:
    return experiment(
        {
            "optimizer.momentum": {"kind": "uniform", "low": 0.5, "high": 0.9},
            "optimizer.lr": LR,
            "optimizer": SGD_OR_ADAMW,
        },
        trials=16,
    )


def test_a_choice_of_components_is_named_by_kind_and_conditions_what_only_some_options_have() -> (
    None
):
    space = conditional().space()
    assert space.names == ("optimizer.kind", "optimizer.momentum", "optimizer.lr")
    assert space["optimizer.momentum"].conditions == (Condition("optimizer.kind", ("sgd",)),)
    assert space["optimizer.lr"].conditions == ()


def test_choices_within_an_option_depend_on_it() -> None:
    inner = {"kind": "choice", "options": [{"kind": "constant"}, {"kind": "cosine"}]}
    outer = {"kind": "choice", "options": [{"kind": "plateau"}, {"kind": "warmup"}]}
    space = experiment(
        {
            "schedule.then.final_factor": {"kind": "uniform", "low": 0, "high": 0.1},
            "schedule.then": inner,
            "schedule": outer,
        }
    ).space()
    assert space.names == ("schedule.kind", "schedule.then.kind", "schedule.then.final_factor")
    assert space["schedule.then.kind"].conditions == (Condition("schedule.kind", ("warmup",)),)
    assert space["schedule.then.final_factor"].conditions == (
        Condition("schedule.then.kind", ("cosine",)),
    )


def with_when() -> Experiment:
    """Momentum where an SGD trains small batches; the batch size of two where it is tanh."""
    return experiment(
        {
            "optimizer.momentum": {
                "kind": "uniform",
                "low": 0,
                "high": 0.9,
                "when": {"optimizer.nesterov": [False], "batch_size": [16, 32]},
            },
            "optimizer.nesterov": {"kind": "choice", "options": [True, False]},
            "batch_size": {
                "kind": "choice",
                "options": [16, 32, 64],
                "when": {"model.activation": ["tanh"]},
            },
            "model.activation": {"kind": "choice", "options": ["relu", "tanh"]},
        },
        trial={"optimizer": {"kind": "sgd", "nesterov": True, "momentum": 0.8}, "batch_size": 48},
        trials=64,
    )


def test_all_conditions_of_a_hyperparameter_must_hold_and_parents_come_first() -> None:
    space = with_when().space()
    assert space.names == (
        "optimizer.nesterov",
        "model.activation",
        "batch_size",
        "optimizer.momentum",
    )
    assert space["optimizer.momentum"].conditions == (
        Condition("optimizer.nesterov", (False,)),
        Condition("batch_size", (16, 32)),
    )
    assert space["optimizer.momentum"].distribution.when is None
    assert SearchSpace.from_mappings(json.loads(json.dumps(space.to_mappings()))) == space


def test_where_a_condition_does_not_hold_the_trial_has_its_own_value() -> None:
    plan = with_when().plan()
    seen = set()
    for planned in plan:
        values, trial = planned.values, planned.trial
        small = values["batch_size"] in (16, 32)
        applies = not values["optimizer.nesterov"] and small
        assert (values["batch_size"] is None) == (values["model.activation"] == "relu")
        assert (values["optimizer.momentum"] is None) == (not applies)
        assert trial.batch_size == (values["batch_size"] or 48)
        assert applies or trial.model_dump()["optimizer"]["momentum"] == 0.8
        assert planned.leaves()["optimizer.momentum"] == values["optimizer.momentum"]
        assert planned.leaves()["batch_size"] == values["batch_size"]
        seen.add((applies, small))
    assert seen == {(True, True), (False, True), (False, False)}
    assert with_when().space().contains(plan[0].values)


def test_a_condition_joins_that_of_the_choice_above() -> None:
    momentum = {"kind": "uniform", "low": 0.5, "high": 0.9}
    of_three = {"kind": "choice", "options": [{"kind": "sgd"}, {"kind": "adamw"}]}
    activation = {"kind": "choice", "options": ["relu", "tanh"]}
    lr = {**LR, "when": {"optimizer.kind": ["adamw"]}}
    when = {"model.activation": ["relu"], "optimizer.kind": ["sgd"]}
    space = experiment(
        {
            "optimizer.momentum": {**momentum, "when": when},
            "optimizer.lr": lr,
            "optimizer": of_three,
            "model.activation": activation,
        }
    ).space()
    assert space["optimizer.momentum"].conditions == (
        Condition("optimizer.kind", ("sgd",)),
        Condition("model.activation", ("relu",)),
    )
    assert space["optimizer.lr"].conditions == (Condition("optimizer.kind", ("adamw",)),)


def test_a_condition_on_a_list_names_it_as_the_file_does() -> None:
    widths = {"kind": "choice", "options": [[8], [16, 16]]}
    made = experiment(
        {"model.widths": widths, "optimizer.lr": {**LR, "when": {"model.widths": [[16, 16]]}}}
    )
    assert made.space()["optimizer.lr"].conditions == (Condition("model.widths", ("[16,16]",)),)
    assert Experiment.model_validate_json(to_json(made.resolved())) == made


def test_the_chosen_option_takes_the_searched_values_and_keeps_its_own() -> None:
    searched = conditional()
    sgd = searched.trial_with(
        {"optimizer.kind": "sgd", "optimizer.momentum": 0.7, "optimizer.lr": 0.1}, "00000"
    ).optimizer.model_dump()
    assert (sgd["kind"], sgd["nesterov"], sgd["momentum"], sgd["lr"]) == ("sgd", True, 0.7, 0.1)
    adamw = searched.trial_with(
        {"optimizer.kind": "adamw", "optimizer.momentum": None, "optimizer.lr": 0.1}, "00000"
    ).optimizer.model_dump()
    assert (adamw["kind"], adamw["beta2"], adamw["lr"]) == ("adamw", 0.99, 0.1)


def test_a_plan_lies_in_the_space_and_repeats_from_its_seed() -> None:
    searched = conditional()
    plan = searched.plan()
    assert [planned.trial_id for planned in plan] == [f"{number:05d}" for number in range(16)]
    assert all(searched.space().contains(planned.values) for planned in plan)
    assert {planned.values["optimizer.kind"] for planned in plan} == {"sgd", "adamw"}
    for planned in plan:
        assert planned.trial.seed == seed_draw(0, "trial", planned.trial_id)
        assert planned.trial.optimizer.lr == planned.values["optimizer.lr"]
    assert conditional().plan() == plan
    assert searched.model_copy(update={"seed": 1}).plan() != plan


def test_a_list_is_searched_under_its_json_text() -> None:
    searched = experiment({"model.widths": {"kind": "choice", "options": [[8], [16, 16]]}})
    plan = searched.plan()
    assert {planned.values["model.widths"] for planned in plan} == {"[8]", "[16,16]"}
    for planned in plan:
        assert planned.values["model.widths"] == leaves(planned.trial)["model.widths"]
    assert Experiment.model_validate_json(to_json(searched.resolved())) == searched


def test_the_validated_value_is_recorded() -> None:
    whole = experiment({"optimizer.lr": {"kind": "choice", "options": [1, 2]}}).plan()
    assert all(isinstance(planned.values["optimizer.lr"], float) for planned in whole)


def test_a_drawn_configuration_that_does_not_go_together_is_told() -> None:
    searched = experiment(
        {
            "optimizer.momentum": {"kind": "choice", "options": [0, 0.5]},
            "optimizer.nesterov": {"kind": "choice", "options": [True, False]},
        },
        trials=32,
    )
    with pytest.raises(ConfigError, match=r"trial 000\d\d must be valid, but with optimizer.mom"):
        searched.plan()


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_every_shipped_experiment_can_be_shortened(file: Path) -> None:
    short = load_experiment(file, ["trials=4", "epochs=2"])
    assert [planned.trial.epochs for planned in short.plan()] == [2, 2, 2, 2]


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_what_is_resolved_loads_back_equal(file: Path, tmp_path: Path) -> None:
    first = load_experiment(file)
    (tmp_path / "again.yaml").write_text(first.to_yaml())
    again = load_experiment(tmp_path / "again.yaml")
    assert again == first
    assert again.plan() == first.plan()
    assert Experiment.model_validate_json(json.dumps(first.resolved())) == first


@given(st.dictionaries(st.text(), st.text() | st.floats(allow_nan=False, allow_infinity=False)))
def test_any_argument_of_the_users_is_written_so_that_it_loads_back(
    tmp_path_factory: pytest.TempPathFactory, args: dict[str, str | float]
) -> None:
    model = {"kind": "imported", "target": "nets:Net", "args": args}
    first = experiment({}, trial={"model": model})
    file = tmp_path_factory.mktemp("resolved") / "x.yaml"
    file.write_text(first.to_yaml())
    assert load_experiment(file, allow_imports=["nets"]) == first


def test_the_users_own_metrics_are_known_only_when_their_data_is_loaded() -> None:
    dataset = {"kind": "imported", "target": "data:load"}
    own = experiment({}, trial={"dataset": dataset}, objective={"metric": "f1", "mode": "max"})
    assert own.objective.metric == "f1"


def test_a_path_into_an_imported_models_arguments_is_searched() -> None:
    model = {"kind": "imported", "target": "nets:Net", "args": {"width": 8}}
    space = {"model.args.width": {"kind": "choice", "options": [8, 16]}}
    plan = experiment(space, trial={"model": model}).plan()
    for planned in plan:
        assert planned.trial.model.model_dump()["args"] == {
            "width": planned.values["model.args.width"]
        }


@pytest.mark.parametrize(
    ("mode", "value", "score"),
    [("min", 2.0, 2.0), ("max", 2.0, -2.0), ("min", math.inf, math.nan), ("max", -math.inf, None)],
)
def test_a_score_is_lower_when_better_and_nan_when_not_finite(
    mode: str, value: float, score: float | None
) -> None:
    objective = Objective.model_validate({"metric": "val_loss", "mode": mode})
    got = objective.score({"val_loss": value, "epoch_s": 1.0})
    assert math.isnan(got) if score is None or math.isnan(score) else got == score
    assert math.isnan(objective.score({}))


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".hidden", "a b", "x" * 101, "-rf"])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="it names the run's folder"):
        experiment({}, name=name)


def test_the_committed_schema_is_fresh() -> None:
    committed = json.loads((ROOT / "raytune_pipe" / "experiment.schema.json").read_text())
    assert committed == experiment_schema(), (
        "run: raytune-pipe schema | python -m json.tool > raytune_pipe/experiment.schema.json"
    )


def test_the_schema_takes_every_shipped_experiment_and_describes_every_field() -> None:
    schema = experiment_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for file in EXPERIMENTS:
        jsonschema.validate(YAML(typ="safe").load(file.read_text()), schema)
    for title, part in schema["$defs"].items():
        for name, field in part.get("properties", {}).items():
            assert "description" in field or "$ref" in field, f"{title}.{name}"


def test_importing_experiments_imports_nothing_heavy() -> None:
    code = (
        "import sys, raytune_pipe.experiment;"
        "heavy = {'torch', 'ray', 'pandas', 'scipy', 'sklearn', 'pyarrow'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_given_configurations_take_the_trials_own_values() -> None:
    space = {"optimizer.lr": LR, "batch_size": {"kind": "choice", "options": [16, 64]}}
    searcher = {"kind": "points", "configurations": [{}, {"batch_size": 16}]}
    first, second, *_ = experiment(space, searcher=searcher).plan()
    assert first.values == {"optimizer.lr": 0.05, "batch_size": 64}
    assert second.values == {"optimizer.lr": 0.05, "batch_size": 16}


def test_trials_are_drawn_from_results_once_there_are_some() -> None:
    searched = experiment({"optimizer.lr": LR}, searcher={"kind": "tpe", "startup": 2}, trials=5)
    plan = searched.plan()
    assert [one.trial_id for one in plan] == ["00000", "00001"]
    assert searched.trial_ids == ["00000", "00001", "00002", "00003", "00004"]
    past = [Past(one.values, "finished", score, 8.0) for score, one in enumerate(plan)]
    drawn = searched.draw_next(past)
    assert drawn.trial_id == "00002"
    assert drawn.trial.optimizer.lr == drawn.values["optimizer.lr"]
    assert searched.draw_next(past) == drawn
    with pytest.raises(TypeError, match="random draws all trials beforehand"):
        experiment({"optimizer.lr": LR}).draw_next(past)


def test_what_is_drawn_from_results_and_not_valid_is_drawn_again() -> None:
    """Nesterov needs a momentum; half of the space is not valid."""
    searched = experiment(
        {
            "optimizer.momentum": {"kind": "choice", "options": [0, 0.5]},
            "optimizer.nesterov": {"kind": "choice", "options": [True, False]},
        },
        searcher={"kind": "tpe", "startup": 1},
    )
    good: dict[str, Value] = {"optimizer.momentum": 0.5, "optimizer.nesterov": True}
    bad: dict[str, Value] = {"optimizer.momentum": 0.0, "optimizer.nesterov": False}
    past = [Past(good, "finished", 0.1, 8.0), Past(bad, "finished", 0.9, 8.0)]
    for number in range(12):
        drawn = searched.model_copy(update={"seed": number}).draw_next(past)
        assert drawn.values != {"optimizer.momentum": 0.0, "optimizer.nesterov": True}
