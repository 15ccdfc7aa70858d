import math
import random
import statistics
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytune_pipe.scheduling.decisions import Decision, Report
from raytune_pipe.scheduling.median_stopping import MedianStopping, median

NAN = math.nan


def report(trial: str, epoch: int, score: float) -> Report:
    return Report(trial, number=epoch, epoch=epoch, score=score, values={})


def maker(grace_epochs: int = 1, min_trials: int = 2, epochs: int = 9) -> MedianStopping:
    return MedianStopping(epochs=epochs, grace_epochs=grace_epochs, min_trials=min_trials)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_the_median_is_that_of_the_standard_library(numbers: list[float]) -> None:
    assert median(sorted(numbers)) == statistics.median(numbers)


def test_the_best_score_is_compared_with_the_median_of_running_averages() -> None:
    rule = maker()
    for trial, scores in (("a", (2.0, 1.0)), ("b", (4.0, 3.0))):
        for epoch, score in enumerate(scores, start=1):
            assert rule.on_report(report(trial, epoch, score)) == [Decision(trial, "go_on")]
    assert rule.on_report(report("c", 1, 3.0)) == [Decision("c", "go_on", rung=1, cutoff=3.0)]
    # The averages at 2 are 1.5 and 3.5; that of c is left out.
    assert rule.on_report(report("c", 2, 2.6)) == [Decision("c", "stop", rung=2, cutoff=2.5)]
    assert rule.on_report(report("d", 1, 2.0))[0].action == "go_on"
    assert rule.on_report(report("d", 2, 9.0))[0] == Decision("d", "go_on", rung=2, cutoff=2.8)


def test_nothing_is_decided_in_the_grace_with_few_trials_or_at_the_end() -> None:
    rule = maker(grace_epochs=3, min_trials=2, epochs=4)
    for trial in "ab":
        for epoch in (1, 2, 3, 4):
            rule.on_report(report(trial, epoch, 1.0))
    for epoch in (1, 2):
        assert rule.on_report(report("c", epoch, 5.0)) == [Decision("c", "go_on")]
    assert rule.on_report(report("c", 3, 5.0)) == [Decision("c", "stop", rung=3, cutoff=1.0)]
    assert rule.on_report(report("d", 4, 5.0)) == [Decision("d", "go_on")]


def test_averages_begin_where_the_grace_ends() -> None:
    rule = maker(grace_epochs=2, min_trials=1)
    rule.on_report(report("a", 1, 100.0))
    rule.on_report(report("a", 2, 1.0))
    assert rule.on_report(report("b", 2, 1.5)) == [Decision("b", "stop", rung=2, cutoff=1.0)]


@pytest.mark.parametrize("score", [NAN, math.inf])
def test_a_diverged_trial_is_stopped_and_leaves_what_it_had_reported(score: float) -> None:
    rule = maker(min_trials=1)
    rule.on_report(report("a", 1, 1.0))
    assert rule.on_report(report("a", 2, score)) == [Decision("a", "stop", diverged=True)]
    assert rule.on_report(report("b", 1, 2.0)) == [Decision("b", "stop", rung=1, cutoff=1.0)]
    assert rule.on_report(report("c", 2, 2.0)) == [Decision("c", "go_on")]


class RaysRule:
    """Ray's scheduler, told what its controller tells it, without a cluster.

    It is not told of ends: it would append the last result to those it has, and so count it twice.
    """

    def __init__(self, grace_epochs: int, min_trials: int) -> None:
        from ray.tune.schedulers import MedianStoppingRule

        self.scheduler: Any = MedianStoppingRule(
            time_attr="epoch",
            metric="score",
            mode="min",
            grace_period=grace_epochs,
            min_samples_required=min_trials,
            hard_stop=True,
        )
        self.trials: dict[str, Any] = {}
        self.controller = SimpleNamespace(get_live_trials=list)

    def stops(self, trial: str, epoch: int, score: float) -> bool:
        told = self.trials.setdefault(trial, Trial(trial))
        result = {"epoch": epoch, "score": score}
        word = self.scheduler.on_trial_result(self.controller, told, result)
        return bool(word == "STOP")


class Trial:
    """What Ray's scheduler knows of a trial."""

    def __init__(self, trial_id: str) -> None:
        self.trial_id = trial_id


@pytest.mark.parametrize("grace_epochs", [1, 2, 5])
@pytest.mark.parametrize("min_trials", [1, 3, 8])
def test_decisions_equal_rays(grace_epochs: int, min_trials: int) -> None:
    rng = random.Random(f"{grace_epochs} {min_trials}")
    stopped = 0
    for _ in range(5):
        epochs = rng.randint(6, 20)
        ours, rays = maker(grace_epochs, min_trials, epochs), RaysRule(grace_epochs, min_trials)
        waiting, running = [f"{i:05d}" for i in range(30)], dict[str, int]()
        level = {trial: rng.random() for trial in waiting}
        while waiting or running:
            while waiting and len(running) < 8:
                running[waiting.pop()] = 0
            trial = rng.choice(list(running))
            epoch = running[trial] = running[trial] + 1
            score = NAN if rng.random() < 0.01 else level[trial] + rng.random() + 2 / epoch
            (decision,) = ours.on_report(report(trial, epoch, score))
            rays_stops = rays.stops(trial, epoch, score)
            if not math.isnan(score) and epoch < epochs:
                assert rays_stops == (decision.action == "stop")
            if decision.action == "stop" or epoch == epochs:
                stopped += not decision.diverged and epoch < epochs
                del running[trial]
    assert stopped > 20
