"""Random searches of known functions, with fits; and the functions themselves as surrogates."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from raytune_pipe.analysis.fits import Fits
from raytune_pipe.analysis.fitting import HeldOut, RowFitter
from raytune_pipe.analysis.grids import masked, snapped
from raytune_pipe.analysis.observations import Observations
from raytune_pipe.analysis.resampling import resample_weights
from raytune_pipe.components.estimators import Expansion
from raytune_pipe.components.surrogates import Shares
from raytune_pipe.distributions import Choice, LogUniform, Uniform
from raytune_pipe.search_space import Hyperparameter, SearchSpace

Array = NDArray[np.float64]
Function = Callable[[Array], Array]

SPACE = SearchSpace(
    (
        Hyperparameter("optimizer.lr", LogUniform(low=1e-4, high=1.0)),
        Hyperparameter("batch_size", Choice(options=(16, 32, 64, 128))),
        Hyperparameter("optimizer.momentum", Uniform(low=0.0, high=1.0)),
        Hyperparameter("model.dropout", Uniform(low=0.0, high=0.5)),
        Hyperparameter(
            "model.activation", Choice(options=("relu", "tanh", "gelu"), role="scientific")
        ),
    )
)


def valley(units: Array) -> Array:
    """The best learning rate rises with the batch size; dropout and activation do nothing."""
    lr, batch, momentum, _, _ = units.T
    result: Array = 6 * (lr - 0.5 - 0.3 * (batch - 0.5)) ** 2 + 0.5 * (momentum - 0.6) ** 2
    return result


def still_valley(units: Array) -> Array:
    """The same with a best learning rate that stays where it is."""
    lr, _, momentum, _, _ = units.T
    result: Array = 6 * (lr - 0.5) ** 2 + 0.5 * (momentum - 0.6) ** 2
    return result


def nothing(units: Array) -> Array:
    return np.zeros(len(units))


class Searched(NamedTuple):
    fits: Fits
    rows: Observations
    held_out: HeldOut


def drawn(trials: int, seed: int, space: SearchSpace = SPACE) -> Array:
    """Units of a random search, NaN where one does not apply."""
    units = np.random.default_rng(seed).random((trials, len(space)))
    columns = [snapped(one.distribution, units[:, axis]) for axis, one in enumerate(space)]
    return masked(space, np.column_stack(columns))


def observed(space: SearchSpace, units: Array, target: Array, status: Array) -> Observations:
    trials = len(units)
    return Observations(
        space=space,
        units=units,
        target=target,
        clusters={"trials": np.arange(trials)},
        objective="val_loss, last report",
        trial_ids=tuple(f"{number:05d}" for number in range(trials)),
        status=tuple(status.tolist()),
    )


@cache
def search(
    function: Function, trials: int = 100, seed: int = 0, noise: float = 0.1, refits: int = 20
) -> Searched:
    """A search of `SPACE`; noise in standard deviations of the function, or of 1 if it is flat."""
    rng = np.random.default_rng(seed)
    units = drawn(trials, seed)
    target = function(units)
    target = target + noise * (target.std() or 1.0) * rng.standard_normal(trials)
    rows = observed(SPACE, units, target, np.full(trials, "completed"))
    fitter = RowFitter(rows, Expansion())
    weights = [resample_weights(rows.clusters, rng) for _ in range(refits)]
    return Searched(fitter.fits(weights), rows, fitter.held_out(rng))


@dataclass(frozen=True)
class Exact:
    """A function as its own surrogate."""

    function: Function

    def predict(self, units: Array) -> Array:
        return self.function(units)

    def shares(self) -> Shares:
        raise NotImplementedError

    def expected(self, axes: tuple[int, ...], units: Array) -> Array:
        raise NotImplementedError


def exactly(function: Function, space: SearchSpace = SPACE) -> Fits:
    """Fits without any doubt."""
    return Fits(space, Exact(function), (Exact(function), Exact(function)))


def same(targets: Array) -> Array:
    """A metric that is the target."""
    return targets
