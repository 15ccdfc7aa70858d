import math
from itertools import permutations

import pytest

from raytune_pipe.distributions import Uniform
from raytune_pipe.scheduling.decisions import Checkpoint, Decision, Report
from raytune_pipe.scheduling.exploit import Exploits, Perturbation
from raytune_pipe.scheduling.population import PopulationBasedTraining
from raytune_pipe.search_space import Hyperparameter, SearchSpace

NAN = math.nan


def maker(plan: str = "abcd", milestones: tuple[int, ...] = (2, 4)) -> PopulationBasedTraining:
    space = SearchSpace((Hyperparameter("lr", Uniform(low=0.0, high=1.0)),))
    explorer = Perturbation(space, seed=0, perturbation=0.1, resample_probability=0.25)
    exploits = Exploits(explorer, seed=0, limit=len(milestones) + 1)
    return PopulationBasedTraining(plan, exploits, milestones=milestones, epochs=6, quantile=0.25)


def report(trial: str, epoch: int, score: float) -> Report:
    checkpoint = None if math.isnan(score) else Checkpoint(f"{trial}/{epoch}.pt", "0" * 64)
    return Report(trial, epoch, epoch, score, {"lr": 0.5}, checkpoint)


def arrive(
    pbt: PopulationBasedTraining, epoch: int, scores: dict[str, float]
) -> dict[str, Decision]:
    """Report for all, and check that none but the last releases the barrier."""
    for trial, score in list(scores.items())[:-1]:
        (decision,) = pbt.on_report(report(trial, epoch, score))
        assert (decision.trial, decision.action) == (trial, "wait")
    last = list(scores)[-1]
    return by_trial(pbt.on_report(report(last, epoch, scores[last])))


def by_trial(decisions: list[Decision]) -> dict[str, Decision]:
    assert len({decision.trial for decision in decisions}) == len(decisions)
    return {decision.trial: decision for decision in decisions}


def actions(decisions: dict[str, Decision]) -> dict[str, tuple[str, str | None]]:
    return {trial: (made.action, made.donor) for trial, made in decisions.items()}


def test_between_barriers_and_at_the_end_members_go_on() -> None:
    pbt = maker("a")
    for epoch, rung in ((1, None), (2, 2), (3, None), (4, 4), (5, None), (6, None)):
        (decision,) = pbt.on_report(report("a", epoch, 1.0))
        assert (decision.action, decision.rung) == ("go_on", rung)


def test_a_member_that_has_used_its_budget_never_waits() -> None:
    (decision,) = maker().on_report(report("a", 6, 1.0))
    assert decision == Decision("a", "go_on")


def test_the_worst_copies_the_best_and_the_others_go_on() -> None:
    decisions = arrive(maker(), 2, {"c": 3.0, "a": 1.0, "d": 4.0, "b": 2.0})
    assert actions(decisions) == {
        "a": ("go_on", None),
        "b": ("go_on", None),
        "c": ("go_on", None),
        "d": ("exploit", "a"),
    }
    assert {(made.rung, made.cutoff) for made in decisions.values()} == {(2, 3.0)}
    assert decisions["d"].checkpoint == Checkpoint("a/2.pt", "0" * 64)
    assert decisions["d"].donor_report == 2


def test_the_order_of_arrival_changes_no_decision() -> None:
    events = {"a": 1.0, "b": 1.0, "c": NAN, "d": 4.0, "e": None}
    outcomes = []
    for order in permutations(events):
        pbt, decisions = maker("abcde"), list[Decision]()
        for trial in order:
            score = events[trial]
            decisions = (
                pbt.on_end(trial) if score is None else pbt.on_report(report(trial, 2, score))
            )
        outcomes.append(by_trial(decisions))
    assert actions(outcomes[0]) == {
        "a": ("go_on", None),
        "b": ("go_on", None),
        "c": ("exploit", "a"),
        "d": ("go_on", None),
    }
    assert all(outcome == outcomes[0] for outcome in outcomes)


def test_a_member_that_ends_once_it_has_arrived_is_ranked_either_way() -> None:
    early, late = maker(), maker()
    early.on_report(report("a", 2, 1.0))
    early.on_end("a")
    decisions = arrive(early, 2, {"b": 2.0, "c": 3.0, "d": 4.0})
    reference = arrive(late, 2, {"b": 2.0, "c": 3.0, "d": 4.0, "a": 1.0})
    assert decisions == {trial: made for trial, made in reference.items() if trial != "a"}
    assert decisions["d"].donor == "a"


def test_an_end_releases_the_barrier() -> None:
    pbt = maker("abc")
    pbt.on_report(report("a", 2, 1.0))
    pbt.on_report(report("b", 2, 2.0))
    assert actions(by_trial(pbt.on_end("c"))) == {"a": ("go_on", None), "b": ("exploit", "a")}
    pbt.on_report(report("a", 4, 1.0))
    assert actions(by_trial(pbt.on_end("b"))) == {"a": ("go_on", None)}
    assert pbt.on_end("a") == []


def test_a_diverged_member_arrives_at_once_and_every_one_is_replaced() -> None:
    pbt = maker()
    assert pbt.on_report(report("d", 1, NAN))[0].action == "wait"
    decisions = arrive(pbt, 2, {"a": NAN, "b": 1.0, "c": NAN})
    assert actions(decisions) == {
        "a": ("exploit", "b"),
        "b": ("go_on", None),
        "c": ("exploit", "b"),
        "d": ("exploit", "b"),
    }


def test_where_nobody_is_healthy_all_go_back_to_the_last_barriers_donor() -> None:
    pbt = maker("ab")
    arrive(pbt, 2, {"a": 1.0, "b": 2.0})
    decisions = arrive(pbt, 3, {"a": NAN, "b": NAN})
    assert actions(decisions) == {"a": ("exploit", "a"), "b": ("exploit", "a")}
    assert {made.checkpoint for made in decisions.values()} == {Checkpoint("a/2.pt", "0" * 64)}
    assert decisions["a"].values != decisions["b"].values


def test_without_any_donor_the_diverged_are_stopped() -> None:
    decisions = arrive(maker("ab"), 2, {"a": NAN, "b": NAN})
    assert [(made.action, made.diverged) for made in decisions.values()] == [("stop", True)] * 2
    (decision,) = maker("a", milestones=()).on_report(report("a", 3, NAN))
    assert (decision.action, decision.diverged) == ("stop", True)


@pytest.mark.parametrize("epoch", [5, 6])
def test_past_the_last_barrier_the_diverged_are_replaced_at_once(epoch: int) -> None:
    pbt = maker("ab", milestones=(2,))
    arrive(pbt, 2, {"a": 1.0, "b": 2.0})
    pbt.on_end("a")
    (decision,) = pbt.on_report(report("b", epoch, NAN))
    assert (decision.action, decision.donor, decision.donor_report) == ("exploit", "a", 2)
    (decision,) = pbt.on_report(report("b", epoch, NAN))
    assert (decision.action, decision.diverged) == ("stop", True)


def test_a_stopped_member_is_not_waited_for() -> None:
    pbt = maker("ab", milestones=(2, 4))
    pbt.on_report(report("a", 1, NAN))
    unsaved = Report("b", 2, 2, 1.0, {"lr": 0.5})
    assert actions(by_trial(pbt.on_report(unsaved))) == {"a": ("stop", None), "b": ("go_on", None)}
    assert actions(by_trial(pbt.on_report(report("b", 4, 1.0)))) == {"b": ("go_on", None)}
