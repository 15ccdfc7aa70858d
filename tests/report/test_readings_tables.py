"""Readings of the fits as text: 80 columns, and nothing said that cannot be told."""

import io

import numpy as np
import pytest
from rich.console import Console, RenderableType

from raytune_pipe.analysis.ablation import Ablation, Step
from raytune_pipe.analysis.effects import Effect, Surface
from raytune_pipe.analysis.estimates import Estimate, Estimates
from raytune_pipe.analysis.failures import FailureCurve, FailureImportance
from raytune_pipe.analysis.folklore import Agreement, Departure
from raytune_pipe.analysis.good_trials import GoodTrials
from raytune_pipe.analysis.grids import ValueRange
from raytune_pipe.analysis.isolation import Isolation, Measured
from raytune_pipe.analysis.local import LocalImportance
from raytune_pipe.analysis.optimum import BestValue, MovingOptimum
from raytune_pipe.report.ablation_table import ablation_table
from raytune_pipe.report.effects_table import effects_table, optimum_table, surface_table
from raytune_pipe.report.failures_table import failures_table
from raytune_pipe.report.folklore_table import folklore_table
from raytune_pipe.report.isolation_table import isolation_table
from raytune_pipe.report.near_best_tables import good_trials_table, local_importance_table

SHARES = {"optimizer.lr": Estimate(0.8, 0.7, 0.9), "batch_size": Estimate(0.2, 0.1, 0.3)}
TIERS = (("optimizer.lr",), ("batch_size",))


def shown(table: RenderableType) -> str:
    """As a pipe gets it; every line fits."""
    console = Console(file=io.StringIO(), width=80, force_terminal=False)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    return text


def around(*values: float) -> Estimates:
    value = np.array(values)
    return Estimates(value, value - 0.1, value + 0.1)


EFFECT = Effect(
    name="optimizer.lr",
    values=(1e-4, 1e-2, 1.0),
    expected=around(0.5, 0.25, 2.5),
    best=(ValueRange(1e-3, 1e-1),),
)
FLAT = Effect("regularizers.clip_norm.max_norm", (1.0, 2.0), around(0.6, 0.6), ())


@pytest.mark.parametrize(
    ("larger", "at_best"), [(False, "0.25 (0.15 to 0.35)"), (True, "2.5 (2.4 to 2.6)")]
)
def test_effects_show_curves_on_one_scale(larger: bool, at_best: str) -> None:
    text = shown(effects_table([EFFECT, FLAT], "val_loss", larger_is_better=larger))
    assert "▂▁█" in text
    assert "▂▂" in text
    assert "0.001 to 0.1" in text
    assert "cannot tell" in text
    assert at_best in text


def test_a_surface_says_how_sure_it_is() -> None:
    values = tuple(10.0**-place for place in range(9)), tuple(range(16, 25))
    grid = np.arange(81.0).reshape(9, 9) / 8
    expected = Estimates(grid, grid - 0.25, grid + 0.5)
    text = shown(surface_table(Surface(("optimizer.lr", "batch_size"), values, expected), "loss"))
    assert "loss by optimizer.lr (down) and batch_size (across)" in text
    assert "0.375 to 0.375 on either side" in text.replace("0.38", "0.375")
    assert "9.88" in text


@pytest.mark.parametrize(
    ("rises", "words"),
    [
        (0.999, "the best optimizer.lr rises with batch_size (P > 0.99)"),
        (0.03, "the best optimizer.lr falls with batch_size (P = 0.97)"),
        (0.4, "whether the best optimizer.lr moves with batch_size: cannot tell (P = 0.60)"),
    ],
)
def test_a_moving_optimum_says_whether_it_moves(rises: float, words: str) -> None:
    best = (BestValue(0.01, 0.004, 0.02), None)
    optimum = MovingOptimum("optimizer.lr", "batch_size", (16, 128), best, rises, None)
    text = shown(optimum_table(optimum))
    assert words in text
    assert "0.01 (0.004 to 0.02)" in text
    assert "128" in text


def test_folklore_names_the_departure_or_that_there_is_none() -> None:
    agreed = Agreement("handbook", TIERS, None, Estimate(0.6, 0.2, 0.8), 0.91, 3, 0, 2)
    departing = Agreement(
        "ng",
        TIERS,
        None,
        Estimate(-0.2, -0.5, 0.1),
        0.9,
        1,
        2,
        2,
        Departure("batch_size", "optimizer.lr", 0.98),
    )
    refused = Agreement("practitioner", TIERS, "at least 3 of what it names must be searched")
    text = shown(folklore_table([agreed, departing, refused]))
    assert "0.60 (0.20 to 0.80)" in text
    assert "ng: here batch_size outranks optimizer.lr (P = 0.98)" in text
    assert "practitioner: not compared: at least 3" in text
    assert "no order is contradicted beyond doubt" in shown(folklore_table([agreed, refused]))
    assert "contradicted" not in shown(folklore_table([refused]))


def failure(curve: FailureCurve) -> FailureImportance:
    r2 = Estimate(0.7, 0.4, 0.8)
    return FailureImportance("diverged", 20, 96, None, r2, SHARES, SHARES, TIERS, curve)


@pytest.mark.parametrize(
    ("mostly", "surely", "words"),
    [
        ((ValueRange(0.3, 1.0),), (ValueRange(0.4, 1.0),), "at 0.4 to 1 more than half break"),
        ((ValueRange(0.3, 1.0),), (), "whether more than half do: cannot tell"),
        ((), (), "at worst, at 1, a fraction of 0.45 (0.35 to 0.55) breaks"),
    ],
)
def test_failures_say_where_half_break_if_that_is_sure(
    mostly: tuple[ValueRange, ...], surely: tuple[ValueRange, ...], words: str
) -> None:
    curve = FailureCurve("optimizer.lr", (0.1, 1.0), around(0.1, 0.45), mostly, surely)
    text = " ".join(shown(failures_table([failure(curve)])).split())
    assert "diverged: 20 of 96 trials; cross-validated R2 0.70 (0.40 to 0.80)" in text
    assert words in text


def test_failures_by_chance_have_no_shares() -> None:
    one = FailureImportance("failed", 3, 96, "at least 5 broken trials are needed, but got 3")
    text = shown(failures_table([one]))
    assert "failed (an error, a crash or a kill): 3 of 96 trials" in text
    assert "what decides it: cannot tell, at least 5 broken trials" in text
    assert "share" not in text


def test_shares_near_the_best_are_parted_where_they_can_be_told() -> None:
    good = GoodTrials(0.25, 30, None, SHARES, TIERS)
    text = shown(good_trials_table(good))
    assert "0.80 (0.70 to 0.90)" in text
    assert "among the best 25% of configurations: optimizer.lr matters most" in text
    local = LocalImportance({}, None, SHARES, (("optimizer.lr", "batch_size"),))
    assert "around the best trial: an order: cannot tell" in shown(local_importance_table(local))


def test_refusals_near_the_best_say_why() -> None:
    good = GoodTrials(0.25, 3, "at least 10 trials must be good ones, but 3 are", {}, ())
    assert "cannot tell, at least 10 trials" in shown(good_trials_table(good))
    local = LocalImportance({}, "nothing is seen to matter there", {}, ())
    assert "cannot tell, nothing is seen" in shown(local_importance_table(local))


def test_a_way_shows_its_steps() -> None:
    step = Step(
        "optimizer.lr",
        1e-4,
        0.0123456,
        Estimate(0.2, 0.1, 0.3),
        Estimate(0.5, 0.4, 0.6),
        Estimate(0.9, 0.8, 1.0),
    )
    doubtful = step._replace(name="model.dropout", share=Estimate(0.1, -0.1, 0.2))
    way = Ablation(None, Estimate(0.7, 0.6, 0.8), Estimate(0.6, 0.4, 0.7), (step, doubtful), ())
    text = shown(ablation_table(way, "val_loss"))
    assert "(default)" in text
    assert "0.0123" in text
    assert "0.90 (0.80 to 1.00)" in text
    assert "0.10 (-0.10 to 0.20)" in text


def test_a_gain_that_may_be_none_has_no_parts() -> None:
    step = Step("batch_size", 16, 32, Estimate(1, 0, 2), Estimate(0.1, -1, 1), None)
    way = Ablation(None, Estimate(1, 0, 2), Estimate(0.1, -1, 1), (step,), ("lr: not searched",))
    text = shown(ablation_table(way, "val_loss"))
    assert "whether the best trial is better than the default: cannot tell" in text
    assert "Note: lr: not searched" in text
    refused = Ablation("the best trial has the default configuration", None, None, (), ())
    assert "no way to the best trial" in shown(ablation_table(refused, "val_loss"))


def test_an_isolation_shows_what_is_reached_and_what_was_measured() -> None:
    one = Isolation(
        name="model.activation",
        values=("relu", "gelu"),
        reached=around(0.2, 0.9),
        measured=(Measured("00012", 0.1875, 30), None),
        best=(ValueRange("relu", "relu"),),
    )
    text = shown(isolation_table(one, "val_loss"))
    assert "0.2 (0.1 to 0.3)" in text
    assert "0.188 (00012)" in text
    assert "best model.activation, others tuned: relu" in text
    untold = Isolation("model.activation", one.values, one.reached, one.measured, ())
    assert "which model.activation is best, others tuned: cannot tell" in shown(
        isolation_table(untold, "val_loss")
    )
