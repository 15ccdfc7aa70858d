"""How an analysis of one finished run compares with the true shares."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from raytune_pipe.analysis.importance import rank_importance
from raytune_pipe.analysis.ranking import HyperparameterImportance, Importance
from raytune_pipe.components.estimators import Boosting, Estimator
from raytune_pipe.components.surrogates import Shares
from raytune_pipe.results.reading import Results

from benchmarks.importance.problem import Problem
from benchmarks.importance.truth import linear_shares, true_shares

Array = NDArray[np.float64]

NOTICEABLE = 0.005
"""Shares from which on the coverage of intervals is counted apart from that of all shares."""
ASSERTED = 0.95
"""P(a over b) from which an order counts as asserted."""


@dataclass(frozen=True)
class Judgement:
    """One analysis of one run against the truth."""

    errors: tuple[float, float]
    """Mean absolute error of first-order and of total shares over the hyperparameters; NaN where
    nothing was ranked."""
    seconds: float
    """CPU time."""
    by_trees: bool = False
    """Whether boosting was chosen over the expansion."""
    held: Mapping[str, list[bool]] = field(default_factory=dict)
    """Whether intervals hold the true shares: of ``first``, of ``large first`` (above
    `NOTICEABLE`) and of ``large total``."""
    orders: tuple[bool, ...] = ()
    """Whether each order that was asserted is right."""
    ranking: tuple[HyperparameterImportance, ...] = ()
    """In the order of the space; empty where nothing was ranked, and of peers."""
    truth: Shares | None = None
    """None likewise."""

    @property
    def refused(self) -> bool:
        """Whether nothing was ranked."""
        return bool(np.isnan(self.errors[0]))


def judge_ours(
    problem: Problem, run: Results, resamples: int = 100, estimator: Estimator | None = None
) -> Judgement:
    """What `rank_importance` says, by default with the estimator that it chooses."""
    start = time.process_time()
    importance = rank_importance(run, resamples=resamples, estimator=estimator)
    seconds = time.process_time() - start
    if importance.refused:
        return Judgement((np.nan, np.nan), seconds)
    truth = true_shares(problem, run)
    names = problem.space.names
    of_name = {one.name: one for one in importance.ranking}
    first = np.array([of_name[name].first for name in names])
    total = np.array([of_name[name].total for name in names])
    return Judgement(
        errors=_errors(first[:, 0], total[:, 0], truth),
        seconds=seconds,
        by_trees=Boosting().kind in importance.method,
        held={
            "first": _held(first, truth.first, -np.inf),
            "large first": _held(first, truth.first, NOTICEABLE),
            "large total": _held(total, truth.total, NOTICEABLE),
        },
        orders=_orders(importance, dict(zip(names, truth.total.tolist(), strict=True))),
        ranking=tuple(of_name[name] for name in names),
        truth=truth,
    )


def judge_peers(
    problem: Problem, run: Results, finished: Results | None = None
) -> dict[str, Judgement]:
    """What Optuna's evaluators say of a run, or of the part of it that ``finished``, by name.

    Their importances are neither first-order nor total shares, so both are compared. The truth is
    that of the score as it is, which is what they are given.
    """
    from benchmarks.importance.peers import PEERS, peer_importances, study_of

    study, truth = study_of(finished or run), linear_shares(problem, run)
    found = {}
    for peer in PEERS:
        start = time.process_time()
        importances = peer_importances(study, peer)
        seconds = time.process_time() - start
        shares = np.array([importances.get(name, 0.0) for name in problem.space.names])
        found[peer] = Judgement(_errors(shares, shares, truth), seconds)
    return found


def _errors(first: Array, total: Array, truth: Shares) -> tuple[float, float]:
    return (
        float(np.abs(first - truth.first).mean()),
        float(np.abs(total - truth.total).mean()),
    )


def _held(estimates: Array, truth: Array, above: float) -> list[bool]:
    """Of estimates ``[axes, (value, low, high)]``, where the truth is above something."""
    _, low, high = estimates.T
    held: list[bool] = ((low <= truth) & (truth <= high))[truth > above].tolist()
    return held


def _orders(importance: Importance, total: Mapping[str, float]) -> tuple[bool, ...]:
    return tuple(
        total[higher] > total[lower]
        for higher, others in importance.above.items()
        for lower, probability in others.items()
        if probability >= ASSERTED
    )
