"""Simulated learning curves cross, diverge or run in parallel as said, and are judged in full."""

import dataclasses
from functools import partial

import numpy as np
import pandas as pd
import pytest

from raytune_pipe.analysis.importance import rank_importance
from raytune_pipe.analysis.observations import trial_observations
from raytune_pipe.results.reading import Results

from benchmarks.importance import early_stopping, truth
from benchmarks.importance.early_stopping import (
    DEFAULT,
    FINISHED,
    FULL,
    LAST,
    WAYS,
    finished_only,
    judge,
    report,
)
from benchmarks.importance.judging import judge_ours
from benchmarks.importance.problem import drawn
from benchmarks.importance.simulated_curves import ASHA, EPOCHS, FIFO, FORMULAS, search, world

EPOCH = np.arange(1.0, EPOCHS + 1)
TRIALS = 60
SEEDS = range(3)
ASKED = (DEFAULT, FINISHED, FULL)
SCORES = ("score", "score_full")


def losses(name: str, seed: int) -> np.ndarray:
    """Curves without noise ``[500, epochs]`` at points drawn from the space."""
    one = world(name, seed)
    cube = np.random.default_rng(7).random((500, len(one.problem.space)))
    return one.losses(drawn(one.problem.space, cube), EPOCH)


def statuses(run: Results) -> set[str]:
    return set(run.trials["status"].astype(str))


@pytest.mark.parametrize("seed", SEEDS)
def test_power_laws_cross_late(seed: int) -> None:
    curves = losses("power laws", seed)
    assert (np.diff(curves, axis=1) <= 0).any(axis=1).all()
    early, late = curves[:, 2], curves[:, -1]
    turned = (early[:, None] < early) & (late[:, None] > late)
    assert turned.sum() / turned.size > 0.05, "of all pairs, both ways around: half is none"


@pytest.mark.parametrize("seed", SEEDS)
def test_logistic_curves_overfit_and_diverge_for_good(seed: int) -> None:
    curves = losses("logistic", seed)
    broken = np.isnan(curves)
    assert 0.02 < broken[:, -1].mean() < 0.5
    assert (np.diff(broken.astype(int), axis=1) >= 0).all()
    kept = curves[~broken[:, -1]]
    assert (kept.argmin(axis=1) < EPOCHS - 1).any(), "something overfits"
    assert (kept.argmin(axis=1) == EPOCHS - 1).any(), "something does not"


def test_parallel_curves_have_the_same_differences_at_every_epoch() -> None:
    curves = losses("parallel", 0)
    np.testing.assert_allclose(curves - curves[:1], (curves - curves[:1])[:, [0]] + 0 * curves)


def test_every_seed_is_another_world() -> None:
    for name in FORMULAS:
        assert not np.allclose(losses(name, 0), losses(name, 1), equal_nan=True)


def test_whoever_stops_them_trials_are_the_same() -> None:
    one = world("logistic", 0)
    stopped, full = search(one, ASHA, TRIALS, 0), search(one, FIFO, TRIALS, 0)
    assert statuses(stopped) >= {"stopped_early", "completed", "diverged"}
    assert statuses(full) == {"completed", "diverged"}
    keys = ["trial_id", "epoch"]
    both = stopped.reports.merge(full.reports, on=keys, suffixes=("", "_full"))
    assert len(both) == len(stopped.reports) < len(full.reports) / 3
    same, other = (both[name].to_numpy(dtype=float, na_value=np.nan) for name in SCORES)
    np.testing.assert_array_equal(same, other)


def test_trials_are_stopped_at_rungs_except_controls() -> None:
    one = world("power laws", 0)
    run = search(one, {**ASHA, "control_fraction": 0.3}, TRIALS, 0)
    last = run.reports.groupby("trial_id")["epoch"].max()
    assert set(last) <= {1.0, 3.0, 9.0, 27.0, 81.0}
    plain = search(one, ASHA, TRIALS, 0)
    assert (last == EPOCHS).sum() > (plain.trials["status"] == "completed").sum() + 5


def test_finished_only_leaves_out_what_was_stopped() -> None:
    run = search(world("logistic", 0), ASHA, TRIALS, 0)
    kept = finished_only(run)
    assert statuses(kept) == {"completed", "diverged"}
    assert set(kept.reports["trial_id"]) <= set(kept.trials["trial_id"])


def test_what_diverges_has_in_the_truth_what_it_has_in_the_analysis() -> None:
    one = world("logistic", 0)
    run = search(one, ASHA, TRIALS, 0)
    rows = trial_observations(run)
    diverged = np.array(rows.status) == "diverged"
    worst = rows.scale.to_target(np.array([float(run.trials["score"].max())]))
    np.testing.assert_allclose(rows.target[diverged], worst[0])


def test_shares_of_an_additive_world_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(truth, "POINTS", 2**12)
    one = world("parallel", 0)
    problem = dataclasses.replace(one.problem, name="parallel, coarse")
    shares = truth.linear_shares(problem, search(one, FIFO, 30, 0))
    names = problem.space.names
    of = dict(zip(names, zip(shares.first, shares.total, strict=True), strict=True))
    for name in ("optimizer.weight_decay", "model.dropout", "model.activation"):
        assert of[name][0] == pytest.approx(of[name][1], abs=0.02), "no interactions"
    assert of["loss.label_smoothing"] == pytest.approx((0, 0), abs=1e-9)
    assert of["optimizer.lr"][1] > of["optimizer.lr"][0] + 0.005, "batch size moves the valley"


def test_where_nothing_was_stopped_curves_make_no_difference() -> None:
    run = search(world("power laws", 0), FIFO, 50, 0)
    without = dataclasses.replace(run, reports=pd.DataFrame())
    assert rank_importance(run, resamples=5) == rank_importance(without, resamples=5)


def test_all_ways_are_judged_and_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(truth, "POINTS", 2**10)
    monkeypatch.setattr(early_stopping, "judge_ours", partial(judge_ours, resamples=2))
    monkeypatch.setattr(early_stopping, "WAYS", {way: WAYS[way] for way in ASKED})
    judged = judge(("parallel", 0, False), 40, only_default=False)
    assert tuple(judged) == ASKED
    assert judged[FINISHED].refused, "too few finished"
    assert len(judged[DEFAULT].ranking) == 7
    worse = dataclasses.replace(judged[DEFAULT], errors=(0.5, 0.5), ranking=())
    lines = list(report("parallel", 40, [{**judged, LAST: worse}] * 2))
    assert sum(line.startswith("| optimizer.lr |") for line in lines) == 1
    assert f"| {FINISHED} | - | - | 2 of 2 |" in lines
    assert f"| {LAST} | 0.500 | 0.500 | 0 of 2 |" in lines
    assert any(line.endswith("the default is the worse in 0 of 2 seeds.") for line in lines)
    assert lines[-1].startswith("Shares by default and where nothing was stopped differ by 0.")
