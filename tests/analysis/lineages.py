"""Populations' runs as tables, with lineages that are known."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from raytune_pipe.distributions import Choice, LogUniform
from raytune_pipe.results.reading import Results
from raytune_pipe.search_space import Hyperparameter, SearchSpace

SPACE = SearchSpace(
    (
        Hyperparameter("optimizer.lr", LogUniform(low=1e-4, high=1.0)),
        Hyperparameter("batch_size", Choice(options=(32, 64, 128))),
    )
)
STEPS = 4
"""Updates of an epoch, whatever the batch size."""
Values = tuple[float, int]
"""Learning rate and batch size."""


def epochs_of(trial_id: str, ages: Sequence[int], *values: Values) -> list[dict[str, Any]]:
    """A trial's reports, with the age of the weights at each, in the order of ``values``."""
    return [
        {"trial_id": trial_id, "epoch": float(age), "optimizer.lr": lr, "batch_size": batch}
        for age, (lr, batch) in zip(ages, values, strict=True)
    ]


def population(
    reports: Sequence[Mapping[str, Any]],
    copies: Sequence[tuple[str, int, str, int]] = (),
    best: str = "00000",
    scheduler: str = "pbt",
) -> Results:
    """A run in which ``best`` won.

    ``copies``: (trial, its last report before, donor, the donor's report). Scores fall with age
    and steps rise with it, unless a report says otherwise.
    """
    table = pd.DataFrame(
        [
            {"val_loss": 1 / row["epoch"], "step": STEPS * int(row["epoch"]), **row}
            for row in reports
        ]
    )
    table["report"] = table.groupby("trial_id").cumcount() + 1
    table["score"] = table["val_loss"]
    table = table.assign(
        train_loss=1.0, val_accuracy=0.5, verdict=None, checkpoint=None, checkpoint_sha256=None
    )
    order = ["trial_id", "report", "epoch", "step", "score", *SPACE.names, "train_loss", "val_loss"]
    order += ["val_accuracy", "verdict", "checkpoint", "checkpoint_sha256"]
    trials = [
        {"trial_id": one, "status": "completed", "score": 0.0 if one == best else 1.0}
        for one in table["trial_id"].unique()
    ]
    rows = [
        (*copy, name) for copy in copies for name in SPACE.names
    ]  # a row a hyperparameter, as the recorder writes them
    names = ["trial_id", "report", "donor", "donor_report", "hyperparameter"]
    return Results(
        trials=pd.DataFrame(trials).convert_dtypes(dtype_backend="pyarrow"),
        reports=table[order].convert_dtypes(dtype_backend="pyarrow"),
        lineage=pd.DataFrame(rows, columns=names).convert_dtypes(dtype_backend="pyarrow"),
        experiment={
            "trial": {},
            "scheduler": {"kind": scheduler, "interval_epochs": 2},
        },
        space=SPACE,
        objective={"metric": "val_loss", "mode": "min", "at": "last"},
        path=Path("results/x"),
    )
