import math

from raytune_pipe.distributions import Uniform
from raytune_pipe.scheduling.asynchronous_population import AsynchronousPopulationBasedTraining
from raytune_pipe.scheduling.decisions import Checkpoint, Decision, Report
from raytune_pipe.scheduling.exploit import Exploits, Perturbation
from raytune_pipe.search_space import Hyperparameter, SearchSpace

NAN = math.nan


def maker(plan: str = "abcd") -> AsynchronousPopulationBasedTraining:
    space = SearchSpace((Hyperparameter("lr", Uniform(low=0.0, high=1.0)),))
    explorer = Perturbation(space, seed=0, perturbation=0.1, resample_probability=0.25)
    exploits = Exploits(explorer, seed=0, limit=3)
    return AsynchronousPopulationBasedTraining(
        plan, exploits, milestones=(2, 4), epochs=6, quantile=0.5
    )


def report(trial: str, epoch: int, score: float) -> Report:
    checkpoint = None if math.isnan(score) else Checkpoint(f"{trial}/{epoch}.pt", "0" * 64)
    return Report(trial, epoch, epoch, score, {"lr": 0.5}, checkpoint)


def actions(decisions: list[Decision]) -> list[tuple[str, str, str | None]]:
    return [(made.trial, made.action, made.donor) for made in decisions]


def test_a_member_is_compared_with_the_latest_milestones_of_the_others() -> None:
    pbt = maker()
    assert actions(pbt.on_report(report("a", 1, 9.0))) == [("a", "go_on", None)]
    assert actions(pbt.on_report(report("a", 2, 2.0))) == [("a", "go_on", None)]
    assert actions(pbt.on_report(report("a", 3, 9.0))) == [("a", "go_on", None)]
    assert actions(pbt.on_report(report("b", 2, 3.0))) == [("b", "exploit", "a")]
    (decision,) = pbt.on_report(report("c", 4, 1.0))
    assert (decision.action, decision.rung, decision.cutoff) == ("go_on", 4, 1.0)


def test_a_finished_member_is_a_donor_through_its_last_milestone() -> None:
    pbt = maker("ab")
    for epoch in (2, 4, 6):
        assert actions(pbt.on_report(report("a", epoch, 1.0))) == [("a", "go_on", None)]
    assert pbt.on_end("a") == []
    (decision,) = pbt.on_report(report("b", 2, 3.0))
    assert (decision.donor, decision.donor_report) == ("a", 4)


def test_a_member_that_failed_is_no_donor() -> None:
    pbt = maker("ab")
    pbt.on_report(report("a", 2, 1.0))
    pbt.on_end("a")
    assert actions(pbt.on_report(report("b", 2, 3.0))) == [("b", "go_on", None)]


def test_a_diverged_member_is_replaced_at_once_where_there_is_a_donor() -> None:
    pbt = maker()
    pbt.on_report(report("a", 2, 1.0))
    (decision,) = pbt.on_report(report("b", 1, NAN))
    assert (decision.action, decision.donor, decision.rung) == ("exploit", "a", 1)


def test_the_diverged_wait_for_the_first_donor() -> None:
    pbt = maker()
    assert actions(pbt.on_report(report("a", 1, NAN))) == [("a", "wait", None)]
    assert actions(pbt.on_report(report("b", 1, NAN))) == [("b", "wait", None)]
    assert actions(pbt.on_report(report("c", 1, 1.0))) == [("c", "go_on", None)]
    assert actions(pbt.on_report(report("c", 2, 1.0))) == [
        ("c", "go_on", None),
        ("a", "exploit", "c"),
        ("b", "exploit", "c"),
    ]


def test_the_diverged_are_stopped_when_no_donor_can_come() -> None:
    by_end, by_report = maker("ab"), maker("ab")
    by_end.on_report(report("a", 1, NAN))
    assert actions(by_end.on_end("b")) == [("a", "stop", None)]
    by_report.on_report(report("a", 1, NAN))
    assert actions(by_report.on_report(report("b", 1, NAN))) == [
        ("a", "stop", None),
        ("b", "stop", None),
    ]


def test_a_diverged_member_is_no_donor_with_what_it_was_before() -> None:
    pbt = maker("abc")
    pbt.on_report(report("a", 2, 1.0))
    assert actions(pbt.on_report(report("a", 3, NAN))) == [("a", "wait", None)]
    assert actions(pbt.on_report(report("b", 2, 2.0))) == [
        ("b", "go_on", None),
        ("a", "exploit", "b"),
    ]


def test_a_member_that_diverges_whatever_it_copies_is_stopped_in_the_end() -> None:
    pbt = maker("ab")
    pbt.on_report(report("a", 2, 1.0))
    made = [pbt.on_report(report("b", 3, NAN))[0] for _ in range(4)]
    assert [decision.action for decision in made] == ["exploit"] * 3 + ["stop"]
    assert made[-1].diverged
