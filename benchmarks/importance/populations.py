"""Rankings of populations against the effects that their simulators are made of.

    python -m benchmarks.importance.populations --seeds 20

True shares are of the change that one epoch makes, over the space and evenly over the run, less
what the epoch alone does: a hyperparameter's first-order share is that of its mean effect over the
run, and what it does early and not late counts in its total share.
"""

from collections.abc import Iterator
from typing import NamedTuple

import click
import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from raytune_pipe.analysis.importance import rank_importance
from raytune_pipe.analysis.ranking import Importance
from raytune_pipe.search_space import SearchSpace

from benchmarks.importance.simulated_populations import (
    IDLE_WORLDS,
    WORLDS,
    State,
    World,
    experiment,
    population_run,
)

Array = NDArray[np.float64]

POINTS = 2**13
PHASES = np.linspace(0.02, 0.98, 13)
TYPICAL_LEVEL = -1.0
"""Effects do not depend on the level, but for a constant."""
SCHEDULERS = (
    {"interval_epochs": 1},
    {"interval_epochs": 2},
    {"interval_epochs": 1, "synchronous": False},
)


class Shares(NamedTuple):
    """First-order and total shares ``[axes]``."""

    first: Array
    total: Array


def true_shares(world: World, space: SearchSpace) -> Shares:
    """By brute force (Saltelli et al. 2010, doi:10.1016/j.cpc.2009.09.018)."""
    axes = len(space)
    sample = qmc.Sobol(2 * axes, scramble=True, rng=1).random(POINTS)
    left, right = _snapped(space, sample[:, :axes]), _snapped(space, sample[:, axes:])
    at_left, at_right = _effect(world, left), _effect(world, right)
    variance = float((at_left**2).mean())
    first, total = np.zeros(axes), np.zeros(axes)
    for axis in range(axes):
        mixed = left.copy()
        mixed[:, axis] = right[:, axis]
        at_mixed = _effect(world, mixed)
        gain = at_right.mean(axis=0) * (at_mixed - at_left).mean(axis=0)
        first[axis] = gain.mean() / variance
        total[axis] = ((at_left - at_mixed) ** 2).mean() / 2 / variance
    return Shares(first, total)


def _effect(world: World, units: Array) -> Array:
    """The change of each phase less its mean over the space, ``[phases, rows]``."""
    changes = np.array([world.step(State(TYPICAL_LEVEL, phase), units) for phase in PHASES])
    return np.asarray(changes - changes.mean(axis=1, keepdims=True))


def _snapped(space: SearchSpace, units: Array) -> Array:
    """Units of the values that they stand for."""
    maps = [one.distribution for one in space]
    columns = [
        [one.to_unit(one.from_unit(unit)) for unit in column]
        for one, column in zip(maps, units.T, strict=True)
    ]
    return np.array(columns).T


class Outcome(NamedTuple):
    """What the ranking of one run came to."""

    is_refused: bool
    is_first_right: bool
    error: float
    """Mean absolute error of the first-order shares; NaN where refused."""
    covered: float
    """Share of the first-order shares that lie in their intervals; NaN likewise."""
    is_asserted: bool
    """Whether any order is."""
    is_wrong: bool
    """Whether one of these is wrong."""


def outcome(importance: Importance, names: tuple[str, ...], truth: Shares) -> Outcome:
    """Compare a ranking with the true shares of these hyperparameters."""
    if importance.refused:
        return Outcome(True, False, np.nan, np.nan, False, False)
    of_name = {one.name: one.first for one in importance.ranking}
    first = [of_name[name] for name in names]
    asserted = [one for one in importance.verdicts if one.is_resolved]
    total = dict(zip(names, truth.total, strict=True))
    return Outcome(
        is_refused=False,
        is_first_right=importance.ranking[0].name == names[int(truth.total.argmax())],
        error=float(np.abs([one.value for one in first] - truth.first).mean()),
        covered=float(
            np.mean(
                [one.low <= true <= one.high for one, true in zip(first, truth.first, strict=True)]
            )
        ),
        is_asserted=bool(asserted),
        is_wrong=any(total[one.higher] < total[one.lower] for one in asserted),
    )


def rows(seeds: int, members: int, generations: int) -> Iterator[str]:
    """Lines of a Markdown table."""
    yield "| world | PBT | refused | error | coverage | top right | orders wrong | none asserted |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for scheduler in SCHEDULERS:
        epochs = generations * int(scheduler["interval_epochs"])
        for world in (*WORLDS, *IDLE_WORLDS):
            space = experiment(members, epochs, 0).space()
            truth = true_shares(WORLDS[0] if world.is_idle else world, space)
            found = [
                outcome(
                    rank_importance(
                        population_run(
                            world, members=members, epochs=epochs, seed=seed, **scheduler
                        )
                    ),
                    space.names,
                    truth,
                )
                for seed in range(seeds)
            ]
            yield _line(world, scheduler, found)


def _line(world: World, scheduler: dict[str, int], found: list[Outcome]) -> str:
    refused, right, error, covered, asserted, wrong = map(np.array, zip(*found, strict=True))
    kind = "with barrier" if scheduler.get("synchronous", True) else "asynchronous"
    every = f"{kind}, every {scheduler['interval_epochs']}"
    count = f"{len(asserted) - asserted.sum()} of {len(found)}"
    if world.is_idle:
        return f"| {world.name} | {every} | {refused.sum()} | - | - | - | - | {count} |"
    shown = f"{np.nanmean(error):.3f} | {np.nanmean(covered):.2f}"
    return (
        f"| {world.name} | {every} | {refused.sum()} | {shown} | {right.sum()} of {len(found)} "
        f"| {wrong.sum()} | {count} |"
    )


@click.command()
@click.option("--seeds", default=20, show_default=True)
@click.option("--members", default=16, show_default=True)
@click.option("--generations", default=25, show_default=True)
def main(seeds: int, members: int, generations: int) -> None:
    """Print the table."""
    for row in rows(seeds, members, generations):
        print(row, flush=True)


if __name__ == "__main__":
    main()
