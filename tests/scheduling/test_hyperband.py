import math
import random
from collections import Counter

import pytest

from raytune_pipe.scheduling.decisions import Decision, Report
from raytune_pipe.scheduling.hyperband import (
    Bracket,
    BracketedHalving,
    brackets,
    round_sizes,
    rungs,
)

NAN = math.nan


def report(trial: str, epoch: int, score: float) -> Report:
    return Report(trial, number=epoch, epoch=epoch, score=score, values={})


def plan_of(trials: int) -> list[str]:
    return [f"{index:05d}" for index in range(trials)]


def one_bracket(trials: str = "abcd", epochs: int = 4) -> BracketedHalving:
    """Rungs at 1 and 2; of four trials two go on, then one."""
    bracket = Bracket(2, len(trials), rungs=(1, 2), kept=(2, 1))
    return BracketedHalving(trials, [bracket], epochs=epochs, seed=0)


def test_a_round_has_the_sizes_of_the_papers_table() -> None:
    assert round_sizes(81, 1, 3.0) == {4: 81, 3: 34, 2: 15, 1: 8, 0: 5}
    assert round_sizes(16, 1, 4.0) == {2: 16, 1: 6, 0: 3}
    assert round_sizes(243, 3, 3.0) == round_sizes(81, 1, 3.0)
    assert round_sizes(2, 1, 3.0) == {0: 1}
    (first, *_) = brackets(143, 81, 1, 3.0)
    assert first == Bracket(4, 81, rungs=(1, 3, 9, 27), kept=(27, 9, 3, 1))
    assert first.total_epochs(81) == 81 + 27 * 2 + 9 * 6 + 3 * 18 + 54


def test_rungs_are_whole_epochs_within_the_brackets_share() -> None:
    assert rungs(20, 1, 3.0) == (2, 6)
    assert rungs(100, 1, 2.0) == (1, 3, 6, 12, 25, 50)
    assert rungs(100, 5, 2.5) == (6, 16, 40)
    assert rungs(1, 1, 3.0) == ()


def test_a_fractional_reduction_factor_loses_no_rung_to_rounding() -> None:
    assert rungs(33, 15, 2.2) == (15,)  # 33 / 2.2 is 14.999999999999998 in floating point
    assert rungs(81, 1, 2.7)[-1] == 30
    assert round_sizes(33, 15, 2.2) == {1: 3, 0: 2}


def test_whole_rounds_come_first_and_the_rest_keeps_their_proportions() -> None:
    sizes = [(one.number, one.trials) for one in brackets(2 * 17 + 8, 9, 1, 3.0)]
    assert sum(round_sizes(9, 1, 3.0).values()) == 17  # 9, 5 and 3
    assert sizes[:6] == [(2, 9), (1, 5), (0, 3)] * 2
    sizes = [(one.number, one.trials) for one in brackets(8, 9, 1, 3.0)]
    assert sizes == [(2, 4), (1, 2), (0, 2)]
    assert [one.trials for one in brackets(1, 9, 1, 3.0)] == [1]


@pytest.mark.parametrize("trials", [1, 2, 5, 17, 40, 143, 300])
@pytest.mark.parametrize(("epochs", "reduction_factor"), [(81, 3.0), (27, 2.0), (50, 2.7)])
def test_every_trial_is_dealt_and_someone_trains_to_the_end(
    trials: int, epochs: int, reduction_factor: float
) -> None:
    dealt = brackets(trials, epochs, 1, reduction_factor)
    halving = BracketedHalving(plan_of(trials), dealt, epochs=epochs, seed=1)
    found = Counter(id(halving.bracket_of(trial)) for trial in plan_of(trials))
    assert found == {id(bracket): bracket.trials for bracket in dealt}
    for bracket in dealt:
        assert list(bracket.rungs) == sorted(set(bracket.rungs))
        assert all(0 < rung < epochs for rung in bracket.rungs)
        assert all(kept >= 1 for kept in bracket.kept)


def test_the_plans_order_tells_nothing_of_the_bracket() -> None:
    trials = plan_of(286)
    makers = [
        BracketedHalving(trials, brackets(286, 81, 1, 3.0), epochs=81, seed=seed) for seed in (0, 1)
    ]
    numbers = [[maker.bracket_of(trial).number for trial in trials] for maker in makers]
    assert numbers[0] != numbers[1]
    assert Counter(numbers[0]) == {4: 162, 3: 68, 2: 30, 1: 16, 0: 10}
    early, late = (numbers[0][half].count(4) for half in (slice(143), slice(143, 286)))
    assert abs(early - late) < 40


def test_the_last_to_arrive_releases_the_best() -> None:
    halving = one_bracket()
    for trial, score in (("a", 3.0), ("b", 1.0), ("c", 4.0)):
        assert halving.on_report(report(trial, 1, score)) == [
            Decision(trial, "wait", rung=1, bracket=2)
        ]
    decisions = halving.on_report(report("d", 1, 2.0))
    assert {made.trial: made.action for made in decisions} == {
        "a": "stop",
        "b": "go_on",
        "c": "stop",
        "d": "go_on",
    }
    assert {(made.rung, made.cutoff, made.bracket) for made in decisions} == {(1, 2.0, 2)}
    halving.on_report(report("b", 2, 5.0))
    decisions = halving.on_report(report("d", 2, 5.0))  # a tie goes by trial id
    assert [(made.trial, made.action) for made in decisions] == [("b", "go_on"), ("d", "stop")]
    assert halving.on_report(report("b", 3, 5.0)) == [Decision("b", "go_on", bracket=2)]
    assert halving.on_report(report("b", 4, 5.0)) == [Decision("b", "go_on", bracket=2)]


def test_one_that_diverges_or_ends_leaves_its_place_to_the_next_best() -> None:
    halving = one_bracket()
    halving.on_report(report("a", 1, 1.0))
    halving.on_report(report("b", 1, 9.0))
    halving.on_end("c")
    stopped, *others = halving.on_report(report("d", 1, NAN))
    assert (stopped.trial, stopped.action, stopped.diverged) == ("d", "stop", True)
    assert [(made.trial, made.action) for made in others] == [("a", "go_on"), ("b", "go_on")]
    assert [made.action for made in halving.on_end("b")] == []
    assert [made.action for made in halving.on_report(report("a", 2, 1.0))] == ["go_on"]


def test_an_end_releases_those_that_wait() -> None:
    halving = one_bracket()
    for trial, score in (("a", 3.0), ("b", 1.0), ("c", 2.0)):
        halving.on_report(report(trial, 1, score))
    decisions = halving.on_end("d")
    assert [(made.trial, made.action) for made in decisions] == [
        ("a", "stop"),
        ("b", "go_on"),
        ("c", "go_on"),
    ]


def papers_bracket(
    scores: dict[tuple[str, int], float], trials: list[str], s: int, epochs: int, eta: int
) -> dict[str, int]:
    """Algorithm 1's inner loop, word by word; gives the epochs that each trial trains."""
    n, r = len(trials), epochs * eta**-s
    configurations, trained = list(trials), dict[str, int]()
    for i in range(s + 1):
        n_i, r_i = math.floor(n * eta**-i), math.floor(r * eta**i + 1e-9)
        trained |= dict.fromkeys(configurations, r_i)
        losses = {trial: scores[trial, r_i] for trial in configurations}
        configurations = sorted(configurations, key=losses.__getitem__)[: n_i // eta]
    return trained


@pytest.mark.parametrize(("epochs", "eta"), [(27, 3), (30, 3), (16, 4), (20, 2), (4, 3)])
def test_trials_train_as_in_the_papers_algorithm(epochs: int, eta: int) -> None:
    rng = random.Random(f"{epochs} {eta}")
    sizes = round_sizes(epochs, 1, float(eta))
    for seed in range(5):
        plan = plan_of(2 * sum(sizes.values()))
        dealt = brackets(len(plan), epochs, 1, float(eta))
        halving = BracketedHalving(plan, dealt, epochs=epochs, seed=seed)
        scores = {(trial, epoch): rng.random() for trial in plan for epoch in range(1, epochs + 1)}
        trained = run(halving, scores, plan, epochs, rng)
        for bracket in dealt:
            group = [trial for trial in plan if halving.bracket_of(trial) is bracket]
            expected = papers_bracket(scores, group, bracket.number, epochs, eta)
            assert {trial: trained[trial] for trial in group} == expected
            assert bracket.total_epochs(epochs) == sum(expected.values())


def test_no_decision_depends_on_the_order_of_events() -> None:
    plan, dealt = plan_of(34), brackets(34, 9, 1, 3.0)
    rng = random.Random(0)
    scores = {
        (trial, epoch): NAN if rng.random() < 0.05 else rng.random()
        for trial in plan
        for epoch in range(1, 10)
    }
    outcomes = []
    for order in range(20):
        halving = BracketedHalving(plan, dealt, epochs=9, seed=0)
        outcomes.append(run(halving, scores, plan, 9, random.Random(order)))
    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert any(math.isnan(scores[trial, epoch]) for trial, epoch in outcomes[0].items())


def run(
    halving: BracketedHalving,
    scores: dict[tuple[str, int], float],
    plan: list[str],
    epochs: int,
    rng: random.Random,
) -> dict[str, int]:
    """Train the trials in random order; the epochs that each of them trains."""
    trained, running = dict.fromkeys(plan, 0), set(plan)
    while running:
        trial = rng.choice(sorted(running))
        trained[trial] += 1
        decisions = halving.on_report(report(trial, trained[trial], scores[trial, trained[trial]]))
        for made in decisions:
            running.discard(made.trial)
            if made.action == "go_on":
                running.add(made.trial)
        if trained[trial] == epochs and trial in running:
            running.discard(trial)
            assert halving.on_end(trial) == []
    return trained
