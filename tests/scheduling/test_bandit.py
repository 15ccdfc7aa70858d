import math
import statistics
from itertools import permutations

import numpy as np
import pytest

from raytune_pipe.distributions import Choice, IntUniform, LogUniform, Uniform
from raytune_pipe.distributions_fields import Prior
from raytune_pipe.scheduling.bandit import Bandit
from raytune_pipe.scheduling.decisions import Checkpoint, Report
from raytune_pipe.scheduling.improvements import Improvements
from raytune_pipe.search_space import Condition, Hyperparameter, SearchSpace, Values

NAN = math.nan
LR = SearchSpace((Hyperparameter("lr", LogUniform(low=1e-4, high=1.0)),))
MIXED = SearchSpace(
    (
        Hyperparameter("lr", LogUniform(low=1e-4, high=1.0)),
        Hyperparameter("layers", IntUniform(low=1, high=4)),
        Hyperparameter("batch_size", Choice(options=(16, 32, 64, 128))),
        Hyperparameter("clips", Choice(options=(True, False))),
        Hyperparameter("max_norm", Uniform(low=1.0, high=9.0), (Condition("clips", (True,)),)),
    )
)


def bandit(space: SearchSpace = LR, seed: int = 0, interval_epochs: int = 1) -> Bandit:
    improvements = Improvements(space, interval_epochs=interval_epochs)
    return Bandit(space, improvements, seed=seed, resample_probability=0.25)


def report(trial: str, epoch: int, score: float, values: Values) -> Report:
    return Report(trial, epoch, epoch, score, values, Checkpoint(f"{trial}/{epoch}.pt", "0" * 64))


def trained(space: SearchSpace, members: int, epochs: int, best: float, seed: int = 0) -> Bandit:
    """A bandit that has seen losses fall fastest where the first unit is ``best``."""
    rng = np.random.default_rng(seed)
    made, levels = bandit(space, seed), np.ones(members)
    for epoch in range(1, epochs + 1):
        for member in range(members):
            units = {name: float(rng.random()) for name in space.names}
            levels[member] -= 0.3 - 0.5 * (units[space.names[0]] - best) ** 2
            values = space.from_units(units)
            made.hear(report(f"m{member}", epoch, math.exp(levels[member]), values))
    return made


def donor(epoch: int, score: float = 0.1) -> Report:
    return report("m0", epoch, score, MIXED.from_units(dict.fromkeys(MIXED.names, 0.3)))


def test_without_observations_draws_are_even_on_the_declared_scale() -> None:
    drawn = [bandit(seed=seed)("b", donor(1), 0)["lr"].value for seed in range(300)]
    low = sum(isinstance(value, float) and value < 0.1 for value in drawn)
    assert low / 300 == pytest.approx(0.75, abs=0.07)  # on a linear scale 10 % of them
    assert all(LR["lr"].distribution.contains(value) for value in drawn)
    assert len(set(drawn)) == 300


def test_without_observations_draws_follow_the_users_prior() -> None:
    prior = Prior(center=1e-3, confidence="high")
    space = SearchSpace((Hyperparameter("lr", LogUniform(low=1e-4, high=1.0, prior=prior)),))
    drawn = [bandit(space, seed)("b", donor(1), 0)["lr"].value for seed in range(60)]
    logs = [math.log10(value) for value in drawn if isinstance(value, float)]
    assert statistics.mean(logs) == pytest.approx(-3, abs=0.3)


@pytest.mark.parametrize("best", [0.2, 0.8])
def test_it_selects_what_has_improved_scores_most(best: float) -> None:
    made = trained(LR, members=6, epochs=8, best=best)
    found = []
    for number in range(8):
        explored = made(f"t{number}", donor(8), 0)
        made.forget(f"t{number}")
        found.append(LR.to_units({"lr": explored["lr"].value})["lr"])
        assert explored["lr"].operation == "select"
    assert statistics.median(found) == pytest.approx(best, abs=0.12)


def test_members_that_explore_at_once_spread() -> None:
    apart, alone = (trained(LR, members=4, epochs=3, best=0.5) for _ in range(2))
    spreads = []
    for made, forgets in ((apart, False), (alone, True)):
        units = []
        for number in range(6):
            value = made(f"t{number}", donor(3), 0)["lr"].value
            units.append(LR.to_units({"lr": value})["lr"])
            if forgets:
                made.forget(f"t{number}")
        spreads.append(statistics.pstdev(units))
    assert spreads[0] > 1.5 * spreads[1]


def test_choices_move_as_under_pbt_and_all_stays_in_the_space() -> None:
    made = trained(MIXED, members=4, epochs=4, best=0.5)
    operations, sizes = set[str](), set[object]()
    for number in range(60):
        explored = made(f"t{number}", donor(4), 0)
        made.forget(f"t{number}")
        values = {name: each.value for name, each in explored.items()}
        assert MIXED.contains(values)
        assert (values["max_norm"] is None) == (values["clips"] is False)
        operations |= {explored["batch_size"].operation}
        sizes |= {values["batch_size"]}
    assert operations == {"perturb", "resample"}
    assert sizes == {16, 32, 64, 128}  # from 32: its neighbors, or drawn anew


def test_the_order_of_arrival_changes_nothing() -> None:
    selected = []
    for order in list(permutations(range(4)))[::4]:
        made = bandit()
        for epoch in (1, 2, 3):
            for member in order:
                unit = (member * 0.29 + epoch * 0.13) % 1
                values = LR.from_units({"lr": unit})
                score = 1 / epoch + 0.1 * unit
                made.hear(report(f"m{member}", epoch, score, values))
        selected.append([made(each, donor(3), 1)["lr"].value for each in "ab"])
    assert all(each == selected[0] for each in selected)


def improvements_of(*reports: Report, interval_epochs: int = 2) -> Improvements:
    made = Improvements(LR, interval_epochs=interval_epochs)
    for each in reports:
        made.add(each)
    return made


VALUES = {"lr": 0.01}


def test_an_interval_begins_with_the_last_milestone_or_with_the_first_report() -> None:
    scores = (8.0, 4.0, 2.0, 1.0)
    reports = [report("a", epoch, score, VALUES) for epoch, score in enumerate(scores, start=1)]
    other = [report("b", 1, 8.0, {"lr": 1.0}), report("b", 2, 8.0, {"lr": 1.0})]
    process = improvements_of(*reports, *other).process()
    assert process.times.tolist() == [1, 1, 2]
    # Halved each epoch, in the first interval over the one epoch that was seen; b did not improve.
    assert process.targets[0] == pytest.approx(process.targets[2])
    assert process.targets[1] < process.targets[0]
    assert process.points[:, 0] == pytest.approx([0.5, 1.0, 0.5])
    assert process.points[:, 1] == pytest.approx([1.0, 1.0, 2 / 3])  # 8, 8 and 4 of 8 to 1


def test_a_copys_interval_begins_with_its_donor() -> None:
    first = [report(trial, 2, score, VALUES) for trial, score in (("a", 1.0), ("b", 4.0))]
    made = improvements_of(*first)
    assert made.context(first[0]) == (2.0, 0.0)
    made.copy("b", first[0])
    for trial in "ab":
        made.add(report(trial, 4, 0.5, VALUES))
    process = made.process()
    assert process.times.tolist() == [2, 2]
    assert (process.targets == 0).all()  # both have halved it from 1 to 0.5


@pytest.mark.parametrize("scores", [(-1.0, -3.0, 2.0), (4.0, 2.0, 5.0), (4.0, 2.0, 4.0)])
def test_a_diverged_interval_has_not_improved_or_is_the_worst(
    scores: tuple[float, float, float],
) -> None:
    start, good, bad = scores
    reports = [report(trial, 1, start, VALUES) for trial in "abc"]
    reports += [report("a", 2, good, VALUES), report("b", 2, bad, VALUES)]
    made = improvements_of(*reports, interval_epochs=1)
    assert made.add(report("c", 2, NAN, VALUES))
    targets = made.process().targets
    assert targets[0] > targets[1] == targets[2]
