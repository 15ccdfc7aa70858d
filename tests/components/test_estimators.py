"""Estimators against functions whose variance shares are known."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from raytune_pipe.components.estimators import Boosting, Estimator, Expansion
from raytune_pipe.components.estimators_expansion import Terms
from raytune_pipe.components.surrogates import applies
from raytune_pipe.distributions import Choice, IntUniform, LogIntUniform, LogUniform, Uniform
from raytune_pipe.search_space import Condition, Hyperparameter, SearchSpace

Array = NDArray[np.float64]
MEMBERS = [Expansion(), Boosting(trees=50)]


def cube(axes: int) -> SearchSpace:
    return SearchSpace(
        tuple(Hyperparameter(f"x{axis}", Uniform(low=0.0, high=1.0)) for axis in range(axes))
    )


MIXED = SearchSpace(
    (
        Hyperparameter("lr", LogUniform(low=1e-4, high=1.0)),
        Hyperparameter(
            "optimizer.kind", Choice(options=({"kind": "sgd"}, {"kind": "adamw"}, {"kind": "lion"}))
        ),
        Hyperparameter(
            "optimizer.momentum",
            Uniform(low=0.0, high=1.0),
            (Condition("optimizer.kind", ("sgd",)),),
        ),
        Hyperparameter(
            "optimizer.beta",
            Uniform(low=0.0, high=1.0),
            (Condition("optimizer.kind", ("adamw", "lion")),),
        ),
        Hyperparameter("batch_size", Choice(options=(16, 32, 64))),
        Hyperparameter("layers", IntUniform(low=1, high=4)),
        Hyperparameter("width", LogIntUniform(low=1, high=8)),
        Hyperparameter("activation", Choice(options=("relu", "tanh", "gelu"))),
    )
)


def draw(space: SearchSpace, rows: int, rng: np.random.Generator) -> Array:
    """Units of random configurations: middles of discrete cells, NaN where not applicable."""
    units = rng.random((rows, len(space)))
    values = [space.from_units(dict(zip(space.names, row, strict=True))) for row in units]
    return np.array([list(space.to_units(one).values()) for one in values])


def ishigami(units: Array) -> Array:
    x, y, z = np.pi * (2 * units.T - 1)
    result: Array = np.sin(x) + 7 * np.sin(y) ** 2 + 0.1 * z**4 * np.sin(x)
    return result


def sobol_g(units: Array) -> Array:
    weights = np.array([0, 1, 4.5, 9, 99, 99, 99, 99])
    result: Array = np.prod((np.abs(4 * units - 2) + weights) / (1 + weights), axis=1)
    return result


ISHIGAMI_SHARES = ([0.3139, 0.4424, 0.0], [0.5576, 0.4424, 0.2437])
SOBOL_G_SHARES = (
    [0.7162, 0.1790, 0.0237, 0.0072, 0.0001, 0.0001, 0.0001, 0.0001],
    [0.7871, 0.2422, 0.0343, 0.0105, 0.0001, 0.0001, 0.0001, 0.0001],
)


@pytest.mark.parametrize(
    ("function", "truth", "trials", "error"),
    [
        (ishigami, ISHIGAMI_SHARES, 60, 0.05),
        (ishigami, ISHIGAMI_SHARES, 200, 0.015),
        (sobol_g, SOBOL_G_SHARES, 60, 0.03),
        (sobol_g, SOBOL_G_SHARES, 200, 0.01),
    ],
)
def test_expansion_finds_the_analytic_shares(
    function: Callable[[Array], Array], truth: Any, trials: int, error: float
) -> None:
    errors = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        units = rng.random((trials, len(truth[0])))
        target = function(units)
        target = target + 0.1 * target.std() * rng.standard_normal(trials)
        shares = Expansion().fit(cube(len(truth[0])), units, target).shares()
        errors.append(
            [np.abs(shares.first - truth[0]).mean(), np.abs(shares.total - truth[1]).mean()]
        )
    assert np.mean(errors, axis=0).max() < error


def test_expansion_basis_is_orthonormal_over_the_space() -> None:
    terms = Terms(MIXED, (3, 3, 3))
    columns = terms.columns(draw(MIXED, 20_000, np.random.default_rng(0)))
    gram = columns.T @ columns / len(columns)
    assert np.abs(columns.mean(axis=0)).max() < 0.05
    assert np.abs(gram - np.eye(len(gram))).max() < 0.12


def test_expansion_has_no_pair_that_never_applies_or_belongs_to_the_parent() -> None:
    groups = Terms(MIXED, (3, 3, 3)).groups
    kind, momentum, beta = (
        MIXED.names.index(f"optimizer.{name}") for name in ("kind", "momentum", "beta")
    )
    assert not {(kind, momentum), (kind, beta), (momentum, beta)} & set(groups)
    assert (0, momentum) in groups


TWO_PARENTS = SearchSpace(
    (
        Hyperparameter("a", Choice(options=("on", "off"))),
        Hyperparameter("b", Choice(options=("x", "y", "z"))),
        Hyperparameter(
            "c",
            Uniform(low=0.0, high=1.0),
            (Condition("a", ("on",)), Condition("b", ("x", "y"))),
        ),
        Hyperparameter("d", Uniform(low=0.0, high=1.0)),
    )
)


def test_expansion_weighs_a_hyperparameter_of_two_parents_by_where_both_let_it_apply() -> None:
    """On and not z: a third of the space; it is in no pair with either."""
    terms = Terms(TWO_PARENTS, (3, 3, 3))
    assert not {(0, 2), (1, 2)} & set(terms.groups)
    assert terms.scales[terms.groups.index((2,))] == pytest.approx(3**0.5)
    columns = terms.columns(draw(TWO_PARENTS, 20_000, np.random.default_rng(0)))
    gram = columns.T @ columns / len(columns)
    assert np.abs(gram - np.eye(len(gram))).max() < 0.12


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: str(member.kind))
def test_a_hyperparameter_of_two_parents_gets_its_own_share(member: Estimator) -> None:
    """The share of c is its variance times the probability that it applies, a third."""
    units = draw(TWO_PARENTS, 400, np.random.default_rng(1))
    c, d = np.nan_to_num(units[:, 2], nan=0.5), units[:, 3]
    shares = member.fit(TWO_PARENTS, units, d + 3 * c).shares()
    assert shares.total[[3, 2]] == pytest.approx([1 / 4, 3 / 4], abs=0.12)


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: str(member.kind))
def test_conditional_hyperparameter_gets_its_own_share(member: Estimator) -> None:
    """The share of momentum is its variance times the probability that it applies, a third."""
    units = draw(MIXED, 400, np.random.default_rng(1))
    lr, momentum = units[:, 0], np.nan_to_num(units[:, 2], nan=0.5)
    shares = member.fit(MIXED, units, lr + 3 * momentum).shares()
    assert shares.total[[0, 2]] == pytest.approx([1 / 4, 3 / 4], abs=0.12)
    assert np.delete(shares.total, [0, 2]).max() < 0.06


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: str(member.kind))
def test_estimator_contract(member: Estimator) -> None:
    """Shares in range, predictions that learn, the same again, refits that forget."""
    rng = np.random.default_rng(2)
    units = draw(MIXED, 120, rng)
    target = 4 * (units[:, 0] - 0.4) ** 2 + units[:, 0] * units[:, 4] + 0.2 * (units[:, 7] > 0.5)
    fitted = member.fit(MIXED, units, target)
    shares = fitted.shares()
    assert shares.total.argmax() == 0
    assert (shares.first >= 0).all()
    assert (shares.total <= 1 + 1e-9).all()
    assert (shares.pairs == shares.pairs.T).all()
    assert (np.diag(shares.pairs) == 0).all()
    assert np.corrcoef(fitted.predict(units), target)[0, 1] > 0.9
    assert (member.fit(MIXED, units, target).shares().total == shares.total).all()
    weights = (np.arange(120) < 60).astype(float)
    changed = member.fit(MIXED, units, np.where(weights > 0, target, 1e6))
    alone = changed.refit(weights).predict(units[:60])
    assert np.abs(alone).max() < 1e3
    flat = member.fit(MIXED, units, np.ones(120))
    assert (flat.shares().total == 0).all()
    assert flat.predict(units) == pytest.approx(np.ones(120))


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: str(member.kind))
def test_expected_is_the_mean_over_all_other_axes(member: Estimator) -> None:
    """Against the mean of predictions at many points of the space."""
    rng = np.random.default_rng(5)
    units = draw(MIXED, 300, rng)
    target = 4 * (units[:, 0] - 0.4) ** 2 + units[:, 0] * units[:, 4] + 0.5 * units[:, 6]
    fitted = member.fit(MIXED, units, target)
    points = draw(MIXED, 4000, rng)
    for axes, held in [((0,), [0.9]), ((0, 4), [0.2, 5 / 6]), ((7,), [0.5])]:
        points_held = points.copy()
        points_held[:, axes] = held
        mean = fitted.predict(points_held).mean()
        assert fitted.expected(axes, np.array([held]))[0] == pytest.approx(mean, abs=0.03)
    assert fitted.expected((), np.zeros((1, 0)))[0] == pytest.approx(
        fitted.predict(points).mean(), abs=0.03
    )


def test_expansion_weights_count_rows_as_copies() -> None:
    rng = np.random.default_rng(3)
    units = rng.random((40, 2))
    target = units[:, 0] + 0.1 * rng.standard_normal(40)
    weights = rng.integers(0, 3, size=40)
    copies = np.repeat(np.arange(40), weights)
    space = cube(2)
    weighted = Expansion().fit(space, units, target).refit(weights.astype(float))
    # From the same prior: that of all rows.
    repeated = Expansion().fit(space, units[copies], target[copies])
    assert weighted.predict(units) == pytest.approx(repeated.predict(units), abs=0.15)


def test_expansion_with_more_rows_than_columns_gives_the_same() -> None:
    """Compressing the rows changes the work, not the answer: shares converge on the truth."""
    rng = np.random.default_rng(4)
    units = rng.random((2000, 2))
    target = units[:, 0] + 0.5 * units[:, 1] + 0.05 * rng.standard_normal(2000)
    shares = Expansion(degree=3, pair_degree=2).fit(cube(2), units, target).shares()
    assert shares.first == pytest.approx([0.8, 0.2], abs=0.02)
    assert shares.pairs.max() < 0.001


def test_applies_follows_the_parent() -> None:
    units = np.full((3, len(MIXED)), 0.5)
    units[:, MIXED.names.index("optimizer.kind")] = [0.1, 0.5, 0.9]
    columns = [MIXED.names.index(f"optimizer.{name}") for name in ("momentum", "beta")]
    assert applies(MIXED, units)[:, columns].tolist() == [
        [True, False],
        [False, True],
        [False, True],
    ]
    assert applies(MIXED, units).sum() == 3 * len(MIXED) - 3
