"""The ranking as text: everything in 80 columns, nothing said that is not resolved."""

import dataclasses
import io

from rich.console import Console

from raytune_pipe.analysis.estimates import Estimate
from raytune_pipe.analysis.importance import (
    HyperparameterImportance,
    Importance,
    PairImportance,
)
from raytune_pipe.report.importance_table import importance_table


def one(name: str, total: float) -> HyperparameterImportance:
    estimate = Estimate(total, max(total - 0.1, 0), min(total + 0.1, 1))
    return HyperparameterImportance(name, estimate, estimate)


RANKED = Importance(
    objective="log of val_loss, last report",
    method="variance shares over the declared space (expansion); 90 % intervals from 200 resamples",
    trials=60,
    rows=60,
    r2=Estimate(0.71, 0.58, 0.82),
    refused=None,
    ranking=(one("optimizer.lr", 0.9), one("batch_size", 0.25), one("model.dropout", 0.0)),
    pairs=(PairImportance(("optimizer.lr", "batch_size"), Estimate(0.2, 0.1, 0.3)),),
    above={
        "optimizer.lr": {"batch_size": 0.97, "model.dropout": 1.0},
        "batch_size": {"optimizer.lr": 0.03, "model.dropout": 0.9},
        "model.dropout": {"optimizer.lr": 0.0, "batch_size": 0.1},
    },
    notes=("2 diverged: counted as the worst score seen.",),
)


def shown(importance: Importance, width: int = 80) -> str:
    """As a pipe gets it."""
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(importance_table(importance))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_table_fits_eighty_columns_without_color() -> None:
    text = shown(RANKED)
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert "cross-validated R2 0.71 (0.58 to 0.82)" in text
    assert "60 usable trials" in text
    rows = [line.split() for line in text.splitlines() if line.strip().startswith(("opt", "batch"))]
    assert rows[0][:4] == ["optimizer.lr", "0.90", "█" * 14 + "▍", "0.80-1.00"]
    assert "Note: 2 diverged" in text


def test_verdicts_say_the_probability_and_whether_it_resolves() -> None:
    text = shown(RANKED)
    assert "optimizer.lr over batch_size: P = 0.97\n" in text
    assert "batch_size over model.dropout: P = 0.90 (not resolved)" in text
    assert "strongest interaction: optimizer.lr with batch_size, 0.20 (0.10 to 0.30)" in text


def test_headline_names_the_stronger_one_first() -> None:
    ranking = (one("batch_size", 0.9), one("optimizer.lr", 0.2))
    above = {"optimizer.lr": {"batch_size": 0.001}, "batch_size": {"optimizer.lr": 0.999}}
    text = shown(dataclasses.replace(RANKED, ranking=ranking, above=above))
    assert "batch_size over optimizer.lr: P > 0.99\n" in text


def test_a_refusal_shows_its_reason_and_no_share() -> None:
    refused = dataclasses.replace(RANKED, refused="too little", ranking=(), pairs=(), above={})
    text = shown(refused)
    assert "No ranking: too little." in text
    assert "total share" not in text


def test_segments_and_context_are_told_apart() -> None:
    text = shown(dataclasses.replace(RANKED, rows=480, context=(one("(generation)", 0.3),)))
    assert "60 usable trials, 480 segments" in text
    assert text.index("model.dropout") < text.index("(generation)")


def test_long_names_are_folded_not_cut() -> None:
    name = "regularizers.some_very_long_kind.an_even_longer_hyperparameter_name"
    text = shown(dataclasses.replace(RANKED, ranking=(one(name, 0.5),), above={name: {}}))
    assert max(map(len, text.splitlines())) <= 80
    assert "0.50" in text
