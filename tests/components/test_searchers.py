"""Searchers: every plan lies in the space, repeats from its seed and covers what it promises."""

import math
from collections.abc import Callable, Mapping
from math import isclose
from statistics import mean
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytune_pipe.base import ConfigError, Value
from raytune_pipe.components.searchers import (
    Grid,
    Points,
    Random,
    Searcher,
    Sobol,
    draws_from_results,
)
from raytune_pipe.components.searchers_tpe import Outcome, Past, Tpe
from raytune_pipe.distributions import Choice, IntUniform, LogIntUniform, LogUniform, Prior, Uniform
from raytune_pipe.search_space import Condition, Hyperparameter, SearchSpace

MEMBERS = get_args(get_args(Searcher)[0])
REQUIRED: dict[type[Any], dict[str, Any]] = {Points: {"configurations": ({}, {"model.depth": 1})}}
"""Fields that must be given."""
LR = Hyperparameter("optimizer.lr", LogUniform(low=1e-4, high=1.0))
KIND = Hyperparameter("optimizer.kind", Choice(options=({"kind": "sgd"}, {"kind": "adamw"})))
MOMENTUM = Hyperparameter(
    "optimizer.momentum", Uniform(low=0.0, high=0.9), (Condition("optimizer.kind", ("sgd",)),)
)
DEPTH = Hyperparameter("model.depth", IntUniform(low=1, high=2))
WIDTH = Hyperparameter("model.width", LogIntUniform(low=8, high=128))
SPACE = SearchSpace((KIND, LR, MOMENTUM, DEPTH, WIDTH))


def trials_for(searcher: Searcher) -> int:
    return searcher.size(SPACE) if isinstance(searcher, Grid) else 32


@pytest.mark.parametrize("member", MEMBERS)
def test_searcher_contract(member: type[Searcher]) -> None:
    searcher = member(**REQUIRED.get(member, {}))
    trials = trials_for(searcher)
    plan = searcher.plan(SPACE, trials, seed=3)
    assert len(plan) == (10 if isinstance(searcher, Tpe) else trials)
    assert all(SPACE.contains(values) for values in plan)
    assert all(tuple(values) == SPACE.names for values in plan)
    assert plan == searcher.plan(SPACE, trials, seed=3)
    assert member.model_validate_json(searcher.model_dump_json()) == searcher


@pytest.mark.parametrize("searcher", [Random(), Sobol()])
def test_another_seed_is_another_plan(searcher: Random | Sobol) -> None:
    assert searcher.plan(SPACE, 8, seed=0) != searcher.plan(SPACE, 8, seed=1)


@pytest.mark.parametrize("searcher", [Random(), Sobol()])
@given(trials=st.integers(1, 40))
def test_values_are_plain_python(searcher: Random | Sobol, trials: int) -> None:
    plan = searcher.plan(SPACE, trials, seed=0)
    assert len(plan) == trials
    assert all(type(value) in (float, int, str, type(None)) for value in plan[-1].values())


@pytest.mark.parametrize("searcher", [Random(), Sobol()])
def test_without_a_search_space_all_trials_are_alike(searcher: Random | Sobol) -> None:
    assert searcher.plan(SearchSpace(()), 3, seed=0) == [{}, {}, {}]


def test_random_values_stay_when_trials_or_hyperparameters_are_added() -> None:
    few = Random().plan(SearchSpace((LR,)), 4, seed=0)
    many = Random().plan(SPACE, 20, seed=0)
    assert [values["optimizer.lr"] for values in few] == [
        values["optimizer.lr"] for values in many[:4]
    ]


def test_sobol_puts_one_point_in_each_equal_part() -> None:
    space = SearchSpace((LR, Hyperparameter("batch_size", Uniform(low=0, high=1))))
    plan = Sobol().plan(space, 64, seed=5)
    for name in space.names:
        cells = sorted(int(space.to_units(values)[name] * 64) for values in plan)
        assert cells == list(range(64))


def test_sobol_begins_alike_whatever_the_number_of_trials() -> None:
    assert Sobol().plan(SPACE, 5, seed=1) == Sobol().plan(SPACE, 64, seed=1)[:5]


def test_a_grid_has_both_bounds_and_the_middle_on_the_declared_scale() -> None:
    plan = Grid(points=3).plan(SearchSpace((LR,)), 3, seed=0)
    values = [values["optimizer.lr"] for values in plan]
    assert values[0] == 1e-4
    assert values[2] == 1.0
    assert isinstance(values[1], float)
    assert isclose(values[1], 1e-2)


def test_a_grid_varies_the_last_hyperparameter_fastest_and_skips_what_does_not_apply() -> None:
    plan = Grid(points=2).plan(SearchSpace((KIND, MOMENTUM)), 3, seed=0)
    rows: list[tuple[Value, ...]] = [tuple(values.values()) for values in plan]
    assert rows == [("sgd", 0.0), ("sgd", 0.9), ("adamw", None)]


@given(st.integers(2, 5))
def test_the_size_of_a_grid_is_the_number_of_its_combinations(points: int) -> None:
    plan = Grid(points=points).plan(SPACE, 0, seed=0)
    assert Grid(points=points).size(SPACE) == len(plan)
    assert len({tuple(values.items()) for values in plan}) == len(plan)


def test_a_huge_grid_is_counted_without_listing_it() -> None:
    many = tuple(Hyperparameter(f"x{i}", Uniform(low=0, high=1)) for i in range(40))
    assert Grid(points=10).size(SearchSpace((KIND, MOMENTUM, *many))) == 11 * 10**40


def test_random_draws_are_even_on_the_declared_scale() -> None:
    plan = Random().plan(SearchSpace((LR,)), 2000, seed=0)
    units = [SearchSpace((LR,)).to_units(values)["optimizer.lr"] for values in plan]
    assert mean(units) == pytest.approx(0.5, abs=0.03)


def test_draws_follow_the_users_prior_and_a_grid_does_not() -> None:
    prior = Prior(center=0.8, confidence="high")
    space = SearchSpace((Hyperparameter("x", Uniform(low=0, high=1, prior=prior)),))
    for searcher in (Random(), Sobol()):
        values = [float(each["x"] or 0) for each in searcher.plan(space, 256, seed=0)]
        assert mean(values) == pytest.approx(0.78, abs=0.03)
        assert max(values) > 0.95
    assert [each["x"] for each in Grid().plan(space, 3, seed=0)] == [0.0, 0.5, 1.0]


OWN: dict[str, Value] = {
    "optimizer.kind": "sgd",
    "optimizer.lr": 0.02,
    "optimizer.momentum": 0.95,
    "model.depth": 2,
}


def test_given_configurations_come_first_and_the_trials_own_values_fill_them_in() -> None:
    given: tuple[dict[str, Any], ...] = ({}, {"optimizer.kind": "adamw", "optimizer.lr": 0.5})
    searcher = Points(configurations=given)
    first, second, *rest = searcher.plan(SPACE, 6, seed=0, own=OWN)
    assert {name: first[name] for name in ("optimizer.kind", "optimizer.lr", "model.depth")} == {
        "optimizer.kind": "sgd",
        "optimizer.lr": 0.02,
        "model.depth": 2,
    }
    assert second["optimizer.kind"] == "adamw"
    assert second["optimizer.lr"] == 0.5
    assert second["optimizer.momentum"] is None
    drawn = {first["optimizer.momentum"], first["model.width"]}  # outside of the space, unknown
    assert all(isinstance(value, int | float) for value in drawn)
    assert rest == Random().plan(SPACE, 4, seed=0)
    assert searcher.plan(SPACE, 1, seed=0, own=OWN) == [first]


def test_a_list_and_a_component_are_given_as_the_file_names_them() -> None:
    widths = Hyperparameter("model.widths", Choice(options=([8], [16, 16])))
    searcher = Points(configurations=({"model.widths": [16, 16]},))
    (first,) = searcher.plan(SearchSpace((widths,)), 1, seed=0)
    assert first == {"model.widths": "[16,16]"}


def bowl(values: Mapping[str, Value]) -> float:
    """Best with sgd at a rate of 0.01."""
    units = SPACE.to_units(values)
    return (units["optimizer.lr"] - 0.5) ** 2 + (values["optimizer.kind"] == "adamw") * 0.1


def search(trials: int, seed: int, outcome: Callable[[dict[str, Value]], Past]) -> list[Past]:
    """One trial after the other, each drawn from those before."""
    searcher = Tpe()
    past = [outcome(values) for values in searcher.plan(SPACE, trials, seed)]
    while len(past) < trials:
        past.append(outcome(searcher.suggest(SPACE, seed, past)))
    return past


def finished(values: dict[str, Value]) -> Past:
    return Past(values, "finished", bowl(values), 4.0)


def test_tpe_begins_as_a_random_search_and_then_goes_where_it_is_good() -> None:
    past = search(40, 1, finished)
    assert [one.values for one in past[:10]] == Random().plan(SPACE, 10, seed=1)
    assert all(SPACE.contains(one.values) for one in past)
    assert mean(one.score for one in past[25:]) < mean(one.score for one in past[:10]) / 3


def test_a_draw_of_tpe_follows_from_the_seed_and_the_past_alone() -> None:
    past = search(14, 3, finished)
    searcher = Tpe()
    again = searcher.suggest(SPACE, 3, past)
    assert searcher.suggest(SPACE, 3, past) == again
    assert searcher.suggest(SPACE, 4, past) != again
    assert searcher.suggest(SPACE, 3, past, attempt=1) != again
    assert searcher.suggest(SPACE, 3, past[:-1]) == past[-1].values


def test_until_enough_trials_have_ended_draws_are_random() -> None:
    running = [Past(values, "running") for values in Random().plan(SPACE, 12, seed=0)]
    assert Tpe().suggest(SPACE, 0, running) == Random().plan(SPACE, 13, seed=0)[12]


@pytest.mark.parametrize("lost", ["broken", "finished"])
def test_what_breaks_counts_as_the_worst(lost: Outcome) -> None:
    """All with sgd break, whether they failed or their score is not a number."""

    def outcome(values: dict[str, Value]) -> Past:
        if values["optimizer.kind"] == "sgd":
            return Past(values, lost, math.nan, 1.0)
        return finished(values)

    past = search(40, 0, outcome)
    kinds = [one.values["optimizer.kind"] for one in past]
    assert kinds[20:].count("sgd") < 6


def test_trials_stopped_early_count_by_how_far_they_came() -> None:
    """With sgd they go on to epoch 9, with adamw they stop at 1."""

    def outcome(values: dict[str, Value]) -> Past:
        epoch = 9.0 if values["optimizer.kind"] == "sgd" else 1.0
        return Past(values, "stopped", 0.5, epoch)

    past = search(40, 2, outcome)
    assert [one.values["optimizer.kind"] for one in past][20:].count("adamw") < 7


def test_points_hand_over_to_a_searcher_that_draws_from_results() -> None:
    searcher = Points(configurations=({},), then=Tpe(startup=3))
    assert draws_from_results(searcher)
    assert not draws_from_results(Points(configurations=({},)))
    plan = searcher.plan(SPACE, 20, seed=0, own=OWN)
    assert len(plan) == 4
    past = [finished(values) for values in plan]
    assert searcher.suggest(SPACE, 0, past) == Tpe(startup=3).suggest(SPACE, 0, past)
    with pytest.raises(TypeError, match="random draws all trials beforehand"):
        Points(configurations=({},)).suggest(SPACE, 0, past)


def test_without_optuna_tpe_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"pip install 'raytune-pipe\[optuna\]'"):
        Tpe().plan(SPACE, 3, seed=0)
