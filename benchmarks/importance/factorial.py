"""The one check on real trainings: rankings of searches against the exact variance shares.

    python -m benchmarks.importance.factorial                       # from the committed table
    python -m benchmarks.importance.factorial --train FOLDER        # minutes on two cores

The table holds every validation loss of 1,024 configurations of a small net on digits, each trained
with two seeds, see `factorial_grid`. All configurations alike, its analysis of variance gives the
shares exactly, and searches over the grid need no more training.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from raytune_pipe.analysis.importance import rank_importance
from raytune_pipe.analysis.ranking import Importance
from raytune_pipe.results.reading import Results

from benchmarks.importance.factorial_anova import Anova, anova
from benchmarks.importance.factorial_grid import FIFO, GRID, SEEDS, SHAPE, read_losses, train_all
from benchmarks.importance.factorial_runs import ASHA, search

Array = NDArray[np.float64]

TABLE = Path(__file__).with_name("factorial.parquet")
ASSERTED = 0.95
"""P(a over b) from which an order counts as asserted."""


def reference(losses: Array, *, logarithmic: bool) -> Anova:
    """The exact shares of the final loss ``[cells, seeds, epochs]``; diverged is the worst seen."""
    final = losses[:, :, -1]
    final = np.where(np.isnan(final), np.nanmax(final), final)
    return anova((np.log(final) if logarithmic else final).reshape(*SHAPE, SEEDS))


def as_it_is(results: Results) -> Results:
    """What a user has."""
    return results


def last_result(results: Results) -> Results:
    """Stopped trials as if their last score were their final one."""
    status = results.trials["status"].replace("stopped_early", "completed")
    return _plain(results, results.trials.assign(status=status))


def finished_only(results: Results) -> Results:
    """Without the stopped trials, as the public tools read a run."""
    return _plain(results, results.trials[results.trials["status"] != "stopped_early"])


def _plain(results: Results, trials: pd.DataFrame) -> Results:
    experiment = {**results.experiment, "scheduler": {"kind": "fifo"}}
    reports = results.reports[results.reports["trial_id"].isin(trials["trial_id"])]
    return dataclasses.replace(results, trials=trials, reports=reports, experiment=experiment)


class Row(NamedTuple):
    """One way to search and to read the results."""

    name: str
    scheduler: Mapping[str, str | float]
    read: Callable[[Results], Results]


ROWS = (
    Row("random search", FIFO, as_it_is),
    Row("asha", ASHA, as_it_is),
    Row("asha, last result", ASHA, last_result),
    Row("asha, finished only", ASHA, finished_only),
    Row("asha, 10 % controls", {**ASHA, "control_fraction": 0.1}, as_it_is),
)


class Outcome(NamedTuple):
    """How one ranking compares with the exact shares."""

    refused: bool
    logarithmic: bool
    top_is_right: bool
    errors: Array
    """[2, axes], absolute, of first-order and total shares; NaN if refused."""
    covered: Array
    """[2, axes], 1 where the interval holds the exact share; NaN if refused."""
    right: int
    """Orders asserted that are right."""
    wrong: int


def compare(importance: Importance, exact: dict[bool, Anova]) -> Outcome:
    """Compare with the shares on the scale that the ranking chose: of the logarithm, or not."""
    logarithmic = importance.objective.startswith("log of ")
    truth = exact[logarithmic]
    if not importance.ranking:
        nothing = np.full((2, len(GRID)), np.nan)
        return Outcome(True, logarithmic, False, nothing, nothing, 0, 0)
    found = {one.name: one for one in importance.ranking}
    pairs = [
        (getattr(found[name], kind), share)
        for kind, shares in (("first", truth.first), ("total", truth.total))
        for name, share in zip(GRID, shares, strict=True)
    ]
    total = dict(zip(GRID, truth.total, strict=True))
    asserted = [
        total[one] > total[other]
        for one, others in importance.above.items()
        for other, probability in others.items()
        if probability >= ASSERTED
    ]
    return Outcome(
        refused=False,
        logarithmic=logarithmic,
        top_is_right=importance.ranking[0].name == max(total, key=lambda name: total[name]),
        errors=np.array([abs(one.value - share) for one, share in pairs]).reshape(2, -1),
        covered=np.array([one.low <= share <= one.high for one, share in pairs]).reshape(2, -1),
        right=sum(asserted),
        wrong=len(asserted) - sum(asserted),
    )


def print_reference(losses: Array, exact: dict[bool, Anova]) -> None:
    """The exact shares, and how much of the grid diverged."""
    print(f"diverged: {np.isnan(losses[:, :, -1]).mean():.1%} of {losses[:, :, -1].size} trainings")
    for logarithmic, truth in exact.items():
        print(f"\nexact shares of {'log of ' if logarithmic else ''}val_loss, all cells alike")
        for axis, name in enumerate(GRID):
            up_to_pairs = truth.first[axis] + truth.pairs[axis].sum()
            print(
                f"  {name:24} first {truth.first[axis]:.3f}  with pairs {up_to_pairs:.3f}"
                f"  total {truth.total[axis]:.3f}"
            )
        for left, right in zip(*np.triu_indices(len(GRID), 1), strict=True):
            names = " x ".join(np.array(list(GRID))[[left, right]])
            print(f"  {names:44} {truth.pairs[left, right]:.3f}")
        print(f"  higher interactions {truth.higher:.3f}, seed noise {truth.noise:.3f} of all")


def print_row(name: str, trials: int, outcomes: Sequence[Outcome], seconds: float) -> None:
    """One line of the table, over all seeds."""
    ranked = [one for one in outcomes if not one.refused]
    line = f"{name:20} {trials:6} {len(ranked):3} of {len(outcomes):2}"
    if ranked:
        errors = np.mean([one.errors for one in ranked], axis=(0, 2))
        covered = np.mean([one.covered for one in ranked], axis=(0, 2))
        top = sum(one.top_is_right for one in ranked)
        logarithmic = sum(one.logarithmic for one in ranked)
        right, wrong = (sum(getattr(one, kind) for one in ranked) for kind in ("right", "wrong"))
        line += f" {logarithmic:6} {top:5}   {errors[0]:.3f} / {errors[1]:.3f}"
        line += f"   {covered[0]:.2f} / {covered[1]:.2f} {right:8} / {wrong:<5}"
    print(f"{line} {seconds / len(outcomes):5.1f}", flush=True)


@click.command()
@click.option("--train", type=click.Path(path_type=Path), help="Train the grid into this folder.")
@click.option("--from-table", type=click.Path(exists=True, path_type=Path), default=TABLE)
@click.option("--seeds", default=10, show_default=True, help="Searches of each kind and size.")
@click.option("--trials", default=(64, 128, 256), multiple=True, show_default=True)
def main(train: Path | None, from_table: Path, seeds: int, trials: tuple[int, ...]) -> None:
    """Compare rankings of searches over the grid with its exact shares."""
    if train:
        train_all(train)
        from_table = train / TABLE.name
    losses = read_losses(from_table)
    exact = {
        logarithmic: reference(losses, logarithmic=logarithmic) for logarithmic in (False, True)
    }
    print_reference(losses, exact)
    print(
        "\nsearch               trials    ranked  logs  top   error of first/total"
        "  coverage   orders right/wrong  s"
    )
    for size in trials:
        for row in ROWS:
            started = time.perf_counter()
            outcomes = [
                compare(rank_importance(row.read(search(losses, row.scheduler, size, seed))), exact)
                for seed in range(seeds)
            ]
            print_row(row.name, size, outcomes, time.perf_counter() - started)


if __name__ == "__main__":
    main()
