"""The ranking as text: everything in 80 columns, nothing said that is not resolved."""

import dataclasses
import io

from rich.console import Console

from raytune_pipe.analysis.estimates import Estimate
from raytune_pipe.analysis.ranking import HyperparameterImportance, Importance, PairImportance
from raytune_pipe.analysis.verdicts import Verdict
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
    floor=0.01,
    effective_trials=60.0,
    tiers=(("optimizer.lr",), ("batch_size", "model.dropout")),
    verdicts=(
        Verdict("optimizer.lr", "batch_size", 0.97, 0),
        Verdict("optimizer.lr", "model.dropout", 1.0, 0),
        Verdict("batch_size", "model.dropout", 0.9, 40),
    ),
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


def test_verdicts_say_what_is_known_or_what_would_tell() -> None:
    text = shown(RANKED)
    assert "optimizer.lr > batch_size (P = 0.97)\n" in text
    assert "batch_size or model.dropout: not resolved (P = 0.90); about 40 more trials" in text
    assert "strongest interaction: optimizer.lr with batch_size, 0.20 (0.10 to 0.30)" in text


def test_what_no_number_of_trials_would_tell_is_said() -> None:
    verdict = Verdict("batch_size", "model.dropout", 0.51, None)
    text = shown(dataclasses.replace(RANKED, verdicts=(*RANKED.verdicts[:2], verdict)))
    assert "not resolved (P = 0.51); more such trials would not tell" in " ".join(text.split())


def test_headline_names_the_stronger_one_first() -> None:
    text = shown(
        dataclasses.replace(
            RANKED,
            ranking=(one("batch_size", 0.9), one("optimizer.lr", 0.2)),
            tiers=(("batch_size",), ("optimizer.lr",)),
            verdicts=(Verdict("batch_size", "optimizer.lr", 0.999, 0),),
        )
    )
    assert "batch_size > optimizer.lr (P > 0.99)\n" in text


def test_what_comes_of_nothing_has_no_share() -> None:
    lines = [line for line in shown(RANKED).splitlines() if "model.dropout" in line]
    assert "nothing seen" in lines[0]
    assert "nothing seen" not in shown(dataclasses.replace(RANKED, floor=-1.0))


def test_trials_worth_less_than_finished_ones_say_so() -> None:
    text = shown(dataclasses.replace(RANKED, effective_trials=23.4))
    assert "60 usable trials, worth about 23 finished ones" in text
    assert "worth about" not in shown(RANKED)


def test_a_refusal_shows_its_reason_and_no_share() -> None:
    refused = dataclasses.replace(RANKED, refused="too little", ranking=(), pairs=(), verdicts=())
    text = shown(refused)
    assert "No ranking: too little." in text
    assert "total share" not in text


def test_segments_and_context_are_told_apart() -> None:
    text = shown(dataclasses.replace(RANKED, rows=480, context=(one("(generation)", 0.3),)))
    assert "60 usable trials, 480 segments" in text
    assert text.index("model.dropout") < text.index("(generation)")


def test_long_names_are_folded_not_cut() -> None:
    name = "regularizers.some_very_long_kind.an_even_longer_hyperparameter_name"
    text = shown(dataclasses.replace(RANKED, ranking=(one(name, 0.5),), tiers=((name,),)))
    assert max(map(len, text.splitlines())) <= 80
    assert "0.50" in text
