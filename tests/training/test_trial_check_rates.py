import json
from typing import Any

import numpy as np
import pytest

from raytune_pipe.distributions import Choice, LogUniform
from raytune_pipe.training.trial_check import check_trial
from raytune_pipe.training.trial_check_findings import RangeTest
from raytune_pipe.training.trial_check_rates import (
    Rates,
    check_rates,
    has_diverged,
    read_range,
    used_rates,
)
from raytune_pipe.training.trial_check_runs import Place
from raytune_pipe.trial import Trial

RATES = np.geomspace(1e-6, 1e1, 100)
TEST = RangeTest(tuple(RATES), (), 1e-3, 1e-2, 1e-1)


def trial_of(**changes: Any) -> Trial:
    plain = {
        "dataset": {"kind": "digits"},
        "model": {"kind": "mlp", "widths": [32]},
        "loss": {"kind": "cross_entropy"},
        "optimizer": {"kind": "sgd", "lr": 0.1},
    }
    return Trial.model_validate_json(json.dumps(plain | changes))


TRIAL = trial_of()


def valley(noise: float = 0.0) -> list[float]:
    """Flat at 2, falls from 1e-3 on, lowest at 1e-1, then rises."""
    logs = np.log10(RATES)
    falling = np.clip((-3 - logs) / 2, -1, 0)
    rising = np.clip(logs + 1, 0, None)
    noises = noise * np.random.default_rng(0).standard_normal(100)
    return [float(loss) for loss in 2.0 + falling + 3 * rising + noises]


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_range_begins_where_the_loss_falls_and_ends_where_it_rises(noise: float) -> None:
    test = read_range(RATES.tolist(), valley(noise))
    assert test.low is not None
    assert test.high is not None
    assert test.steepest is not None
    assert 5e-4 < test.low < 3e-3
    assert test.low <= test.steepest <= test.high
    assert 4e-2 < test.high < 2e-1


def test_noise_is_no_fall() -> None:
    noise = 2 + 0.3 * np.random.default_rng(0).standard_normal(100)
    assert read_range(RATES.tolist(), noise.tolist()).low is None


def test_a_loss_that_only_rises_falls_nowhere() -> None:
    assert read_range(RATES.tolist(), np.linspace(1, 3, 100).tolist()).low is None


def test_a_batch_that_is_harder_than_the_first_has_not_diverged() -> None:
    unmoved = [0.5, 2.0, 1.0, 0.8, 2.5, 1.1, 0.9, 1.2, 1.0, 0.7]
    assert not any(has_diverged(loss, unmoved[:at]) for at, loss in enumerate(unmoved))
    assert not has_diverged(7.0, unmoved)
    assert has_diverged(8.0, unmoved)
    assert has_diverged(float("inf"), [])


def test_searched_rates_are_the_ends_of_the_distribution() -> None:
    assert used_rates(TRIAL, {})[:2] == (0.1, 0.1)
    low_high = {"optimizer.lr": LogUniform(low=1e-4, high=1.0)}
    assert used_rates(TRIAL, low_high)[:2] == (1e-4, 1.0)
    options = {"optimizer.lr": Choice(options=(0.5, 0.01, 0.1))}
    assert used_rates(TRIAL, options)[:2] == (0.01, 0.5)


def test_a_schedules_absolute_rates_are_those_that_are_looked_at() -> None:
    schedule = {"kind": "warmup", "then": {"kind": "piecewise", "rates": {"0": 0.05, "3": 0.005}}}
    trial = trial_of(schedule=schedule, optimizer={"kind": "sgd", "lr": 1e-7})
    check = check_trial(trial, {}, Place())
    found = {one.name: one for one in check.findings}
    assert found["update ratio"].verdict == found["learning rate"].verdict == "ok"
    assert found["update ratio"].found.endswith("the schedule's highest rate, 0.05")
    assert found["learning rate"].found.startswith("the schedule's rates, 0.005 to 0.05, against")
    assert found["overfitting"].found.endswith("steps at 0.05")
    too_low = check_rates(TEST, Rates(1e-9, 1e-8, "", "the schedule's rates"), "")
    assert too_low.mend.startswith("the schedule's rates: 1.0e-03 to")


@pytest.mark.parametrize(
    ("low", "high", "verdict", "suspect"),
    [
        (1e-4, 1.0, "ok", ""),
        (0.05, 0.05, "ok", ""),
        (0.2, 0.2, "ok", ""),  # as near as the test can tell
        (1e-6, 1e-5, "warn", "a learning rate too low"),
        (1.0, 10.0, "warn", "a learning rate too high"),
    ],
)
def test_rates_outside_of_the_range_are_a_warning(
    low: float, high: float, verdict: str, suspect: str
) -> None:
    finding = check_rates(TEST, Rates(low, high, "the rates"), "")
    assert (finding.verdict, finding.suspect) == (verdict, suspect)
