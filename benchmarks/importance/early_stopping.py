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
from collections.abc import Callable, Iterator, Mapping, Sequence
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
PARALLEL = "parallel"
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
PEER_SEEDS = 5
"""Seeds of each kind of world that Optuna's evaluators are shown: they take long."""
ON_WAYS = (
    "The truth is on the scale that a way analyzes on, which is not the same for all, and has the "
    "worst score seen where training diverges, as the analysis does. Optuna's "
    f"evaluators are given what finished, of the first {PEER_SEEDS} seeds at most."
)
Judged = Mapping[str, Judgement]
"""By way or peer, of one world."""


def judge(case: tuple[str, int, bool], trials: int, only_default: bool) -> Judged:
    """Judge every way to read one world, of a kind and a seed, and the peers if asked for."""
    name, seed, with_peers = case
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


def report(name: str, trials: int, judged: Sequence[Judged]) -> Iterator[str]:
    """Lines on one kind of world."""
    ways = dict.fromkeys(way for one in judged for way in one)
    of_way = {way: [one[way] for one in judged if way in one] for way in ways}
    yield f"\n## {name}\n"
    yield from error_rows(of_way)
    yield f"\n{ON_WAYS}\n"
    yield from trust_rows([(way, trials, of_way[way]) for way in WAYS if way in of_way])
    yield ""
    yield from bias_rows(of_way[DEFAULT])
    wrong = sum(not all(one.orders) for one in of_way[DEFAULT])
    yield f"\nSeeds in which the default asserts a wrong order: {wrong} of {len(judged)}."
    if LAST in of_way:
        yield gain_line(of_way[DEFAULT], of_way[LAST])
    if FULL in of_way and name == PARALLEL:
        yield agreement_line(of_way[DEFAULT], of_way[FULL])


def error_rows(of_way: Mapping[str, Sequence[Judgement]]) -> Iterator[str]:
    """Mean absolute errors by way."""
    yield row("way", "error of first-order shares", "of total shares", "refused")
    yield row(*["---"] * 4)
    for way, judged in of_way.items():
        errors = np.array([one.errors for one in judged if not one.refused]).reshape(-1, 2)
        means = [f"{mean:.3f}" for mean in errors.mean(axis=0)] if len(errors) else ["-", "-"]
        yield row(way, *means, f"{len(judged) - len(errors)} of {len(judged)}")


def bias_rows(judged: Sequence[Judgement]) -> Iterator[str]:
    """By how much the default's shares are too large on average, by hyperparameter."""
    yield row("hyperparameter", "true total", "bias of first-order", "bias of total")
    yield row(*["---"] * 4)
    ranked = [(one.ranking, one.truth) for one in judged if one.truth is not None]
    for place, known in enumerate(ranked[0][0] if ranked else ()):
        true = np.array([(truth.first[place], truth.total[place]) for _, truth in ranked])
        found = [(one[place].first.value, one[place].total.value) for one, _ in ranked]
        first, total = (np.array(found) - true).mean(axis=0)
        yield row(known.name, f"{true[:, 1].mean():.3f}", f"{first:+.3f}", f"{total:+.3f}")


def gain_line(default: Sequence[Judgement], last: Sequence[Judgement]) -> str:
    """The default against last results, seed by seed."""
    pairs = zip(default, last, strict=True)
    gain = np.array([other.errors[1] - one.errors[1] for one, other in pairs])
    gain = gain[~np.isnan(gain)]
    if len(gain) < 2:
        return "Too few seeds to compare with last results."
    return (
        f"Error of total shares by last results less that by default: {gain.mean():.3f} "
        f"(standard error {gain.std(ddof=1) / np.sqrt(len(gain)):.3f}); the default is the worse "
        f"in {(gain < 0).sum()} of {len(gain)} seeds."
    )


def agreement_line(default: Sequence[Judgement], full: Sequence[Judgement]) -> str:
    """Whether stopping changes the answer, which it ought not where curves are parallel."""
    pairs = [
        (getattr(stopped, kind), getattr(finished, kind).value)
        for one, other in zip(default, full, strict=True)
        if one.ranking and other.ranking
        for stopped, finished in zip(one.ranking, other.ranking, strict=True)
        for kind in ("first", "total")
    ]
    apart = [abs(stopped.value - value) for stopped, value in pairs]
    held = [stopped.low <= value <= stopped.high for stopped, value in pairs]
    return (
        f"Shares by default and where nothing was stopped differ by {np.mean(apart):.4f} on "
        f"average, {max(apart, default=0):.3f} at most; the default's intervals hold "
        f"{np.mean(held):.3f} of the latter."
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
    task = partial(judge, trials=trials, only_default=only_default)
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for name in names:
            cases = [(name, first_seed + one, peers and one < PEER_SEEDS) for one in range(seeds)]
            for line in report(name, trials, pool.map(task, cases, chunksize=1)):
                print(line, flush=True)


if __name__ == "__main__":
    main()
