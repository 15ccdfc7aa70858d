"""PB2 against PBT and random search in simulated training: final loss of the best member.

    python -m benchmarks.pb2_against_pbt

Every search has as many members as the others, which all train to the end. The worlds are those of
the populations' analysis (benchmarks/importance/simulated_populations.py): weights that improve at
a rate that the hyperparameters decide, and weights that approach a level.
"""

import math
import statistics
from collections.abc import Sequence
from typing import Any

import click

from raytune_pipe.results.reading import Results

from benchmarks.importance.simulated_populations import WORLDS, World, population_run

EPOCHS = 25
SEARCHES: dict[str, dict[str, Any]] = {
    "random": {"kind": "fifo"},
    "pbt": {"kind": "pbt"},
    "pb2": {"kind": "pb2"},
}


def final_loss(run: Results) -> float:
    """Logarithm of the lowest loss that a member of full age ends with."""
    reports = run.reports
    whole = reports[reports["epoch"].astype(float) >= EPOCHS]
    return math.log(float(whole["score"].astype(float).min()))


def losses(world: World, members: int, search: str, seeds: Sequence[int]) -> list[float]:
    """By seed; a search without any member of full age has the loss before training."""
    return [
        final_loss(
            population_run(world, members=members, epochs=EPOCHS, seed=seed, **SEARCHES[search])
        )
        for seed in seeds
    ]


def row(world: World, members: int, found: dict[str, list[float]]) -> str:
    """A line of the table: means, and how often PB2 ends below each of the others."""
    means = " | ".join(f"{statistics.mean(each):+.3f}" for each in found.values())
    wins = [
        sum(one < other for one, other in zip(found["pb2"], found[search], strict=True))
        for search in ("pbt", "random")
    ]
    gains = [p - b for p, b in zip(found["pbt"], found["pb2"], strict=True)]
    error = statistics.stdev(gains) / math.sqrt(len(gains))
    return (
        f"| {world.name} | {members} | {means} | {statistics.mean(gains):+.3f} ± {error:.3f} "
        f"| {wins[0]} | {wins[1]} |"
    )


@click.command()
@click.option("--seeds", default=30, show_default=True)
@click.option("--members", multiple=True, type=int, default=(4, 8), show_default=True)
def main(seeds: int, members: Sequence[int]) -> None:
    """Print the table."""
    names = " | ".join(SEARCHES)
    print(f"| world | members | {names} | gain over pbt | better than pbt | than random |")
    print("| --- " * (5 + len(SEARCHES)) + "|", flush=True)
    for world in WORLDS:
        for count in members:
            found = {each: losses(world, count, each, range(seeds)) for each in SEARCHES}
            print(row(world, count, found), flush=True)


if __name__ == "__main__":
    main()
