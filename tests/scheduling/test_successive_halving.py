import math
import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytune_pipe.scheduling.decisions import Decision, Report
from raytune_pipe.scheduling.successive_halving import (
    SuccessiveHalving,
    is_control,
    percentile,
    rungs,
)


def report(trial: str, epoch: float, score: float) -> Report:
    return Report(trial, number=1, epoch=epoch, score=score, values={})


def maker(epochs: int = 9, brackets: int = 1, control_fraction: float = 0.0) -> SuccessiveHalving:
    return SuccessiveHalving(
        epochs=epochs,
        grace_epochs=1,
        reduction_factor=3.0,
        brackets=brackets,
        seed=0,
        control_fraction=control_fraction,
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


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.floats(1.5, 10))
def test_percentiles_equal_numpys_to_the_bit(numbers: list[float], reduction_factor: float) -> None:
    percent = (1 - 1 / reduction_factor) * 100
    assert percentile(sorted(numbers), percent) == np.percentile(numbers, percent)


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


def test_controls_are_a_share_of_the_trials_and_stay_where_it_grows() -> None:
    names = [f"{i:05d}" for i in range(4000)]
    controls = {each: {i for i in names if is_control(0, i, each)} for each in (0.0, 0.1, 0.3)}
    assert not controls[0.0]
    assert len(controls[0.1]) == pytest.approx(400, abs=60)
    assert len(controls[0.3]) == pytest.approx(1200, abs=90)
    assert controls[0.1] < controls[0.3]
    assert controls[0.1] != {i for i in names if is_control(1, i, 0.1)}


CONTROL = next(f"{i:05d}" for i in range(100) if is_control(0, f"{i:05d}", 0.1))


def test_a_control_goes_on_past_the_cutoff_it_misses_and_counts_there_last() -> None:
    asha = maker(control_fraction=0.1)
    for trial in "abc":
        assert not is_control(0, trial, 0.1)
    asha.on_report(report("a", 1, 1.0))
    assert asha.on_report(report(CONTROL, 1, 2.0)) == [
        Decision(CONTROL, "go_on", rung=1, bracket=0, cutoff=1.0)
    ]
    (decision,) = asha.on_report(report("b", 1, 9.0))
    assert decision.cutoff == pytest.approx(4 / 3)  # a third of the way from 1.0 to the control's 2
    assert asha.on_report(report(CONTROL, 3, 2.0)) == [Decision(CONTROL, "go_on", bracket=0)]
    assert asha.on_report(report("a", 3, 5.0)) == [Decision("a", "go_on", rung=3, bracket=0)]
    assert asha.on_report(report(CONTROL, 4, math.nan)) == [
        Decision(CONTROL, "stop", diverged=True, bracket=0)
    ]


EVENTS = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.integers(1, 9), st.floats(0, 1) | st.just(math.nan))
)


@given(EVENTS, st.sampled_from([0.0, 0.5]))
def test_replay_gives_equal_decisions(
    events: list[tuple[str, int, float]], control_fraction: float
) -> None:
    first, again = (maker(brackets=2, control_fraction=control_fraction) for _ in range(2))
    for event in events:
        assert first.on_report(report(*event)) == again.on_report(report(*event))


@given(EVENTS)
def test_controls_change_no_decision_on_others(events: list[tuple[str, int, float]]) -> None:
    plain, with_controls = maker(), maker(control_fraction=0.5)
    assert {is_control(0, trial, 0.5) for trial in "abcdef"} == {True, False}
    stopped, diverged = set[str](), set[str]()
    for event in events:
        if event[0] in diverged:
            continue
        (other,) = with_controls.on_report(report(*event))
        if math.isnan(event[2]):
            diverged.add(event[0])
        if event[0] in stopped:  # only a control reports on
            continue
        (one,) = plain.on_report(report(*event))
        assert one.cutoff == other.cutoff
        if one.action == "stop" and not one.diverged:
            stopped.add(one.trial)
            assert other.action == ("go_on" if is_control(0, one.trial, 0.5) else "stop")
        else:
            assert other == one


def trained(asha: SuccessiveHalving, trial: str, rng: random.Random, epochs: int) -> int:
    """The epochs that a trial trains, run on its own to its end; its scores are chance."""
    for epoch in range(1, epochs + 1):
        (decision,) = asha.on_report(report(trial, epoch, rng.random()))
        if decision.action == "stop":
            return epoch
    return epochs


@pytest.mark.parametrize(("reduction_factor", "trials"), [(2.0, 20), (3.0, 40), (3.0, 6)])
def test_the_price_is_what_simulated_runs_cost(reduction_factor: float, trials: int) -> None:
    names = [f"{i:05d}" for i in range(trials)]
    costs: dict[float, int] = {0.0: 0, 0.2: 0}
    extra = share = 0.0
    for seed in range(100):
        for fraction in costs:
            asha = SuccessiveHalving(
                epochs=27,
                grace_epochs=1,
                reduction_factor=reduction_factor,
                brackets=1,
                seed=seed,
                control_fraction=fraction,
            )
            rng = random.Random(seed)
            costs[fraction] += sum(trained(asha, name, rng, 27) for name in names)
        price = asha.control_price(names)
        assert price.trials == sum(is_control(seed, name, 0.2) for name in names)
        extra, share = extra + price.extra_epochs / 100, share + price.share / 100
    ordinary, with_controls = (cost / 100 for cost in costs.values())
    assert with_controls - ordinary == pytest.approx(extra, rel=0.1)
    assert (with_controls - ordinary) / ordinary == pytest.approx(share, rel=0.1)


def test_the_price_in_brackets_is_that_of_each_controls_own() -> None:
    names = [f"{i:05d}" for i in range(3000)]
    asha = maker(epochs=27, brackets=2, control_fraction=0.2)
    controls = [asha.bracket_of(name) for name in names if is_control(0, name, 0.2)]
    expected = {0: 1 + 2 / 3 + 6 / 9 + 18 / 27, 1: 3 + 6 / 3 + 18 / 9}  # a third goes on
    extra = sum(27 - expected[bracket] for bracket in controls)
    assert asha.control_price(names).extra_epochs == pytest.approx(extra, rel=0.01)
    assert maker(epochs=27).control_price(names) == (0, 0, 0)


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
