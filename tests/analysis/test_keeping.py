"""The ranking as it is kept in a run's folder."""

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from raytune_pipe.analysis.estimates import Estimate
from raytune_pipe.analysis.keeping import keep_importance
from raytune_pipe.analysis.ranking import HyperparameterImportance, Importance
from raytune_pipe.analysis.verdicts import Verdict
from raytune_pipe.base import ResultsError

COLUMNS = ["name", "first", "first_low", "first_high", "total", "total_low", "total_high", "tier"]


def ranked(*names: str) -> Importance:
    """Each in a tier of its own; the first has the most."""
    shares = [Estimate(0.8 / 2**place, 0.1 / 2**place, 0.9) for place in range(len(names))]
    return Importance(
        objective="val_loss, last report",
        method="shares",
        trials=40,
        rows=40,
        r2=Estimate(0.5, 0.25, 0.75),
        refused=None,
        ranking=tuple(
            HyperparameterImportance(name, share, share)
            for name, share in zip(names, shares, strict=True)
        ),
        tiers=tuple((name,) for name in names),
        verdicts=(Verdict(names[0], names[-1], 0.97, None),),
        notes=("2 diverged",),
    )


REFUSED = Importance("val_loss", "none", 3, 3, None, "at least 4 usable trials are needed")


def test_there_is_a_row_for_each_hyperparameter_most_important_first(tmp_path: Path) -> None:
    path = keep_importance(ranked("optimizer.lr", "batch_size"), tmp_path)
    assert path == tmp_path / "importance.parquet"
    kept = pd.read_parquet(path)
    assert kept.columns.tolist() == COLUMNS
    assert kept["name"].tolist() == ["optimizer.lr", "batch_size"]
    assert kept.iloc[1, 1:7].tolist() == [0.4, 0.05, 0.9, 0.4, 0.05, 0.9]
    assert kept["tier"].tolist() == [1, 2]
    assert kept["tier"].dtype == "int64"
    assert kept.equals(ranked("optimizer.lr", "batch_size").to_frame().reset_index())


def test_all_else_that_was_said_comes_with_it(tmp_path: Path) -> None:
    importance = ranked("optimizer.lr", "batch_size")
    said = pd.read_parquet(keep_importance(importance, tmp_path)).attrs["importance"]
    assert said["r2"] == {"value": 0.5, "low": 0.25, "high": 0.75}
    assert said["notes"] == ["2 diverged"]
    assert said["above"]["optimizer.lr"] == {"batch_size": 0.97}
    assert said == json.loads(json.dumps({**importance.to_mapping(), "above": importance.above}))


def test_it_is_written_anew_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    keep_importance(ranked("optimizer.lr", "batch_size", "optimizer.momentum"), tmp_path)
    path = keep_importance(ranked("batch_size", "optimizer.lr"), tmp_path)
    assert pd.read_parquet(path)["name"].tolist() == ["batch_size", "optimizer.lr"]
    assert list(tmp_path.iterdir()) == [path]


def test_where_nothing_was_ranked_the_columns_are_there_with_the_reason(tmp_path: Path) -> None:
    path = keep_importance(REFUSED, tmp_path)
    kept = pd.read_parquet(path)
    assert kept.empty
    assert kept.columns.tolist() == COLUMNS
    assert kept.attrs["importance"]["refused"] == "at least 4 usable trials are needed"
    types = {field.name: str(field.type) for field in pq.read_schema(path)}
    assert (types["name"], types["total"], types["tier"]) == ("string", "double", "int64")


def test_a_folder_that_is_not_there_is_an_error_of_the_results(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="missing"):
        keep_importance(REFUSED, tmp_path / "missing")
