"""A Gaussian process whose function changes over time (Bogunovic et al. 2016, arXiv:1601.06650).

The covariance of two observations is a squared exponential of the distance of their points times
(1 - omega) ** (|difference of their times| / 2), plus noise where they are the same.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

Array = NDArray[np.float64]


class Kernel(NamedTuple):
    """The covariance in units of the signal's variance."""

    lengths: Array
    """[axes]: the distance on each axis over which the function changes."""
    omega: float
    """In (0, 1): how fast the function changes, 0 not at all."""
    noise: float
    """Variance of an observation's noise."""

    def between(self, points: Array, times: Array, others: Array, other_times: Array) -> Array:
        """Covariances ``[rows, others]`` without noise."""
        one, other = points / self.lengths, others / self.lengths
        squares = np.square(one).sum(axis=1)[:, None] + np.square(other).sum(axis=1)
        distance = np.maximum(squares - 2 * one @ other.T, 0)
        age = np.abs(times[:, None] - other_times[None, :])
        return np.asarray(np.exp(-0.5 * distance + 0.5 * math.log1p(-self.omega) * age))

    def of(self, points: Array, times: Array) -> Array:
        """Covariances ``[rows, rows]`` with noise."""
        return self.between(points, times, points, times) + self.noise * np.eye(len(points))


LENGTHS = (0.1, 10.0)
"""Bounds; the axes run from 0 to 1, so that the longest is an axis that does not count."""
OMEGA = (1e-3, 0.7)
NOISE = (1e-2, 1e1)
USUAL = (1.0, 0.05, 0.5)
"""Length, omega and noise that few observations leave the kernel near: each has a log-normal prior
around it, a factor of e wide. By likelihood alone eight observations on seven axes fit anything,
and populations in simulated training gained half as much."""
STARTS = ((0.5, 0.05, 0.3), (2.0, 0.2, 1.0))
"""The same where the search for the likeliest kernel begins."""
MOST_STEPS = 25


@dataclass(frozen=True)
class Process:
    """A process that has seen observations."""

    kernel: Kernel
    variance: float
    """Of the signal."""
    points: Array
    """[rows, axes]."""
    times: Array
    """[rows]."""
    targets: Array
    """[rows]."""

    @classmethod
    def fitted(cls, points: Array, times: Array, targets: Array) -> Self:
        """With the kernel of the highest marginal likelihood; the mean before any is 0."""
        kernel, variance = _likeliest(points, times, targets)
        return cls(kernel, variance, points, times, targets)

    def predict(self, points: Array, times: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the function ``[points]``, without noise."""
        if len(self.points) == 0:
            return np.zeros(len(points)), np.full(len(points), math.sqrt(self.variance))
        factor, lower = cho_factor(self.kernel.of(self.points, self.times), lower=True)
        cross = self.kernel.between(self.points, self.times, points, times)
        mean = cross.T @ cho_solve((factor, lower), self.targets)
        explained = np.square(solve_triangular(factor, cross, lower=True)).sum(axis=0)
        return mean, np.sqrt(self.variance * np.maximum(1 - explained, 0))

    def imagining(self, points: Array, times: Array) -> Self:
        """As if these points had come out as expected, so that only the doubt about them shrinks.

        So a batch of points is chosen one by one (Desautels et al. 2014, JMLR 15(119)).
        """
        if len(points) == 0:
            return self
        mean, _ = self.predict(points, times)
        return type(self)(
            self.kernel,
            self.variance,
            np.vstack([self.points, points]),
            np.append(self.times, times),
            np.append(self.targets, mean),
        )


def _likeliest(points: Array, times: Array, targets: Array) -> tuple[Kernel, float]:
    """The kernel of the highest marginal likelihood, and the variance that goes with it.

    The likelihood is taken times the priors, see `USUAL`.
    """
    axes = points.shape[1]
    if len(points) < 2 or not np.any(targets):
        length, omega, noise = USUAL
        return Kernel(np.full(axes, length), omega, noise), 1.0
    squares = np.square(points[:, None, :] - points[None, :, :])
    ages = np.abs(times[:, None] - times[None, :])
    ranges = (*[LENGTHS] * axes, OMEGA, NOISE)
    bounds = [(math.log(low), math.log(high)) for low, high in ranges]
    found = [
        minimize(
            _negative_log_posterior,
            np.log([*[length] * axes, omega, noise]),
            args=(squares, ages, targets),
            jac=True,
            bounds=bounds,
            method="L-BFGS-B",
            options={"maxiter": MOST_STEPS},
        )
        for length, omega, noise in STARTS
    ]
    best = min(found, key=lambda one: float(one.fun)).x
    *lengths, omega, noise = np.exp(best)
    kernel = Kernel(np.array(lengths), float(omega), float(noise))
    factor = cho_factor(kernel.of(points, times), lower=True)
    return kernel, float(targets @ cho_solve(factor, targets)) / len(targets)


def _negative_log_posterior(
    logs: Array, squares: Array, ages: Array, targets: Array
) -> tuple[float, Array]:
    """The same with the priors."""
    length, omega, noise = np.log(USUAL)
    off = logs - np.array([*[length] * (len(logs) - 2), omega, noise])
    value, gradient = _negative_log_likelihood(logs, squares, ages, targets)
    return value + 0.5 * float(off @ off), gradient + off


def _negative_log_likelihood(
    logs: Array, squares: Array, ages: Array, targets: Array
) -> tuple[float, Array]:
    """Of the targets, with the likeliest variance; and its gradient by the parameters' logs.

    ``squares`` holds squared differences by axis ``[rows, rows, axes]``.
    """
    *lengths, omega, noise = np.exp(logs)
    scaled = squares / np.square(lengths)
    signal = np.exp(-0.5 * scaled.sum(axis=2) + 0.5 * math.log1p(-omega) * ages)
    count = len(targets)
    factor = cho_factor(signal + noise * np.eye(count), lower=True)
    inverse = cho_solve(factor, np.eye(count))
    weights = inverse @ targets
    variance = float(targets @ weights) / count
    value = 0.5 * count * math.log(variance) + float(np.log(np.diag(factor[0])).sum())
    outer = 0.5 * (inverse - np.outer(weights, weights) / variance)
    by_length = np.einsum("ij,ijk->k", outer * signal, scaled)
    by_omega = -0.5 * omega / (1 - omega) * float((outer * signal * ages).sum())
    by_noise = noise * float(np.trace(outer))
    return value, np.array([*by_length, by_omega, by_noise])
