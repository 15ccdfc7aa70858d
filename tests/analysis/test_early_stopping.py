"""Runs with stopped trials, from their tables to a ranking."""

from collections import deque
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from raytune_pipe.analysis.early_stopping import stopped_curves
from raytune_pipe.analysis.importance import rank_importance
from raytune_pipe.analysis.observations import trial_observations
from raytune_pipe.components.estimators import Expansion
from raytune_pipe.components.schedulers import Hyperband, Median
from raytune_pipe.distributions import LogUniform, Uniform
from raytune_pipe.results.reading import Results
from raytune_pipe.scheduling.decisions import Report
from raytune_pipe.search_space import Hyperparameter, SearchSpace

Array = NDArray[np.float64]
SPACE = SearchSpace(
    (
        Hyperparameter("optimizer.lr", LogUniform(low=1e-4, high=1.0)),
        Hyperparameter("model.dropout", Uniform(low=0.0, high=0.5)),
        Hyperparameter("optimizer.momentum", Uniform(low=0.0, high=0.99)),
    )
)
RUNGS = (1, 3, 9, 27)


def curves_of(units: Array, rng: np.random.Generator) -> Array:
    """Losses ``[trials, epochs]``: at first the rate decides, at the end the dropout."""
    lr, dropout, _ = units.T
    epochs = np.arange(1, RUNGS[-1] + 1)
    full = 1.0 + (dropout - 0.8) ** 2
    early = 1.5 * (lr - 0.6) ** 2 + 0.8 * dropout
    losses: Array = full[:, None] + early[:, None] / epochs
    return losses + 0.005 * rng.standard_normal(losses.shape)


def results_of(units: Array, losses: Array, ends: NDArray[np.int64]) -> Results:
    """Tables of a run in which trial i ended after ``ends[i]`` epochs."""
    values = [SPACE.from_units(dict(zip(SPACE.names, row, strict=True))) for row in units]
    trials = pd.DataFrame(values).assign(
        trial_id=[f"{number:05d}" for number in range(len(units))],
        status=np.where(ends < RUNGS[-1], "stopped_early", "completed"),
        score=losses[np.arange(len(units)), ends - 1],
    )
    reports = pd.DataFrame(
        [
            {"trial_id": name, "report": epoch, "epoch": float(epoch), "score": row[epoch - 1]}
            for name, row, end in zip(trials["trial_id"], losses, ends, strict=True)
            for epoch in range(1, end + 1)
        ]
    )
    return Results(
        trials=trials.convert_dtypes(dtype_backend="pyarrow"),
        reports=reports.convert_dtypes(dtype_backend="pyarrow"),
        lineage=pd.DataFrame(),
        experiment={"scheduler": {"kind": "asha"}},
        space=SPACE,
        objective={"metric": "val_loss", "mode": "min", "at": "last"},
        path=Path(),
    )


def halved(trials: int, seed: int) -> Results:
    """Successive halving, in which one trial in ten passes a rung it should not."""
    rng = np.random.default_rng(seed)
    units = rng.random((trials, 3))
    losses = curves_of(units, rng)
    ends, going = np.full(trials, RUNGS[-1]), np.ones(trials, dtype=bool)
    for rung in RUNGS[:-1]:
        scores = losses[:, rung - 1]
        fails = going & (scores > np.quantile(scores[going], 1 / 3)) & (rng.random(trials) > 0.1)
        ends[fails] = rung
        going &= ~fails
    return results_of(units, losses, ends)


def stopped_by(scheduler: Hyperband | Median, trials: int, seed: int) -> Results:
    """A run in which the real decision maker stops trials that train an epoch each, in turn."""
    rng = np.random.default_rng(seed)
    units = rng.random((trials, 3))
    losses = curves_of(units, rng)
    names = [f"{number:05d}" for number in range(trials)]
    maker = scheduler.build(SPACE, names, RUNGS[-1], seed)
    ends, turns = dict.fromkeys(names, 0), deque(names)
    while turns:
        name = turns.popleft()
        ends[name] = epoch = ends[name] + 1
        score = float(losses[int(name), epoch - 1])
        for made in maker.on_report(Report(name, epoch, float(epoch), score, {})):
            if made.action == "go_on" and ends[made.trial] < RUNGS[-1]:
                turns.append(made.trial)
    return results_of(units, losses, np.array(list(ends.values())))


@pytest.mark.parametrize("scheduler", [Hyperband(), Median()], ids=lambda one: one.kind)
def test_trials_stopped_by_brackets_or_by_the_median_tell_what_counts_in_the_end(
    scheduler: Hyperband | Median,
) -> None:
    results = stopped_by(scheduler, 120, 0)
    stopped = (results.trials["status"] == "stopped_early").mean()
    assert 0.3 < stopped < 0.95
    curves = stopped_curves(results, trial_observations(results))
    assert curves is not None
    assert set(scheduler.milestones(RUNGS[-1])) >= set(curves.budgets[:-1])
    importance = rank_importance(results, resamples=5)
    assert importance.ranking[0].name == "model.dropout"
    assert "expansion of learning curves" in importance.method


def test_curves_are_read_at_the_rungs() -> None:
    results = halved(60, 0)
    rows = trial_observations(results)
    curves = stopped_curves(results, rows)
    assert curves is not None
    assert curves.budgets.tolist() == list(RUNGS)
    ends = results.reports.groupby("trial_id")["epoch"].max()
    for trial in range(60):
        reached = ~np.isnan(curves.scores[trial])
        assert reached.tolist() == [ends.iloc[trial] >= rung for rung in RUNGS]
    last = [row[~np.isnan(row)][-1] for row in curves.scores]
    assert last == pytest.approx(rows.target.tolist())


def test_what_decides_at_the_end_ranks_first_though_most_were_stopped_before() -> None:
    results = halved(150, 1)
    importance = rank_importance(results, resamples=20)
    assert importance.ranking[0].name == "model.dropout"
    assert importance.ranking[0].total.value > 0.8
    assert "expansion of learning curves" in importance.method
    assert importance.effective_trials is not None
    assert importance.effective_trials < 100
    assert any("stopped_early: their reports count up to there" in one for one in importance.notes)
    last = rank_importance(results, estimator=Expansion(), resamples=5)
    assert last.ranking[0].name == "optimizer.lr"
    assert any("counted with their last score" in note for note in last.notes)


def test_where_nothing_was_stopped_the_analysis_is_the_plain_one() -> None:
    rng = np.random.default_rng(2)
    units = rng.random((60, 3))
    whole = results_of(units, curves_of(units, rng), np.full(60, RUNGS[-1]))
    assert stopped_curves(whole, trial_observations(whole)) is None
    assert "learning curves" not in rank_importance(whole, resamples=2).method


def test_curves_that_do_not_depend_on_the_budget_give_the_plain_answer() -> None:
    rng = np.random.default_rng(3)
    units = rng.random((200, 3))
    losses = np.repeat((units[:, :1] - 0.4) ** 2 + 0.3 * units[:, 1:2] ** 2, RUNGS[-1], axis=1)
    losses = losses + 0.005 * rng.standard_normal((200, 1))
    ends = np.where(losses[:, 0] < np.quantile(losses[:, 0], 1 / 3), RUNGS[-1], 1)
    stopped = rank_importance(results_of(units, losses, ends), resamples=2).to_frame()
    plain = rank_importance(
        results_of(units, losses, np.full(200, RUNGS[-1])), estimator=Expansion(), resamples=2
    ).to_frame()
    assert stopped["total"].to_dict() == pytest.approx(plain["total"].to_dict(), abs=0.03)


def test_a_diverged_trial_has_the_worst_score_at_every_budget() -> None:
    results = halved(60, 4)
    trials = results.trials.copy()
    trials.loc[0, ["status", "score"]] = ["diverged", None]
    reports = results.reports[
        (results.reports["trial_id"] != "00000") | (results.reports["epoch"] <= 1)
    ]
    spoiled = Results(**{**vars(results), "trials": trials, "reports": reports})
    rows = trial_observations(spoiled)
    curves = stopped_curves(spoiled, rows)
    assert curves is not None
    assert (curves.scores[0] == rows.target.max()).all()


def test_a_searched_number_of_epochs_has_no_common_budget() -> None:
    results = halved(60, 5)
    epochs = Hyperparameter("epochs", Uniform(low=1.0, high=27.0))
    searched = Results(**{**vars(results), "space": SearchSpace((*SPACE.hyperparameters, epochs))})
    assert stopped_curves(searched, trial_observations(results)) is None
