"""Rankings of finished random searches against the true shares, ours beside Optuna's.

    python -m benchmarks.importance.finished --seeds 10          # an hour and a half on one core
    python -m benchmarks.importance.finished --seeds 2 --trials 100 --no-peers

Errors are means over the hyperparameters of a problem and over seeds, with noise of 0.1 standard
deviations. Optuna's importances add up to 1 and claim to be neither first-order nor total shares,
so they are compared with both. Coverage is that of 90 % intervals on random functions that no
estimator was developed on. Peers need the extra `optuna`.
"""

from collections.abc import Iterable, Iterator, Sequence

import click
from threadpoolctl import threadpool_limits

from benchmarks.importance.judging import Judgement, judge_ours, judge_peers
from benchmarks.importance.problems import MIXED, PROBLEMS, Problem, finished_run
from benchmarks.importance.problems import held_out as random_problem
from benchmarks.importance.seconds import our_seconds
from benchmarks.importance.table import OURS, Judged, error_rows, seconds_rows, trust_rows

FUNCTIONS_PER_SEED = 4
"""Held-out functions, each with one run: what varies most is the function."""
FOR_SECONDS = "smooth valley"
MEAN = "**the six mixed ones**"
HELD_OUT = "held-out functions"
ON_PEERS = (
    "Optuna's fANOVA and MDI leave conditional hyperparameters out, which counts as 0, and none of "
    "the three sees trials that diverged."
)


def judge(runs: Iterable[tuple[Problem, int]], trials: int, with_peers: bool) -> Judged:
    """Judge all tools on runs of problems, each with its seed."""
    judged: dict[str, list[Judgement]] = {OURS: []}
    for problem, seed in runs:
        click.echo(f"{problem.name}, {trials} trials, seed {seed}", err=True)
        run = finished_run(problem, trials, seed)
        judged[OURS].append(judge_ours(problem, run))
        for peer, one in (judge_peers(problem, run) if with_peers else {}).items():
            judged.setdefault(peer, []).append(one)
    return judged


def merged(parts: Sequence[Judged]) -> Judged:
    """All runs of several problems."""
    return {tool: [one for part in parts for one in part[tool]] for tool in parts[0]}


def report(seeds: int, trials: Sequence[int], with_peers: bool) -> Iterator[str]:
    """Lines of the three tables."""
    errors, trust = [], []
    peers_seconds: dict[str, float] = {}
    for count in trials:
        groups = judge_all(seeds, count, with_peers)
        errors += [(name, count, judged) for name, judged in groups.items()]
        known = merged([groups[one.name] for one in PROBLEMS])
        trust += [("development", count, known[OURS]), (HELD_OUT, count, groups[HELD_OUT][OURS])]
        peers_seconds |= {
            f"Optuna's {tool} without intervals, {count:,} trials": judged[0].seconds
            for tool, judged in groups[FOR_SECONDS].items()
            if tool != OURS
        }
    yield from error_rows(errors)
    yield f"\n{ON_PEERS}\n" if with_peers else ""
    yield from trust_rows(trust)
    yield ""
    yield from seconds_rows(dict(our_seconds()) | peers_seconds)


def judge_all(seeds: int, trials: int, with_peers: bool) -> dict[str, Judged]:
    """Judgements by row of the table of errors: problems, their mean, and the held-out ones."""
    groups = {
        one.name: judge([(one, seed) for seed in range(seeds)], trials, with_peers)
        for one in PROBLEMS
    }
    random = [(random_problem(seed), seed) for seed in range(FUNCTIONS_PER_SEED * seeds)]
    mixed = [groups[one.name] for one in PROBLEMS if one.space is MIXED]
    return groups | {MEAN: merged(mixed), HELD_OUT: judge(random, trials, with_peers)}


@click.command()
@click.option("--seeds", default=10, show_default=True, help="Runs of each problem.")
@click.option(
    "--trials", multiple=True, default=(100, 1000), show_default=True, help="Trials of a run."
)
@click.option("--peers/--no-peers", default=True, show_default=True, help="Also Optuna's three.")
def main(seeds: int, trials: tuple[int, ...], peers: bool) -> None:
    """Print the tables."""
    with threadpool_limits(limits=1):
        for line in report(seeds, trials, peers):
            print(line)


if __name__ == "__main__":
    main()
