"""Time to a good configuration with 1 to 500 workers: recorded curves, simulated time.

    python -m benchmarks.scale_workers                 # minutes of one core

Nothing is trained. The real decision makers hear the losses that `scale_curves` has recorded, in
the order in which so many workers would make them. Times are in trainings: the mean time that a
configuration takes to its last epoch. A search draws configurations of the table, evenly and
with replacement, until one has finished whose last loss is good enough.
"""

import statistics
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import click
import numpy as np

from raytune_pipe import load_experiment
from raytune_pipe.components.schedulers import Asha
from raytune_pipe.components.schedulers_populations import Pbt
from raytune_pipe.scheduling.decisions import DecisionMaker, TrialId
from raytune_pipe.scheduling.run_to_end import RunToEnd
from raytune_pipe.search_space import SearchSpace, Values

from benchmarks.importance.simulated_runs import digits_experiment
from benchmarks.scale_clock import Simulation
from benchmarks.scale_curves import EXPERIMENT, Curves, read_curves
from benchmarks.scale_halving import SynchronousHalving

ROW = "row"
"""What stands for the hyperparameters of a trial: its row in the table."""
MOST_TRIALS = 100_000
FACTOR = 3
BRACKET = 81
"""Trials of a bracket of synchronous halving: one of them reaches the last rung three times."""


class Search(NamedTuple):
    """How a search that draws configurations goes."""

    name: str
    maker: Callable[[int, int], DecisionMaker]
    """From the epochs of the budget and a seed."""
    released_first: bool = False


def asha(epochs: int, seed: int) -> DecisionMaker:
    """As experiments/asha_mlp.yaml has it."""
    scheduler = Asha(grace_epochs=1, reduction_factor=FACTOR)
    return scheduler.build(SearchSpace(()), [], epochs, seed)


SEARCHES = (
    Search("random", lambda _epochs, _seed: RunToEnd()),
    Search(
        "synchronous halving",
        lambda epochs, _seed: SynchronousHalving(size=BRACKET, epochs=epochs, factor=FACTOR),
        released_first=True,
    ),
    Search("ASHA", asha),
)


class Found(NamedTuple):
    """A search up to its first good configuration."""

    trainings: float
    """The time it took, in mean trainings."""
    started: int
    """Trials that had started."""
    epochs: int
    """Epochs that had been trained."""


def search(
    curves: Curves, how: Search, workers: int, best: int, seed: int, *, driver_s: float = 0.0
) -> Found:
    """Search until a finished trial is as good as the ``best`` best of the table.

    With ``driver_s``, each report takes the driver so many seconds.
    """
    rng = np.random.default_rng([seed, 8])
    target, simulation = (
        curves.target(best),
        Simulation(
            how.maker(curves.epochs, seed),
            drawn(curves, rng),
            lambda values, epoch: trained(curves, values, epoch),
            epochs=curves.epochs,
            workers=workers,
            driver_s=driver_s,
            released_first=how.released_first,
        ),
    )
    for epochs, (time_s, report, _, _) in enumerate(simulation, 1):
        if report.epoch >= curves.epochs and report.score <= target:
            return Found(time_s / curves.training_s, simulation.started, epochs)
    raise RuntimeError(f"a good configuration must be among {MOST_TRIALS:,} drawn, but none is")


def drawn(curves: Curves, rng: np.random.Generator) -> Iterator[tuple[TrialId, Values]]:
    """Trials whose configurations are drawn evenly, with replacement."""
    for number, row in enumerate(rng.integers(len(curves.values), size=MOST_TRIALS).tolist()):
        yield f"{number:05d}", {ROW: row}


def trained(curves: Curves, values: Values, epoch: int) -> tuple[float, float]:
    """The recorded loss of a row after an epoch, and what an epoch takes."""
    row = int(values[ROW] or 0)
    return float(curves.losses[row, epoch - 1]), float(curves.epoch_s[row])


class Population:
    """Members that are known by hyperparameters and train as the nearest recorded ones do.

    Weights are their age alone: a copy goes on along the curve of its new hyperparameters. So the
    losses say who would be copied, roughly, and the seconds how long members wait; how good a
    population becomes they do not say.
    """

    def __init__(self, curves: Curves) -> None:
        plain = load_experiment(EXPERIMENT).model_dump(mode="json")["search_space"]
        self.search_space = {name: plain[name] for name in plain if name != "optimizer"}
        self._space = digits_experiment(self.search_space, {"kind": "fifo"}, 1, 1, 0).space()
        rows = [i for i, one in enumerate(curves.values) if one["optimizer.kind"] == "sgd"]
        self._rows = np.array(rows)
        self._units = np.array([self._of(curves.values[row]) for row in rows])
        self._curves = curves
        self._nearest = cache(self._find)

    def train(self, values: Values, epoch: int) -> tuple[float, float]:
        """The loss after an epoch of what is nearest, and what an epoch takes."""
        return trained(self._curves, {ROW: self._nearest(self._of(values))}, epoch)

    def _of(self, values: Values) -> tuple[float, ...]:
        units = self._space.to_units({name: values[name] for name in self._space.names})
        return tuple(float(units[name] or 0) for name in self._space.names)

    def _find(self, units: tuple[float, ...]) -> int:
        distances = ((self._units - np.array(units)) ** 2).sum(axis=1)
        return int(self._rows[distances.argmin()])


class Lasted(NamedTuple):
    """A population from its first epoch to its last."""

    trainings: float
    """The time it took, in mean trainings."""
    used: float
    """Share of the workers' time in which they trained."""
    epochs: int
    """Epochs trained: copies that go back in age add some."""


def population_run(
    curves: Curves, population: Population, members: int, workers: int, seed: int, sync: bool
) -> Lasted:
    """Train a population to its end."""
    scheduler = Pbt(interval_epochs=FACTOR, quantile=0.25, synchronous=sync)
    plain = scheduler.model_dump(mode="json")
    made = digits_experiment(population.search_space, plain, members, curves.epochs, seed)
    plan = [(one.trial_id, one.values) for one in made.plan()]
    names = [name for name, _ in plan]
    simulation = Simulation(
        scheduler.build(made.space(), names, curves.epochs, seed),
        plan,
        population.train,
        epochs=curves.epochs,
        workers=workers,
        milestones=scheduler.milestones(curves.epochs),
    )
    epochs = sum(1 for _ in simulation)
    used = simulation.busy_s / simulation.now_s / workers
    return Lasted(simulation.now_s / curves.training_s, used, epochs)


def quartiles(numbers: list[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile."""
    low, middle, high = statistics.quantiles(numbers, n=4)
    return low, middle, high


def print_searches(curves: Curves, workers: tuple[int, ...], best: int, seeds: int) -> None:
    """One line for each search and number of workers."""
    share = best / len(curves.values)
    print(
        f"\nto one of the {best} best of {len(curves.values):,} ({share:.2%}): val_loss at most "
        f"{curves.target(best):.4f}, {curves.target(best) / curves.target(1):.2f} times the best's"
    )
    print("search               workers  trainings: median (quartiles)    speedup  trials  epochs")
    for how in SEARCHES:
        alone = 0.0
        for count in workers:
            found = [search(curves, how, count, best, seed) for seed in range(seeds)]
            low, middle, high = quartiles([one.trainings for one in found])
            alone = alone or middle * count
            trials, epochs = (
                statistics.median(getattr(one, name) for one in found)
                for name in ("started", "epochs")
            )
            print(
                f"{how.name:20} {count:7} {middle:10.2f} ({low:.2f} to {high:.2f})"
                f"{alone / middle:18.1f} {trials:7.0f} {epochs:7.0f}",
                flush=True,
            )


def print_populations(curves: Curves, members: int, seeds: int) -> None:
    """One line for each kind and number of workers."""
    population = Population(curves)
    print(f"\na population of {members}, a decision every {FACTOR} of {curves.epochs} epochs")
    print("kind          workers  trainings: median (quartiles)   speedup  workers used  epochs")
    for sync in (True, False):
        alone = 0.0
        for count in (1, members // 4, members // 2, members, 500):
            runs = [
                population_run(curves, population, members, count, seed, sync)
                for seed in range(seeds)
            ]
            low, middle, high = quartiles([one.trainings for one in runs])
            alone = alone or middle * count
            used = statistics.median(one.used for one in runs)
            epochs = statistics.median(one.epochs for one in runs)
            print(
                f"{'synchronous' if sync else 'asynchronous':13} {count:7}"
                f" {middle:8.2f} ({low:.2f} to {high:.2f}) {alone / middle:18.1f}"
                f" {used:12.0%} {epochs:8.0f}",
                flush=True,
            )


def print_driver(
    curves: Curves, workers: tuple[int, ...], driver_ms: tuple[float, float], seeds: int
) -> None:
    """How much longer ASHA takes where the driver takes its time over each report."""
    best = max(1, round(len(curves.values) / 1000))
    mean_s = float(curves.epoch_s.mean())
    print(f"\ndriver: {driver_ms[0]:g} ms a report and {driver_ms[1]:g} more per slot")
    print("workers  epochs of   times as long as with a driver that takes no time, median")
    for count in workers:
        service_s = (driver_ms[0] + driver_ms[1] * count) / 1000
        for epoch_s in (0.1, 1.0, 10.0, 60.0):
            slower = []
            for seed in range(seeds):
                free = search(curves, SEARCHES[-1], count, best, seed)
                scaled = service_s * mean_s / epoch_s
                loaded = search(curves, SEARCHES[-1], count, best, seed, driver_s=scaled)
                slower.append(loaded.trainings / free.trainings)
            print(f"{count:7} {epoch_s:8g} s {statistics.median(slower):10.2f}", flush=True)


@click.command()
@click.option("--workers", default=(1, 10, 100, 500), multiple=True, show_default=True)
@click.option("--best", default=(20, 2), multiple=True, show_default=True)
@click.option("--seeds", default=50, show_default=True)
@click.option("--members", default=(16, 64), multiple=True, show_default=True)
@click.option("--driver-ms", type=(float, float), help="Also with this driver: a report, a slot.")
def main(
    workers: tuple[int, ...],
    best: tuple[int, ...],
    seeds: int,
    members: tuple[int, ...],
    driver_ms: tuple[float, float] | None,
) -> None:
    """Print the tables of docs/scale.md."""
    curves = read_curves()
    print(f"{len(curves.values):,} configurations, {curves.epochs} epochs, {seeds} seeds")
    spread = np.quantile(curves.epoch_s, [0, 0.5, 1]) * 1000
    print("an epoch takes {:.1f} to {:.1f} ms, median {:.1f}".format(*spread[[0, 2, 1]]))
    if driver_ms:
        print_driver(curves, workers, driver_ms, seeds)
        return
    for each in best:
        print_searches(curves, workers, each, seeds)
    for size in members:
        print_populations(curves, size, seeds)


if __name__ == "__main__":
    main()
