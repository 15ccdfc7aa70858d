import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from raytune_pipe.scheduling.gaussian_process import (
    LENGTHS,
    Array,
    Kernel,
    Process,
    _negative_log_likelihood,
    _negative_log_posterior,
)

Density = Callable[[Array, Array, Array, Array], tuple[float, Array]]


def observed(rows: int, seed: int = 0, drift: float = 0.0) -> tuple[Array, Array, Array]:
    """A valley on the first axis, whose bottom drifts; the second axis does nothing."""
    rng = np.random.default_rng(seed)
    points = rng.random((rows, 2))
    times = np.repeat(np.arange(rows / 4), 4)[:rows]
    values = -8 * (points[:, 0] - 0.4 - drift * times) ** 2 + 0.05 * rng.standard_normal(rows)
    return points, times, (values - values.mean()) / values.std()


def test_without_time_it_is_sklearns_process() -> None:
    points, _, targets = observed(30)
    variance, noise, lengths = 1.7, 0.2, np.array([0.3, 0.8])
    still = np.zeros(30)
    ours = Process(Kernel(lengths, 1e-12, noise), variance, points, still, targets)
    kernel = ConstantKernel(variance) * RBF(lengths) + WhiteKernel(variance * noise)
    theirs = GaussianProcessRegressor(kernel, optimizer=None, alpha=0).fit(points, targets)
    asked = np.random.default_rng(1).random((20, 2))
    mean, deviation = ours.predict(asked, np.zeros(20))
    expected, with_noise = theirs.predict(asked, return_std=True)
    assert mean == pytest.approx(expected, abs=1e-6)
    assert deviation**2 == pytest.approx(with_noise**2 - variance * noise, abs=1e-6)


def test_time_parts_observations() -> None:
    kernel = Kernel(np.array([1.0]), 0.19, 0.1)
    point, times = np.zeros((1, 1)), np.array([0.0, 2.0, 4.0])
    apart = kernel.between(point, np.array([0.0]), np.zeros((3, 1)), times)
    assert apart[0] == pytest.approx([1, 0.81, 0.81**2])
    assert kernel.of(np.zeros((3, 1)), times).diagonal() == pytest.approx(1.1)


def test_the_likelihood_is_the_normal_densitys_and_its_gradient_is_right() -> None:
    points, times, targets = observed(25, drift=0.05)
    squares = np.square(points[:, None, :] - points[None, :, :])
    ages = np.abs(times[:, None] - times[None, :])
    logs = np.log([0.4, 2.0, 0.1, 0.3])

    kernel = Kernel(np.array([0.4, 2.0]), 0.1, 0.3)
    covariance = kernel.of(points, times)
    variance = float(targets @ np.linalg.solve(covariance, targets)) / 25
    density = 0.5 * np.linalg.slogdet(variance * covariance)[1]
    value, _ = _negative_log_likelihood(logs, squares, ages, targets)
    assert value == pytest.approx(density)
    for function in (_negative_log_likelihood, _negative_log_posterior):
        _, gradient = function(logs, squares, ages, targets)

        def value_of(at: Array, function: Density = function) -> float:
            return function(at, squares, ages, targets)[0]

        assert gradient == pytest.approx(approx_fprime(logs, value_of, 1e-6), abs=1e-3)


def test_few_observations_leave_the_kernel_near_the_usual_one() -> None:
    points, times, targets = observed(4)
    lengths = Process.fitted(points, times, targets).kernel.lengths
    assert ((lengths > 0.3) & (lengths < 3.0)).all()


@pytest.mark.parametrize("drift", [0.0, 0.03])
def test_the_likeliest_kernel_finds_what_counts(drift: float) -> None:
    points, times, targets = observed(80, drift=drift)
    process = Process.fitted(points, times, targets)
    assert process.kernel.lengths[0] < 1.0 < process.kernel.lengths[1] <= LENGTHS[1] + 1e-9
    grid = np.column_stack([np.linspace(0, 1, 101), np.full(101, 0.5)])
    mean, _ = process.predict(grid, np.full(101, 20.0))
    assert grid[np.argmax(mean), 0] == pytest.approx(0.4 + 20 * drift, abs=0.08)


def test_what_is_imagined_moves_no_mean_and_takes_doubt_away() -> None:
    points, times, targets = observed(20)
    process = Process.fitted(points, times, targets)
    asked = np.random.default_rng(3).random((50, 2))
    later = np.full(50, 5.0)
    mean, deviation = process.predict(asked, later)
    imagined = process.imagining(asked[:1], later[:1])
    mean_then, deviation_then = imagined.predict(asked, later)
    assert mean_then == pytest.approx(mean, abs=1e-6)
    assert (deviation_then <= deviation + 1e-9).all()
    assert deviation_then[0] < 0.8 * deviation[0]
    assert process.imagining(np.zeros((0, 2)), np.zeros(0)) is process


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_few_or_equal_observations_tell_nothing(rows: int) -> None:
    points, times, _ = observed(8)
    process = Process.fitted(points[:rows], times[:rows], np.zeros(rows))
    mean, deviation = process.predict(points, times)
    assert (mean == 0).all()
    assert np.isfinite(deviation).all()
    assert rows or deviation == pytest.approx(math.sqrt(process.variance))
