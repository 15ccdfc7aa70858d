"""Points and ranges in values of hyperparameters."""

import numpy as np
import pytest

from raytune_pipe.analysis.grids import (
    ValueRange,
    even_units,
    grid_of,
    masked,
    snapped,
    spread_units,
)
from raytune_pipe.base import Value
from raytune_pipe.distributions import (
    Choice,
    Distribution,
    IntUniform,
    LogIntUniform,
    LogUniform,
    Uniform,
)
from raytune_pipe.search_space import Condition, Hyperparameter, SearchSpace


def space_of(distribution: Distribution) -> SearchSpace:
    return SearchSpace((Hyperparameter("x", distribution),))


@pytest.mark.parametrize(
    ("distribution", "values"),
    [
        (Choice(options=(64, 16, 32)), (16, 32, 64)),
        (Choice(options=("b", "a")), ("b", "a")),
        (IntUniform(low=2, high=5), (2, 3, 4, 5)),
    ],
)
def test_a_grid_holds_all_values_where_there_are_few(
    distribution: Distribution, values: tuple[Value, ...]
) -> None:
    grid = grid_of(space_of(distribution), "x")
    assert grid.values == values
    assert grid.is_whole


def test_a_grid_of_a_learning_rate_is_even_in_decades() -> None:
    grid = grid_of(space_of(LogUniform(low=1e-4, high=1.0)), "x", points=5)
    assert grid.values == pytest.approx((1e-4, 1e-3, 1e-2, 1e-1, 1.0))
    assert not grid.is_whole
    assert len(grid_of(space_of(LogIntUniform(low=1, high=1000)), "x").values) == 17


def test_neighbours_become_one_range_up_to_half_way_to_the_next() -> None:
    grid = grid_of(space_of(Uniform(low=0.0, high=1.0)), "x", points=5)
    chosen = np.array([True, True, False, True, False])
    assert grid.ranges(chosen) == (ValueRange(0.0, 0.375), ValueRange(0.625, 0.875))
    assert grid.ranges(np.zeros(5, dtype=bool)) == ()


def test_options_without_order_have_no_neighbours() -> None:
    everything = np.ones(3, dtype=bool)
    ordered = grid_of(space_of(Choice(options=(1, 2, 3))), "x")
    assert ordered.ranges(everything) == (ValueRange(1, 3),)
    named = grid_of(space_of(Choice(options=("a", "b", "c"))), "x")
    assert named.ranges(everything) == tuple(ValueRange(one, one) for one in "abc")


def test_even_units_weigh_values_as_they_are_drawn() -> None:
    whole = LogIntUniform(low=1, high=4)
    units = even_units(whole, 1000)
    counts = [np.mean(units == whole.to_unit(value)) for value in (1, 2, 3, 4)]
    drawn = np.bincount([whole.from_unit(unit) for unit in np.linspace(0, 1, 20_001)])[1:] / 20_001
    assert counts == pytest.approx(drawn.tolist(), abs=0.002)
    assert even_units(Choice(options=("a", "b")), 7).tolist() == [0.25, 0.75]
    assert snapped(Choice(options=(1, 2)), np.array([0.0, 0.9])).tolist() == [0.25, 0.75]


def test_what_does_not_apply_is_masked_at_every_depth() -> None:
    space = SearchSpace(
        (
            Hyperparameter("a", Choice(options=("on", "off"))),
            Hyperparameter("b", Choice(options=("on", "off")), (Condition("a", ("on",)),)),
            Hyperparameter("c", Uniform(low=0.0, high=1.0), (Condition("b", ("on",)),)),
        )
    )
    units = np.array([[0.25, 0.25, 0.5], [0.25, 0.75, 0.5], [0.75, np.nan, 0.5]])
    assert np.isnan(masked(space, units)).tolist() == [
        [False, False, False],
        [False, False, True],
        [False, True, True],
    ]
    spread = spread_units(space, 64)
    assert np.array_equal(spread, spread_units(space, 64))
    assert set(spread[:, 0]) == {0.25, 0.75}


def test_a_grid_of_many_options_has_some_of_them() -> None:
    options = Choice(options=tuple(range(100, 120)))
    grid = grid_of(space_of(options), "x", points=5)
    assert grid.values == (100, 105, 110, 115, 119)
    assert [options.from_unit(unit) for unit in grid.units] == list(grid.values)
    unordered = Choice(options=tuple("abcdefgh"))
    assert grid_of(space_of(unordered), "x", points=5).values == tuple("abcdefgh")
