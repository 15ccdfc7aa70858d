"""The ranking of random searches whose true driver is known."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from raytune_pipe.analysis.importance import rank_importance
from raytune_pipe.analysis.ranking import Importance
from raytune_pipe.components.estimators import Boosting, Expansion
from raytune_pipe.distributions import Choice, LogUniform, Uniform
from raytune_pipe.results.reading import Results
from raytune_pipe.search_space import Hyperparameter, SearchSpace

Array = NDArray[np.float64]

EXPANSION = Expansion()
"""Given where trees need not be tried: they take ten times as long (test_fitting.py has them)."""

SPACE = SearchSpace(
    (
        Hyperparameter("optimizer.lr", LogUniform(low=1e-4, high=1.0)),
        Hyperparameter("batch_size", Choice(options=(16, 32, 64, 128))),
        Hyperparameter("optimizer.weight_decay", LogUniform(low=1e-6, high=1e-2)),
        Hyperparameter("optimizer.momentum", Uniform(low=0.0, high=0.99)),
        Hyperparameter("model.dropout", Uniform(low=0.0, high=0.5)),
    )
)


def learning_rate_first(units: Array) -> Array:
    """A valley in log lr that moves with batch size and momentum; the rest matters little."""
    lr, batch, decay, momentum, dropout = units.T
    valley = (lr - 0.45 - 0.25 * (batch - 0.5) + 0.15 * (momentum - 0.5)) ** 2
    rest = 0.3 * (batch - 0.3) ** 2 + 0.25 * (decay - 0.6) ** 2 + 0.1 * dropout
    result: Array = 6 * valley + rest
    return result


def nothing(units: Array) -> Array:
    return np.zeros(len(units))


def random_search(
    function: Callable[[Array], Array], trials: int, seed: int, noise: float = 0.3
) -> Results:
    """A finished run; ``noise`` in standard deviations of the function, or absolute if flat."""
    rng = np.random.default_rng(seed)
    drawn = [
        SPACE.from_units(dict(zip(SPACE.names, row, strict=True)))
        for row in rng.random((trials, len(SPACE)))
    ]
    score = function(np.array([list(SPACE.to_units(values).values()) for values in drawn]))
    score = score + noise * (score.std() or 1.0) * rng.standard_normal(trials)
    table = pd.DataFrame(drawn).assign(
        trial_id=[f"{number:05d}" for number in range(trials)], status="completed", score=score
    )
    return results_of(table)


def results_of(trials: pd.DataFrame) -> Results:
    return Results(
        trials=trials.convert_dtypes(dtype_backend="pyarrow"),
        reports=pd.DataFrame(),
        lineage=pd.DataFrame(),
        experiment={"scheduler": {"kind": "fifo"}},
        space=SPACE,
        objective={"metric": "val_loss", "mode": "min", "at": "last"},
        path=Path(),
    )


def top(importance: Importance) -> str | None:
    return importance.ranking[0].name if importance.ranking else None


def test_learning_rate_is_found_in_sixty_trials() -> None:
    found = [
        rank_importance(
            random_search(learning_rate_first, 60, seed), estimator=EXPANSION, resamples=2
        )
        for seed in range(10)
    ]
    assert list(map(top, found)).count("optimizer.lr") >= 9


def test_noise_is_refused() -> None:
    refused = [
        rank_importance(random_search(nothing, 60, seed), estimator=EXPANSION, resamples=2).refused
        for seed in range(20)
    ]
    assert sum(reason is not None for reason in refused) >= 18


def test_the_choice_among_surrogates_finds_nothing_in_noise() -> None:
    refused = [rank_importance(random_search(nothing, 60, seed)).refused for seed in range(3)]
    assert None not in refused


@pytest.mark.slow
def test_intervals_hold_the_truth() -> None:
    """Nine in ten are meant to, on total shares that are not negligible."""
    search = random_search(learning_rate_first, 2000, seed=99)
    many = rank_importance(search, estimator=EXPANSION, resamples=2)
    truth = many.to_frame()["total"]
    truth = truth[truth > 0.05]
    held = []
    for seed in range(10):
        search = random_search(learning_rate_first, 100, seed)
        importance = rank_importance(search, estimator=EXPANSION, resamples=40)
        frame = importance.to_frame().loc[truth.index]
        held += ((frame["total_low"] <= truth) & (truth <= frame["total_high"])).tolist()
    assert len(truth) == 3
    assert np.mean(held) > 0.8


def test_every_figure_has_an_interval_and_the_answer_repeats() -> None:
    results = random_search(learning_rate_first, 40, seed=1)
    importance = rank_importance(results, resamples=30)
    assert importance == rank_importance(results, resamples=30)
    assert importance.trials == importance.rows == 40
    assert importance.r2 is not None
    estimates = [importance.r2, *(pair.share for pair in importance.pairs)]
    for one in importance.ranking:
        estimates += [one.first, one.total]
    assert all(low <= value <= high for value, low, high in estimates)
    assert [one.name for one in importance.ranking] == importance.to_frame().index.tolist()
    assert {one.name for one in importance.ranking} == set(SPACE.names)
    above = importance.above
    assert above["optimizer.lr"]["model.dropout"] == 1 - above["model.dropout"]["optimizer.lr"]


def test_mapping_is_plain_json() -> None:
    importance = rank_importance(random_search(learning_rate_first, 40, seed=1), resamples=10)
    mapping = json.loads(json.dumps(importance.to_mapping(), allow_nan=False))
    assert mapping["ranking"][0]["total"].keys() == {"value", "low", "high"}
    assert mapping["refused"] is None
    assert mapping["verdicts"][0].keys() == {
        "higher",
        "lower",
        "probability",
        "more_trials",
        "is_resolved",
    }


def test_another_estimator_agrees() -> None:
    results = random_search(learning_rate_first, 60, seed=2)
    importance = rank_importance(results, estimator=Boosting(trees=40), resamples=2)
    assert top(importance) == "optimizer.lr"
    assert "boosting" in importance.method


@pytest.mark.parametrize(
    ("trials", "function", "reason"),
    [
        (3, learning_rate_first, "at least 4 usable trials are needed, but got 3"),
        (19, learning_rate_first, "at least 20 usable trials are needed, but got 19"),
    ],
)
def test_too_few_trials_are_refused(
    trials: int, function: Callable[[Array], Array], reason: str
) -> None:
    importance = rank_importance(random_search(function, trials, seed=0))
    assert importance.refused is not None
    assert reason in importance.refused
    assert importance.ranking == ()
    assert importance.r2 is None


def test_a_constant_objective_is_refused() -> None:
    importance = rank_importance(random_search(nothing, 30, seed=0, noise=0.0))
    assert importance.refused == "the objective must vary, but it is 0 in all of them"


def test_diverged_trials_keep_what_makes_them_diverge() -> None:
    """High rates diverge; among the others the batch size decides. Dropping them would hide it."""
    results = random_search(lambda units: units[:, 1], 100, seed=3, noise=0.05)
    lr = np.array(
        [
            SPACE["optimizer.lr"].distribution.to_unit(value)
            for value in results.trials["optimizer.lr"]
        ]
    )
    trials = results.trials.assign(
        status=np.where(lr > 0.6, "diverged", "completed"),
        score=np.where(lr > 0.6, np.nan, results.trials["score"].to_numpy(dtype=float)),
    )
    kept = rank_importance(results_of(trials), estimator=EXPANSION, resamples=10)
    assert top(kept) == "optimizer.lr"
    assert kept.trials == 100
    assert any("diverged: counted as the worst score seen" in note for note in kept.notes)
    dropped = rank_importance(results_of(trials[lr <= 0.6]), estimator=EXPANSION, resamples=10)
    assert top(dropped) == "batch_size"


def test_a_doubtful_r2_is_said_beside_the_ranking() -> None:
    from raytune_pipe.analysis.estimates import Estimate
    from raytune_pipe.analysis.importance import _doubt

    assert _doubt(Estimate(0.5, 0.2, 0.8)) is None
    assert "R2 reaches to 0" in str(_doubt(Estimate(0.3, -0.5, 0.8)))
