"""The explore step of population-based training (Jaderberg et al. 2017, arXiv:1711.09846)."""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from raytune_pipe.base import Value
from raytune_pipe.distributions import drawn
from raytune_pipe.scheduling.decisions import Change
from raytune_pipe.search_space import Hyperparameter, SearchSpace, Values

Operation = Literal["copy", "perturb", "resample", "select"]


class Explored(NamedTuple):
    """A hyperparameter's new value, and how it came from the donor's."""

    value: Value
    operation: Operation


Move = Callable[[Hyperparameter, Value], Explored]
"""From a hyperparameter and the donor's value to the new one."""


def explore(
    space: SearchSpace,
    values: Values,
    draw: Callable[[str], float],
    *,
    perturbation: float,
    resample_probability: float,
) -> dict[str, Explored]:
    """Move or resample every searched hyperparameter; the result lies in the space.

    ``values`` are the donor's. ``draw`` gives a unit in [0, 1) for each name. A move is by
    ``perturbation`` units of the declared scale, up or down, and held at the bounds; an ordered
    choice moves to a neighbour, an unordered one stays. A hyperparameter that comes to apply
    because a parent changed is resampled; one that ceases to apply is None.
    """

    def move(hyperparameter: Hyperparameter, value: Value) -> Explored:
        unit = draw(hyperparameter.name)
        return step_or_resample(hyperparameter, value, unit, perturbation, resample_probability)

    return explored_by(space, values, move)


def explored_by(space: SearchSpace, values: Values, move: Move) -> dict[str, Explored]:
    """Move every hyperparameter that applies, given the new values of its parents; others are None.

    ``move`` is given None for one that did not apply before.
    """
    explored: dict[str, Explored] = {}
    new_values: dict[str, Value] = {}
    for hyperparameter in space:
        name = hyperparameter.name
        if unmet := hyperparameter.unmet(new_values):
            explored[name] = Explored(None, explored[unmet.parent].operation)
        else:
            explored[name] = move(hyperparameter, values.get(name))
        new_values[name] = explored[name].value
    return explored


def changes(before: Values, explored: Mapping[str, Explored]) -> tuple[Change, ...]:
    """The hyperparameters that an exploit changes, from the loser's own values to the new ones."""
    return tuple(
        Change(name, operation, before.get(name), value)
        for name, (value, operation) in explored.items()
        if value != before.get(name)
    )


def step_or_resample(
    hyperparameter: Hyperparameter,
    value: Value,
    unit: float,
    perturbation: float,
    resample_probability: float,
) -> Explored:
    """Use one draw for all: its low part resamples, the rest is halved into down and up.

    None, of a hyperparameter that did not apply before, is always resampled.
    """
    distribution = hyperparameter.distribution
    if value is None:
        resample_probability = 1.0
    if unit < resample_probability:
        return Explored(drawn(distribution, unit / resample_probability), "resample")
    goes_up = unit >= (1 + resample_probability) / 2
    moved = distribution.step(value, perturbation if goes_up else -perturbation)
    return Explored(moved, "copy" if moved == value else "perturb")
