"""What an analysis costs: CPU time on one thread."""

import time
from collections.abc import Callable, Iterator

from raytune_pipe.analysis.importance import rank_importance
from raytune_pipe.analysis.observations import trial_observations
from raytune_pipe.components.estimators import Expansion

from benchmarks.importance.problems import PROBLEMS, Problem, finished_run

RESAMPLES = 100


def our_seconds() -> Iterator[tuple[str, float]]:
    """A bare estimate, and whole rankings with the choice of the surrogate and all intervals."""
    of_name = {one.name: one for one in PROBLEMS}
    rows = trial_observations(finished_run(of_name["smooth valley"], 10_000, seed=0))

    def estimate() -> None:
        Expansion().fit(rows.space, rows.units, rows.target).shares()

    yield "estimate without intervals, 10,000 trials", _seconds(estimate)
    for name in ("smooth valley", "plateaus and a wave"):
        yield _whole_ranking(of_name[name])


def _whole_ranking(problem: Problem) -> tuple[str, float]:
    run, methods = finished_run(problem, 1000, seed=0), []
    took = _seconds(lambda: methods.append(rank_importance(run, resamples=RESAMPLES).method))
    chosen = "boosting" if "boosting" in methods[0] else "expansion"
    return f"ranking with {RESAMPLES} resamples, 1,000 trials, {chosen} chosen", took


def _seconds(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
