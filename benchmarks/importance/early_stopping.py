"""Rankings of early-stopped searches against the true shares at the full budget.

    python -m benchmarks.importance.early_stopping --seeds 20            # an hour on one core
    python -m benchmarks.importance.early_stopping --seeds 100 --only-default --no-peers

Asynchronous successive halving with rungs at 1, 3, 9, 27 and 81 epochs. Every seed is another world
(`simulated_curves`), searched by the same trials with the same noise under each way to stop and to
read the results. ``last result`` takes stopped trials for finished ones; ``finished only`` leaves
them out, as public tools do; ``nothing stopped`` is what could be had at nine times the price.
"""

import dataclasses
import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import click
import numpy as np
from threadpoolctl import threadpool_limits

from raytune_pipe.components.estimators import Estimator, Expansion
from raytune_pipe.results.reading import Results

from benchmarks.importance.judging import Judgement, judge_ours, judge_peers
from benchmarks.importance.simulated_curves import ASHA, FIFO, FORMULAS, search, world
from benchmarks.importance.table import row, trust_rows

DEFAULT, LAST, FULL = "default", "last result", "nothing stopped"
FINISHED = "finished only"
CONTROLS = {**ASHA, "control_fraction": 0.1}


def all_trials(run: Results) -> Results:
    """What a user has."""
    return run


def finished_only(run: Results) -> Results:
    """Without the stopped trials."""
    kept = run.trials[run.trials["status"] != "stopped_early"]
    reports = run.reports[run.reports["trial_id"].isin(kept["trial_id"])]
    return dataclasses.replace(run, trials=kept, reports=reports)


class Way(NamedTuple):
    """One way to search and to read the results."""

    scheduler: Mapping[str, str | float]
    read: Callable[[Results], Results] = all_trials
    estimator: Estimator | None = None


WAYS: Mapping[str, Way] = {
    DEFAULT: Way(ASHA),
    LAST: Way(ASHA, estimator=Expansion()),
    FINISHED: Way(ASHA, read=finished_only),
    "default, 10 % controls": Way(CONTROLS),
    FULL: Way(FIFO),
    f"{FULL}, plain": Way(FIFO, estimator=Expansion()),
}
Judged = dict[str, Judgement]


def judge(case: tuple[str, int], trials: int, with_peers: bool, only_default: bool) -> Judged:
    """Judge every way to read one world."""
    name, seed = case
    with threadpool_limits(limits=1):
        one = world(name, seed)
        judged = {}
        for way, (scheduler, read, estimator) in WAYS.items():
            if not only_default or way == DEFAULT:
                run = read(search(one, scheduler, trials, seed))
                judged[way] = judge_ours(one.problem, run, estimator=estimator)
        if with_peers:
            run = search(one, ASHA, trials, seed)
            judged |= judge_peers(one.problem, run, finished_only(run))
    return judged


def report(name: str, judged: list[Judged]) -> Iterator[str]:
    """Lines on one kind of world."""
    yield f"\n{name}\n"
    yield row("way", "error of first-order shares", "of total shares", "refused")
    yield row(*["---"] * 4)
    for way in judged[0]:
        errors = np.array([one[way].errors for one in judged])
        if np.isnan(errors).all():
            yield row(way, "-", "-", f"{len(errors)} of {len(errors)}")
            continue
        first, total = (f"{mean:.3f}" for mean in np.nanmean(errors, axis=0))
        yield row(way, first, total, f"{np.isnan(errors[:, 0]).sum()} of {len(errors)}")
    yield ""
    yield from trust_rows([(DEFAULT, 300, [one[DEFAULT] for one in judged])])
    wrong = sum(not all(one[DEFAULT].orders) for one in judged)
    yield f"\nSeeds in which the default asserts a wrong order: {wrong} of {len(judged)}."
    if LAST in judged[0]:
        gain = np.array([one[LAST].errors[1] - one[DEFAULT].errors[1] for one in judged])
        gain = gain[~np.isnan(gain)]
        error = gain.std() / np.sqrt(len(gain))
        yield (
            f"Error of total shares by last results less that by default: {gain.mean():.3f} "
            f"(standard error {error:.3f}); the default is the better in {(gain > 0).sum()} of "
            f"{len(gain)} seeds."
        )


@click.command()
@click.option("--seeds", default=20, show_default=True, help="Worlds of each kind.")
@click.option("--first-seed", default=0, show_default=True)
@click.option("--trials", default=300, show_default=True)
@click.option("--world", "names", multiple=True, default=tuple(FORMULAS), show_default=True)
@click.option("--peers/--no-peers", default=True, show_default=True, help="Also Optuna's three.")
@click.option("--only-default", is_flag=True, help="Leave out all other ways.")
@click.option("--workers", default=1, show_default=True, help="Processes.")
def main(
    seeds: int,
    first_seed: int,
    trials: int,
    names: tuple[str, ...],
    peers: bool,
    only_default: bool,
    workers: int,
) -> None:
    """Print a table for each kind of world."""
    task = partial(judge, trials=trials, with_peers=peers, only_default=only_default)
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for name in names:
            cases = [(name, seed) for seed in range(first_seed, first_seed + seeds)]
            for line in report(name, pool.map(task, cases, chunksize=1)):
                print(line, flush=True)


if __name__ == "__main__":
    main()
