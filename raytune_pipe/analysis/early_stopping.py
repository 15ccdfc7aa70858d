"""Learning curves from a run in which trials were stopped early."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from raytune_pipe.analysis.curve_model import Curves
from raytune_pipe.analysis.observations import BROKEN, Observations, is_measured
from raytune_pipe.results.reading import Results

Array = NDArray[np.float64]

CENSORED = ("stopped_early", "timed_out")
"""Statuses of trials that would have had more reports."""
MOST_RUNGS = 6
"""Rungs of the ladder; with more epochs at which trials were stopped, some are left out."""
EPSILON = 1e-9


def stopped_curves(results: Results, rows: Observations) -> Curves | None:
    """Scores at the epochs at which trials were stopped and at the last, on the scale of the rows.

    A trial that diverged or failed has the worst score seen at every budget, as in the plain
    analysis: a jump at some epoch is no learning curve, and spoils the model of the others. None
    where no trial was stopped, where nothing but last scores is known or can be put on the scale,
    or where the number of epochs was searched, so that no full budget is common to all.
    """
    censored = np.isin(rows.status, CENSORED)
    if not censored.any() or results.reports.empty or "epochs" in results.space.names:
        return None
    reports = _reports(results, rows)
    ends = reports.groupby("trial_id")["epoch"].max().reindex(rows.trial_ids)
    ladder = _ladder(ends[censored].to_numpy(dtype=float), float(ends.max()))
    if len(ladder) < 2:
        return None
    scores = _at(reports, ladder, rows.trial_ids, results.objective["at"])
    beyond = ends.fillna(0.0).to_numpy(dtype=float)[:, None] < ladder - EPSILON
    scores = np.where(beyond, np.nan, scores)
    broken = np.isin(rows.status, BROKEN) | np.isnan(scores[:, 0])
    targets = rows.scale.to_target(scores)
    targets[broken] = rows.target.max()
    known = np.isfinite(targets) == (broken[:, None] | ~beyond)
    return Curves(rows.units, ladder, targets) if known.all() else None


def _reports(results: Results, rows: Observations) -> pd.DataFrame:
    """Finite reports of the usable trials, in order."""
    scores = results.reports["score"].to_numpy(dtype=float, na_value=np.nan)
    kept = is_measured(scores) & results.reports["trial_id"].isin(rows.trial_ids).to_numpy()
    used = results.reports[kept]
    return pd.DataFrame(
        {
            "trial_id": used["trial_id"].astype(str),
            "epoch": used["epoch"].to_numpy(dtype=float),
            "score": scores[kept],
        }
    ).sort_values("epoch", kind="stable")


def _ladder(stops: Array, full: float) -> Array:
    """The epochs at which trials were stopped, some on a log scale if many, and the last."""
    epochs = np.unique(stops[np.isfinite(stops) & (stops > 0) & (stops < full - EPSILON)])
    if len(epochs) >= MOST_RUNGS:
        wanted = np.geomspace(epochs[0], full, MOST_RUNGS)[:-1]
        epochs = np.unique(epochs[np.abs(epochs[:, None] / wanted - 1).argmin(axis=0)])
    return np.append(epochs, full)


def _at(reports: pd.DataFrame, ladder: Array, trials: tuple[str, ...], at: str) -> Array:
    """The last, or best, score of each trial up to each rung, ``[trials, rungs]``."""
    columns = []
    for epoch in ladder:
        groups = reports[reports["epoch"] <= epoch + EPSILON].groupby("trial_id")["score"]
        scores = groups.min() if at == "best" else groups.last()
        columns.append(scores.reindex(trials).to_numpy(dtype=float))
    return np.column_stack(columns)
