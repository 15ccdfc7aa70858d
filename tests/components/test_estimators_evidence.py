"""Evidence maximization: two ways to the same answer, and groups that vanish."""

import numpy as np
import pytest
from numpy.typing import NDArray

from raytune_pipe.components.estimators_evidence import Evidence, maximize_evidence

Array = NDArray[np.float64]
GROUPS = np.repeat(np.arange(6), 5)


def problem(rows: int, seed: int) -> tuple[Array, Array]:
    """Of six groups of five columns only the first two have an effect."""
    rng = np.random.default_rng(seed)
    columns = rng.standard_normal((rows, 30))
    columns -= columns.mean(axis=0)
    target = columns[:, :5].sum(axis=1) + 0.3 * columns[:, 5] + 0.1 * rng.standard_normal(rows)
    return columns, (target - target.mean()) / target.std()


def fit(columns: Array, target: Array, iterations: int = 60) -> Evidence:
    start = Evidence(np.full(6, 0.02), 0.5, np.zeros(30))
    return maximize_evidence(columns, target, GROUPS, start, iterations)


def test_rows_and_columns_give_the_same() -> None:
    """Thirty-one rows go by columns; with a column more than rows, none else changed, by rows."""
    columns, target = problem(31, 0)
    by_columns = fit(columns, target, iterations=3)
    padded = np.hstack([columns, np.zeros((31, 2))])
    groups = np.append(GROUPS, [5, 5])
    start = Evidence(np.full(6, 0.02), 0.5, np.zeros(32))
    by_rows = maximize_evidence(padded, target, groups, start, 3)
    assert by_rows.coefficients[:30] == pytest.approx(by_columns.coefficients, abs=1e-8)
    assert by_rows.prior == pytest.approx(by_columns.prior, rel=1e-6)
    assert by_rows.noise == pytest.approx(by_columns.noise, rel=1e-6)


@pytest.mark.parametrize("rows", [25, 200])
def test_groups_without_an_effect_vanish(rows: int) -> None:
    columns, target = problem(rows, 1)
    evidence = fit(columns, target)
    assert evidence.prior.argmax() == 0
    assert (evidence.prior[2:] < 0.01 * evidence.prior[0]).all()
    predicted = columns @ evidence.coefficients
    assert np.corrcoef(predicted, target)[0, 1] > 0.99


def test_noise_is_estimated() -> None:
    columns, _ = problem(400, 2)
    noise = np.random.default_rng(3).standard_normal(400)
    evidence = fit(columns, noise, iterations=200)
    assert evidence.noise == pytest.approx(1.0, abs=0.15)
    assert np.abs(evidence.coefficients).max() < 0.15


def test_a_start_without_any_group_gives_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    columns, target = problem(60, 4)
    evidence = maximize_evidence(
        columns, target, GROUPS, Evidence(np.full(6, 1e-9), 0.5, np.zeros(30)), 5
    )
    assert (evidence.coefficients == 0).all()
    assert evidence.noise == pytest.approx(1.0, abs=0.2)
    assert capfd.readouterr() == ("", "")  # LAPACK complains of empty matrices
