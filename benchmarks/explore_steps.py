"""How many explore steps of population-based training leave the declared search space.

Ours and Ray Tune's on the same space, each step starting from the result of the one before and
every 50 steps from a fresh sample, as a lineage of exploits does. Ray gets numbers to choose from
as `tune.choice`, the counterpart of our choice; as a plain list they would stay inside.

    python benchmarks/explore_steps.py --steps 100000
"""

import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import click

from raytune_pipe.base import Value
from raytune_pipe.distributions import Choice, IntUniform, LogIntUniform, LogUniform, Uniform
from raytune_pipe.scheduling.explore import explore
from raytune_pipe.search_space import Condition, Hyperparameter, SearchSpace, Values

SPACE = SearchSpace(
    (
        Hyperparameter("optimizer.lr", LogUniform(low=1e-4, high=1.0)),
        Hyperparameter("model.dropout", Uniform(low=0.0, high=0.5)),
        Hyperparameter("schedule.patience", IntUniform(low=1, high=10)),
        Hyperparameter("accumulate", LogIntUniform(low=1, high=64)),
        Hyperparameter("batch_size", Choice(options=(16, 32, 64, 128))),
        Hyperparameter("optimizer.nesterov", Choice(options=(True, False))),
        Hyperparameter("activation", Choice(options=("relu", "gelu", "silu"))),
        Hyperparameter("optimizer.kind", Choice(options=({"kind": "sgd"}, {"kind": "adamw"}))),
        Hyperparameter(
            "optimizer.momentum",
            Uniform(low=0.8, high=0.99),
            (Condition("optimizer.kind", ("sgd",)),),
        ),
        Hyperparameter(
            "optimizer.beta2",
            LogUniform(low=0.9, high=0.9999),
            (Condition("optimizer.kind", ("adamw",)),),
        ),
    )
)
STEPS_PER_LINEAGE = 50


def count_outside(
    space: SearchSpace, step: Callable[[Values], dict[str, Value]], steps: int, seed: int
) -> Counter[str]:
    """Steps whose result lies outside, by hyperparameter; "any" counts each such step once."""
    rng, outside = random.Random(seed), Counter[str]()
    values: dict[str, Value] = {}
    for number in range(steps):
        if number % STEPS_PER_LINEAGE == 0:
            values = space.from_units({name: rng.random() for name in space.names})
        values = step(values)
        left = [name for name in space.names if not lies_inside(space, name, values)]
        outside.update([*left, "any"] if left else [])
    return outside


def lies_inside(space: SearchSpace, name: str, values: Values) -> bool:
    """Whether the value is in its range, or absent where the hyperparameter does not apply."""
    if not space.is_active(name, values):
        return values[name] is None
    return space[name].distribution.contains(values[name])


def our_step(seed: int) -> Callable[[Values], dict[str, Value]]:
    rng = random.Random(seed)

    def step(values: Values) -> dict[str, Value]:
        explored = explore(
            SPACE, values, lambda _: rng.random(), perturbation=0.1, resample_probability=0.25
        )
        return {name: new.value for name, new in explored.items()}

    return step


def rays_step(space: SearchSpace) -> Callable[[Values], dict[str, Value]]:
    """Ray's own step with its defaults: resampled with probability 0.25, else times 0.8 or 1.2."""
    from ray import tune
    from ray.tune.schedulers.pbt import _explore

    def domain(distribution: Any) -> Any:
        match distribution:
            case Uniform(low=low, high=high):
                return tune.uniform(low, high)
            case LogUniform(low=low, high=high):
                return tune.loguniform(low, high)
            case IntUniform(low=low, high=high):
                return tune.randint(low, high + 1)
            case LogIntUniform(low=low, high=high):
                return tune.lograndint(low, high + 1)
            case _:
                ordered = distribution.ordered
                return tune.choice(distribution.labels) if ordered else list(distribution.labels)

    mutations = {
        hyperparameter.name: domain(hyperparameter.distribution) for hyperparameter in space
    }

    def step(values: Values) -> dict[str, Value]:
        config: dict[str, Value] = _explore(dict(values), mutations, 0.25, (1.2, 0.8), None)[0]
        return config

    return step


@click.command()
@click.option("--steps", default=100_000, show_default=True, help="Explore steps of each.")
@click.option("--seed", default=0, show_default=True)
def main(steps: int, seed: int) -> None:
    """Count, print, and exit with 1 if one of our steps left the space."""
    random.seed(seed)  # Ray draws from the process-wide generator
    flat = SearchSpace(tuple(Hyperparameter(h.name, h.distribution) for h in SPACE))
    started = time.perf_counter()
    ours = count_outside(SPACE, our_step(seed), steps, seed)
    our_time = time.perf_counter() - started
    rays = count_outside(flat, rays_step(flat), steps, seed)
    print(f"{steps} explore steps of each, {STEPS_PER_LINEAGE} in a row; outside the space:")
    print(f"{'':24}{'raytune-pipe':>14}{'Ray Tune':>14}")
    for name in [*SPACE.names, "any"]:
        print(f"{name:24}{ours[name]:>14}{rays[name]:>8} {rays[name] / steps:>5.0%}")
    print(
        f"Ours: {our_time / steps * 1e6:.0f} us a step. Ray knows no conditions: all names apply."
    )
    sys.exit(1 if ours["any"] else 0)


if __name__ == "__main__":
    main()
