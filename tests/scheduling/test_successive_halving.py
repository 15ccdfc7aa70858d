import math
import random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytune_pipe.scheduling.decisions import Decision, Report
from raytune_pipe.scheduling.successive_halving import SuccessiveHalving, rungs


def report(trial: str, epoch: float, score: float) -> Report:
    return Report(trial, number=1, epoch=epoch, score=score, values={})


def maker(epochs: int = 9, brackets: int = 1) -> SuccessiveHalving:
    return SuccessiveHalving(
        epochs=epochs, grace_epochs=1, reduction_factor=3.0, brackets=brackets, seed=0
    )


def test_rungs_are_geometric() -> None:
    assert rungs(2, 3.0, 100) == (2, 6, 18, 54)
    assert rungs(2, 3.0, 100, bracket=1) == (6, 18, 54)
    assert rungs(2, 3.0, 100, bracket=9) == ()
    assert rungs(1, 3.0, 9) == (1, 3, 9)


def test_decision_says_rung_cutoff_and_bracket() -> None:
    asha = maker()
    assert asha.on_report(report("a", 1, 1.0)) == [Decision("a", "go_on", rung=1, bracket=0)]
    assert asha.on_report(report("b", 1, 3.0)) == [
        Decision("b", "stop", rung=1, bracket=0, cutoff=1.0)
    ]
    assert asha.on_report(report("c", 1, 0.5)) == [
        Decision("c", "go_on", rung=1, bracket=0, cutoff=1.6666666666666665)
    ]
    assert asha.on_report(report("c", 2, 9.0)) == [Decision("c", "go_on", bracket=0)]


def test_nothing_is_decided_once_the_budget_is_used() -> None:
    asha = maker()
    for trial, score in (("a", 1.0), ("b", 2.0)):
        assert asha.on_report(report(trial, 9, score)) == [Decision(trial, "go_on", bracket=0)]


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_diverged_trial_is_stopped_and_leaves_cutoffs_alone(score: float) -> None:
    asha = maker()
    asha.on_report(report("a", 1, 1.0))
    for trial in ("b", "c", "d"):
        assert asha.on_report(report(trial, 1, score)) == [
            Decision(trial, "stop", diverged=True, bracket=0)
        ]
    (decision,) = asha.on_report(report("e", 1, 1.1))
    assert (decision.action, decision.cutoff) == ("stop", 1.0)


def test_brackets_are_drawn_with_rays_weights() -> None:
    asha = maker(epochs=27, brackets=3)
    drawn = [asha.bracket_of(f"{i:05d}") for i in range(4000)]
    weights = [math.exp(4), math.exp(3), math.exp(2)]
    for bracket, weight in enumerate(weights):
        assert drawn.count(bracket) / 4000 == pytest.approx(weight / sum(weights), abs=0.03)


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.integers(1, 9), st.floats(0, 1) | st.just(math.nan))
    )
)
def test_replay_gives_equal_decisions(events: list[tuple[str, int, float]]) -> None:
    first, again = maker(brackets=2), maker(brackets=2)
    for event in events:
        assert first.on_report(report(*event)) == again.on_report(report(*event))


@pytest.mark.parametrize("jumps", [False, True])
@pytest.mark.parametrize("reduction_factor", [2.0, 2.5, 3.0, 4.0])
@pytest.mark.parametrize("brackets", [1, 3])
def test_decisions_equal_rays(jumps: bool, reduction_factor: float, brackets: int) -> None:
    rng = random.Random(f"{jumps} {reduction_factor} {brackets}")
    for seed in range(10):
        grace, epochs = rng.choice([1, 2, 3]), rng.randint(4, 40)
        ours = SuccessiveHalving(
            epochs=epochs,
            grace_epochs=grace,
            reduction_factor=reduction_factor,
            brackets=brackets,
            seed=seed,
        )
        rays = RaysAsha(epochs, grace, reduction_factor, brackets)
        compare(ours, rays, epochs, rng, jumps)


class RaysAsha:
    """Ray's scheduler, told what its controller tells it, without a cluster."""

    def __init__(self, epochs: int, grace: int, reduction_factor: float, brackets: int) -> None:
        from ray.tune.schedulers import AsyncHyperBandScheduler

        self.scheduler: Any = AsyncHyperBandScheduler(
            time_attr="epoch",
            metric="score",
            mode="min",
            max_t=epochs,
            grace_period=grace,
            reduction_factor=reduction_factor,
            brackets=brackets,
        )

    def add(self, trial: str, bracket: int) -> None:
        self.scheduler.on_trial_add(None, SimpleNamespace(trial_id=trial))
        self.scheduler._trial_info[trial] = self.scheduler._brackets[bracket]

    def stops(self, trial: str, epoch: int, score: float) -> bool:
        told = SimpleNamespace(trial_id=trial), {"epoch": epoch, "score": score}
        stops: bool = self.scheduler.on_trial_result(None, *told) == "STOP"
        if stops:
            self.scheduler.on_trial_complete(None, *told)
        return stops


def compare(
    ours: SuccessiveHalving, rays: RaysAsha, epochs: int, rng: random.Random, jumps: bool
) -> None:
    """Run 40 trials, 8 at a time, in random order, and check every decision."""
    waiting, running = [f"{i:05d}" for i in range(40)], dict[str, int]()
    while waiting or running:
        if waiting and len(running) < 8:
            trial = waiting.pop()
            rays.add(trial, ours.bracket_of(trial))
            running[trial] = 0
        trial = rng.choice(list(running))
        running[trial] += rng.randint(1, 6) if jumps else 1
        epoch, score = running[trial], round(rng.random(), 1)
        (decision,) = ours.on_report(report(trial, epoch, score))
        stops = decision.action == "stop" or epoch >= epochs
        assert rays.stops(trial, epoch, score) == stops
        if stops:
            del running[trial]
