"""The check on real trainings: its exact shares, the searches over its table, the comparison."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from raytune_pipe.analysis.importance import rank_importance
from raytune_pipe.scheduling.successive_halving import is_control

from benchmarks.importance.factorial import (
    TABLE,
    compare,
    finished_only,
    last_result,
    reference,
)
from benchmarks.importance.factorial_anova import anova
from benchmarks.importance.factorial_grid import (
    EPOCHS,
    FIFO,
    GRID,
    SEEDS,
    SHAPE,
    Array,
    cells,
    experiment,
    read_losses,
    train_cell,
    trial_id,
    write_table,
)
from benchmarks.importance.factorial_runs import ASHA, search


def made_losses(seed: int = 0) -> Array:
    """A table as trained: a valley in the learning rate, falling losses, the highest rate fails."""
    rng = np.random.default_rng(seed)
    lr, batch, _decay, momentum = np.unravel_index(np.arange(math.prod(SHAPE)), SHAPE)
    final = ((lr - 9 + momentum) / 8.0) ** 2 + 0.1 * batch / 3 + 0.2
    curves = final[:, None, None] + 1 / np.arange(1, EPOCHS + 1)
    curves = curves + rng.normal(0, 0.02, (len(final), SEEDS, 1))
    curves[lr == SHAPE[0] - 1, :, 4:] = np.nan
    return np.asarray(curves)


def test_shares_of_known_effects_are_exact() -> None:
    one, two = np.array([-1.0, 0, 1])[:, None], np.array([-1.0, 1])
    values = 3 + 2 * one + two + 0.5 * one * two
    shares = anova(values[:, :, None])
    parts = np.array([4 * 2 / 3, 1, 0.25 * 2 / 3])
    assert shares.variance == pytest.approx(parts.sum())
    assert shares.first == pytest.approx(parts[:2] / parts.sum())
    assert shares.pairs[0, 1] == pytest.approx(parts[2] / parts.sum())
    assert shares.total == pytest.approx((parts[:2] + parts[2]) / parts.sum())
    assert (shares.noise, shares.higher) == (0, 0)


def test_seed_noise_is_taken_off_the_shares() -> None:
    rng = np.random.default_rng(0)
    effect = np.linspace(-1, 1, 4)[:, None, None, None]
    found = [anova(effect + rng.normal(0, 1, (4, 5, 3, 2))) for _ in range(200)]
    variance = float(np.var(effect))
    assert np.mean([one.variance for one in found]) == pytest.approx(variance, rel=0.05)
    noise = [one.variance * one.noise / (1 - one.noise) for one in found]
    assert np.mean(noise) == pytest.approx(1, rel=0.03)
    explained = [one.total[1] * one.variance for one in found]
    assert np.mean(explained) == pytest.approx(0, abs=0.02)


def test_a_cell_is_trained_by_the_real_trainer() -> None:
    losses = train_cell(cells().index(dict(zip(GRID, (0.0754, 64, 1e-4, 0.9), strict=True))), 0, 2)
    assert losses[0] is not None
    assert losses[1] is not None
    assert losses[1] < losses[0] < 3
    assert train_cell(len(cells()) - 1, 0, 12)[-1] is None, "the highest rate diverges"


def test_a_table_is_read_back_by_cell_seed_and_epoch(tmp_path: Path) -> None:
    rows = [
        {**cell, "seed": seed, "epoch": epoch, "val_loss": number + seed / 10 + epoch / 1000}
        for number, cell in enumerate(cells()[:8])
        for seed in range(SEEDS)
        for epoch in range(1, EPOCHS + 1)
    ]
    write_table(pa.Table.from_pylist(rows[::-1]), tmp_path / "x.parquet")
    losses = read_losses(tmp_path / "x.parquet")
    assert losses.shape == (8, SEEDS, EPOCHS)
    assert losses[5, 1, 2] == pytest.approx(5.103)


def test_a_search_reports_what_the_table_has() -> None:
    losses = made_losses()
    results = search(losses, FIFO, 40, seed=1)
    assert results.space.names == tuple(GRID)
    status = results.trials.set_index("trial_id")["status"]
    assert set(status) == {"completed", "diverged"}
    for name, reports in results.reports.groupby("trial_id"):
        cell, seed = divmod(int(str(name)), SEEDS)
        assert str(name) == trial_id(cell, seed)
        values = {each: reports[each].iloc[0] for each in GRID}
        assert values == cells()[cell]
        expected = losses[cell, seed, : len(reports)]
        found = reports.sort_values("report")["score"].to_numpy(dtype=float, na_value=np.nan)
        np.testing.assert_array_equal(found, expected)
        assert len(reports) == (5 if status[str(name)] == "diverged" else EPOCHS)


def test_halving_stops_most_trials_at_its_rungs() -> None:
    results = search(made_losses(), ASHA, 60, seed=1)
    trials = results.trials
    stopped = trials[trials["status"] == "stopped_early"]
    assert set(stopped["epoch"]) == {1, 3, 9}
    assert len(stopped) > 30
    assert (trials["status"] == "completed").sum() >= 2
    assert len(results.lineage) >= len(stopped)
    with_controls = search(made_losses(), {**ASHA, "control_fraction": 0.5}, 60, seed=1).trials
    controls = [is_control(0, name, 0.5) for name in with_controls["trial_id"]]
    assert set(with_controls[controls]["status"]) == {"completed", "diverged"}
    assert set(last_result(results).trials["status"]) <= {"completed", "diverged"}
    finished = finished_only(results)
    assert len(finished.trials) == 60 - len(stopped)
    assert set(finished.reports["trial_id"]) == set(finished.trials["trial_id"])


def test_a_ranking_is_compared_with_the_shares_on_its_own_scale() -> None:
    losses = made_losses()
    exact = {logs: reference(losses, logarithmic=logs) for logs in (False, True)}
    assert not np.allclose(exact[False].total, exact[True].total)
    importance = rank_importance(search(losses, FIFO, 200, seed=0), resamples=10)
    outcome = compare(importance, exact)
    assert outcome.top_is_right
    assert not outcome.refused
    assert outcome.errors.shape == (2, len(GRID))
    assert np.max(outcome.errors) < 0.1
    assert outcome.right > 0
    assert outcome.wrong == 0
    few = compare(rank_importance(search(losses, FIFO, 10, seed=0)), exact)
    assert few.refused
    assert np.isnan(few.errors).all()


def test_the_committed_table_is_whole_and_ranked_right() -> None:
    losses = read_losses(TABLE)
    assert losses.shape == (math.prod(SHAPE), SEEDS, EPOCHS)
    assert 0.02 < np.isnan(losses[:, :, -1]).mean() < 0.3
    ended = np.isnan(losses)
    assert (ended[:, :, 1:] >= ended[:, :, :-1]).all(), "a training that diverged stays so"
    exact = {logs: reference(losses, logarithmic=logs) for logs in (False, True)}
    importance = rank_importance(search(losses, FIFO, 256, seed=0), resamples=10)
    outcome = compare(importance, exact)
    assert outcome.top_is_right
    assert outcome.wrong == 0
    assert np.mean(outcome.errors) < 0.05
    assert importance.objective.startswith("log of ") == outcome.logarithmic
    assert experiment().trials == losses.shape[0] * SEEDS
