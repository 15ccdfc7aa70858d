"""The table in which a ranking is kept: what is in it, and that only the newest is."""

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raytune_pipe.analysis.estimates import Estimate
from raytune_pipe.analysis.importance import HyperparameterImportance, Importance
from raytune_pipe.analysis.keeping import keep_importance
from raytune_pipe.analysis.verdicts import Verdict
from raytune_pipe.base import ResultsError

FIRST, TOTAL = Estimate(0.5, 0.25, 0.75), Estimate(0.625, 0.375, 0.875)
RANKED = Importance(
    objective="val_loss, last report",
    method="variance shares",
    trials=60,
    rows=60,
    r2=Estimate(0.75, 0.5, 0.875),
    refused=None,
    ranking=(
        HyperparameterImportance("optimizer.lr", FIRST, TOTAL),
        HyperparameterImportance("batch_size", TOTAL, FIRST),
    ),
    tiers=(("optimizer.lr",), ("batch_size",)),
    verdicts=(Verdict("optimizer.lr", "batch_size", 0.875, 40),),
    notes=("2 diverged: counted as the worst score seen.",),
)
REFUSED = Importance("val_loss", "none", 6, 6, None, "at least 20 usable trials are needed")


def test_there_is_a_row_for_each_hyperparameter_most_important_first(tmp_path: Path) -> None:
    path = keep_importance(RANKED, tmp_path)
    assert path == tmp_path / "importance.parquet"
    table = pq.read_table(path)
    figures = [f"{share}{end}" for share in ("first", "total") for end in ("", "_low", "_high")]
    assert table.schema.names == ["name", *figures, "tier"]
    assert {table.schema.field(name).type for name in figures} == {pa.float64()}
    assert table.schema.field("tier").type == pa.int64()
    assert table.to_pylist()[0] == {
        "name": "optimizer.lr",
        **{"first": 0.5, "first_low": 0.25, "first_high": 0.75},
        **{"total": 0.625, "total_low": 0.375, "total_high": 0.875},
        "tier": 1,
    }
    assert table["name"].to_pylist() == ["optimizer.lr", "batch_size"]
    assert pd.read_parquet(path).equals(RANKED.to_frame().reset_index())


def test_all_else_that_the_ranking_says_is_kept_with_it(tmp_path: Path) -> None:
    kept = pd.read_parquet(keep_importance(RANKED, tmp_path)).attrs["importance"]
    assert kept == json.loads(json.dumps({**RANKED.to_mapping(), "above": RANKED.above}))
    assert kept["above"]["batch_size"] == {"optimizer.lr": 0.125}


def test_a_later_ranking_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    keep_importance(RANKED, tmp_path)
    kept = pd.read_parquet(keep_importance(REFUSED, tmp_path))
    assert kept.empty
    assert kept.columns.tolist()[0] == "name"
    assert kept.attrs["importance"]["refused"] == REFUSED.refused
    keep_importance(RANKED, tmp_path)
    assert len(pd.read_parquet(keep_importance(RANKED, tmp_path))) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["importance.parquet"]


def test_a_folder_that_is_not_there_is_an_error_of_the_results(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"missing.*importance\.parquet"):
        keep_importance(RANKED, tmp_path / "missing")
