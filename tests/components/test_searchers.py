"""Searchers: every plan lies in the space, repeats from its seed and covers what it promises."""

from math import isclose
from statistics import mean
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytune_pipe.base import Value
from raytune_pipe.components.searchers import Grid, Random, Searcher, Sobol
from raytune_pipe.distributions import Choice, IntUniform, LogIntUniform, LogUniform, Uniform
from raytune_pipe.search_space import Condition, Hyperparameter, SearchSpace

MEMBERS = get_args(get_args(Searcher)[0])
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
    searcher = member()
    trials = trials_for(searcher)
    plan = searcher.plan(SPACE, trials, seed=3)
    assert len(plan) == trials
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
