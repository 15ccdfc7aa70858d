"""A whole analysis, as it is read: the ranking, then a section for each reading there is."""

import io
import itertools
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from raytune_pipe.analysis.ablation import Ablation
from raytune_pipe.analysis.budgets import BudgetImportance
from raytune_pipe.analysis.clones import CloneEffects
from raytune_pipe.analysis.effects import Effect, Surface
from raytune_pipe.analysis.estimates import Estimate, Estimates
from raytune_pipe.analysis.failures import FailureImportance
from raytune_pipe.analysis.folklore import Agreement
from raytune_pipe.analysis.full_analysis import Analysis, OfTrials, Shape
from raytune_pipe.analysis.good_trials import GoodTrials
from raytune_pipe.analysis.isolation import Isolation
from raytune_pipe.analysis.local import LocalImportance
from raytune_pipe.analysis.optimum import MovingOptimum
from raytune_pipe.analysis.phases import Phase
from raytune_pipe.analysis.ranking import HyperparameterImportance, Importance
from raytune_pipe.analysis.verdicts import Verdict
from raytune_pipe.analysis.warned_trials import WarnedTrials
from raytune_pipe.report.analysis_report import analysis_report

LR, ACTIVATION = NAMES = ("optimizer.lr", "model.activation")
SHARE = Estimate(0.5, 0.4, 0.6)
SHARES = dict.fromkeys(NAMES, SHARE)
RANKED = Importance(
    objective="log of val_loss, last report",
    method="variance shares over the declared space (expansion)",
    trials=60,
    rows=60,
    r2=SHARE,
    refused=None,
    ranking=tuple(HyperparameterImportance(name, SHARE, SHARE) for name in NAMES),
    tiers=(NAMES,),
    verdicts=(Verdict(*NAMES, 0.6, 30),),
)
REFUSED = Importance("val_loss", "none", 3, 3, None, "at least 4 usable trials are needed")
OBJECTIVE = {"metric": "val_loss", "mode": "min", "at": "last"}


def around(*shape: int) -> Estimates:
    value = np.linspace(0.2, 0.9, int(np.prod(shape))).reshape(shape)
    return Estimates(value, value - 0.1, value + 0.1)


BROKEN = FailureImportance("diverged", 3, 60, "at least 5 broken trials are needed, but got 3")
SHAPE = Shape(
    effects=(Effect(LR, (1e-4, 1e-2, 1.0), around(3), ()),),
    surface=Surface(NAMES, ((1e-4, 1.0), ("relu", "tanh")), around(2, 2)),
    optimum=MovingOptimum(LR, "batch_size", (16, 32), (None, None), 0.5, None),
)
OF_TRIALS = OfTrials(
    good=GoodTrials(0.25, 15, None, SHARES, (NAMES,)),
    local=LocalImportance({}, None, SHARES, (NAMES,)),
    ablation=Ablation("the best trial is not known", None, None, (), ()),
    isolations=(Isolation(ACTIVATION, ("relu", "tanh"), around(2), (None, None), ()),),
)
FOLKLORE = (Agreement("ng", (), "at least 3 of what it names must be searched"),)
SEARCH = Analysis(
    importance=RANKED,
    failures=(BROKEN,),
    shape=SHAPE,
    folklore=FOLKLORE,
    budgets=(BudgetImportance(1.0, SHARES), BudgetImportance(9.0, SHARES)),
    of_trials=OF_TRIALS,
)
POPULATION = Analysis(
    importance=RANKED,
    shape=SHAPE,
    phases=(Phase("early", (1, 5), 60, None, SHARE, SHARES, {}),),
    clones=CloneEffects(3, "at least 8 pairs are needed, but got 3", 0.1, {}),
)


def shown(analysis: Analysis, objective: dict[str, str] = OBJECTIVE) -> str:
    """As a pipe of 80 columns gets it."""
    console = Console(file=io.StringIO(), width=80, force_terminal=False)
    console.print(analysis_report(analysis, objective))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    return text


def titles(text: str) -> list[str]:
    """Lines after an empty one that begin at the left: those of sections, the header apart."""
    lines = ["", *text.splitlines()]
    pairs = itertools.pairwise(lines)
    return [line for before, line in pairs if not before.strip() and line[:1].isupper()]


def test_sections_of_a_search_go_from_the_ranking_to_what_is_said_elsewhere() -> None:
    assert titles(shown(SEARCH)) == [
        "Importance for log of val_loss, last report",
        "What breaks training",
        "Effects",
        "The strongest pair",
        "The best value, and whether it moves",
        "What matters when",
        "What model.activation can reach",
        "Among good trials",
        "Around the best trial",
        "From the file's trial to the best",
        "What practitioners say",
    ]


def test_sections_of_a_population() -> None:
    assert titles(shown(POPULATION)) == [
        "Importance for log of val_loss, last report",
        "Effects",
        "The strongest pair",
        "The best value, and whether it moves",
        "What matters when",
        "Copies beside their donors",
    ]


def test_a_refusal_stands_alone() -> None:
    text = shown(Analysis(REFUSED))
    assert titles(text) == ["Importance for val_loss"]
    assert "No ranking: at least 4 usable trials are needed." in text


def test_what_is_not_known_has_no_section() -> None:
    of_trials = OfTrials(OF_TRIALS.good, None, None, ())
    assert titles(shown(Analysis(RANKED, of_trials=of_trials)))[1:] == ["Among good trials"]


def test_copies_are_told_of_where_the_population_could_not_be_ranked() -> None:
    clones = CloneEffects(12, None, 0.1, {LR: SHARE})
    text = shown(Analysis(REFUSED, clones=clones))
    assert text.index("No ranking:") < text.index("Copies beside their donors")
    assert "optimizer.lr: 0.5 (0.4 to 0.6)" in text


@pytest.mark.parametrize(
    ("target", "metric"),
    [("log of val_loss, last report", "val_loss"), ("change of log val_loss", "change")],
)
def test_effects_are_in_values_of_the_metric_or_of_its_change(target: str, metric: str) -> None:
    text = shown(Analysis(replace(RANKED, objective=target), shape=SHAPE))
    assert f"{metric} by optimizer.lr (down) and model.activation (across)" in text


def test_warnings_are_told_of_where_the_trials_could_not_be_ranked() -> None:
    trials = tuple(f"0000{number}" for number in range(7))
    warned = WarnedTrials("loss_terms_apart", trials, 60, "a and b are apart, " * 9)
    text = shown(Analysis(REFUSED, warnings=(warned,)))
    assert text.index("No ranking:") < text.index("What trials were warned of")
    assert "loss_terms_apart: 7 of 60 trials (00000, 00001, 00002, 00003, 00004, ...)" in text
    assert "00000: a and b are apart" in text
