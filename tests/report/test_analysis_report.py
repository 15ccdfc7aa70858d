"""A whole analysis as text: which sections there are, in which order, and what they say."""

import io
import itertools

import numpy as np
import pytest
from rich.console import Console, RenderableType

from raytune_pipe.analysis.ablation import Ablation
from raytune_pipe.analysis.budgets import BudgetImportance
from raytune_pipe.analysis.clones import CloneEffects
from raytune_pipe.analysis.effects import Effect
from raytune_pipe.analysis.estimates import Estimate, Estimates
from raytune_pipe.analysis.folklore import Agreement
from raytune_pipe.analysis.full_analysis import Analysis, OfTrials, Shape
from raytune_pipe.analysis.good_trials import GoodTrials
from raytune_pipe.analysis.importance import HyperparameterImportance, Importance
from raytune_pipe.analysis.local import LocalImportance
from raytune_pipe.analysis.optimum import MovingOptimum
from raytune_pipe.analysis.phases import Phase
from raytune_pipe.analysis.verdicts import Verdict
from raytune_pipe.report.analysis_report import analysis_report
from raytune_pipe.report.budgets_table import budgets_table
from raytune_pipe.report.population_tables import clones_table, phases_table

LR, LONG = "optimizer.lr", "regularizers.clip_norm.max_norm"
TOTAL = {LR: Estimate(0.8, 0.7, 0.9), LONG: Estimate(0.25, 0.125, 0.5)}
TIERS = ((LR,), (LONG,))
OBJECTIVE = {"metric": "val_loss", "mode": "min", "at": "last"}


def shown(table: RenderableType) -> str:
    """As a pipe gets it; every line fits."""
    console = Console(file=io.StringIO(), width=80, force_terminal=False)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    return text


def ranked(objective: str = "val_loss, last report") -> Importance:
    return Importance(
        objective=objective,
        method="variance shares over the declared space (expansion)",
        trials=60,
        rows=60,
        r2=Estimate(0.75, 0.5, 0.875),
        refused=None,
        ranking=tuple(HyperparameterImportance(name, *2 * [one]) for name, one in TOTAL.items()),
        tiers=TIERS,
        verdicts=(Verdict(LR, LONG, 0.97, 0),),
    )


REFUSED = Importance("val_loss", "none", 6, 6, None, "at least 20 usable trials are needed")


def shape() -> Shape:
    value = np.array([0.5, 0.25])
    effect = Effect(LR, (1e-4, 1.0), Estimates(value, value - 0.125, value + 0.125), ())
    return Shape((effect,), None, MovingOptimum(LR, LONG, (1, 2), (None, None), 0.5, None))


def budget(epochs: float, lr: float) -> BudgetImportance:
    return BudgetImportance(epochs, {**TOTAL, LR: Estimate(lr, lr - 0.125, lr + 0.125)})


def phase(name: str, slope: Estimate) -> Phase:
    return Phase(name, (1, 8), 120, None, Estimate(0.5, 0.25, 0.75), TOTAL, {LR: slope})


def titles(analysis: Analysis) -> list[str]:
    """The lines that stand alone after an empty one."""
    lines = shown(analysis_report(analysis, OBJECTIVE)).splitlines()
    return [
        line.rstrip()
        for before, line in itertools.pairwise(lines)
        if not before.strip() and line[:1].isupper() and not line.startswith(("Note", "Lines"))
    ]


def test_a_refused_ranking_is_all_that_is_shown() -> None:
    text = shown(analysis_report(Analysis(REFUSED), OBJECTIVE))
    assert text.splitlines()[-1] == "No ranking: at least 20 usable trials are needed."
    assert titles(Analysis(REFUSED)) == []


def test_sections_of_trials_that_were_stopped_early_come_after_the_ranking() -> None:
    none = "it is not known"
    of_trials = OfTrials(
        good=GoodTrials(0.25, 30, None, TOTAL, TIERS),
        local=LocalImportance({}, None, TOTAL, TIERS),
        ablation=Ablation(none, None, None, (), ()),
        isolations=(),
    )
    analysis = Analysis(
        ranked(),
        shape=shape(),
        folklore=(Agreement("handbook", TIERS, none),),
        budgets=(budget(1, 0.5), budget(9, 0.75)),
        of_trials=of_trials,
    )
    text = shown(analysis_report(analysis, OBJECTIVE))
    assert text.startswith("Importance for val_loss, last report\n")
    assert titles(analysis) == [
        "Effects",
        "The best value, and whether it moves",
        "What matters when",
        "Among good trials",
        "Around the best trial",
        "From the file's trial to the best",
        "What practitioners say",
    ]


def test_what_is_not_known_has_no_section() -> None:
    of_trials = OfTrials(GoodTrials(0.25, 30, None, TOTAL, TIERS), None, None, ())
    assert titles(Analysis(ranked(), of_trials=of_trials)) == ["Among good trials"]


def test_clones_are_shown_where_the_population_could_not_be_ranked() -> None:
    clones = CloneEffects(12, None, 0.1, {LR: Estimate(0.5, 0.25, 0.75)})
    text = shown(analysis_report(Analysis(REFUSED, clones=clones), OBJECTIVE))
    assert text.index("No ranking:") < text.index("Copies beside their donors")
    assert "optimizer.lr: 0.5 (0.25 to 0.75)" in text


@pytest.mark.parametrize(
    ("objective", "metric", "other"),
    [("val_loss, last report", "val_loss", "change"), ("change per epoch", "change", "val_loss")],
)
def test_effects_of_a_population_are_on_the_change(objective: str, metric: str, other: str) -> None:
    analysis = Analysis(ranked(objective), shape=shape())
    effects = shown(analysis_report(analysis, OBJECTIVE)).partition("\nEffects")[2]
    assert metric in effects
    assert other not in effects


def test_budgets_are_shown_at_the_first_rung_in_the_middle_and_at_the_end() -> None:
    rungs = [budget(1, 0.25), budget(3, 0.375), budget(9, 0.5), budget(27, 0.625), budget(81, 0.75)]
    text = shown(budgets_table(rungs, [LONG, LR]))
    for words in ("after 1 epoch ", "after 9 epochs", "after 81 epochs", "0.25 (0.12 to 0.38)"):
        assert words in text
    assert "after 3 epochs" not in text
    assert text.index("regularizers") < text.index(LR)  # in the order of the ranking
    both = shown(budgets_table(rungs[:2], [LR]))
    assert "after 1 epoch " in both
    assert "after 3 epochs" in both


@pytest.mark.parametrize(
    ("slope", "words"),
    [
        (Estimate(0.5, 0.25, 0.75), "lower is better"),
        (Estimate(-0.5, -0.75, -0.25), "higher is better"),
        (Estimate(0.5, -0.25, 0.75), None),
    ],
)
def test_phases_say_which_way_is_better_only_where_that_is_sure(
    slope: Estimate, words: str | None
) -> None:
    text = shown(phases_table([phase("early", slope)], [LR, LONG]))
    assert "early (1-8)" in text
    assert "0.80 (0.70 to 0.90)" in text
    assert [one for one in ("lower is better", "higher is better") if one in text] == (
        [words] if words else []
    )


def test_a_phase_that_says_nothing_gives_its_reason_below() -> None:
    sure = Estimate(0.5, 0.25, 0.75)
    refused = Phase("late", (17, 25), 9, "at least 20 segments that differ are needed, but got 9")
    text = shown(phases_table([phase("early", sure), phase("middle", sure), refused], [LR, LONG]))
    assert "late (17-25)" in text
    assert "late: cannot tell; at least 20 segments that differ are needed, but got 9" in text
    row = next(line for line in text.splitlines() if LR in line)
    assert row.rstrip().endswith("-")


def test_clones_say_which_effects_cannot_be_told_from_none() -> None:
    effects = {LR: Estimate(0.024, 0.018, 0.03), LONG: Estimate(-0.001, -0.01, 0.01)}
    lines = shown(clones_table(CloneEffects(34, None, 0.1, effects))).splitlines()
    assert lines[0].rstrip() == ("what a step up of 10% of the range adds an epoch (34 pairs)")
    assert lines[1].strip() == "optimizer.lr: 0.024 (0.018 to 0.03)"
    assert lines[2].strip().endswith("-0.001 (-0.01 to 0.01), cannot tell from none")
    few = CloneEffects(3, "at least 8 pairs with small differences are needed, but got 3", 0.1, {})
    assert shown(clones_table(few)).startswith("cannot tell: at least 8 pairs")
