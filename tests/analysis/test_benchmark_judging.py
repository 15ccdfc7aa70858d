"""Rankings are judged by what they say, not by what they ought to."""

import numpy as np
import pytest

from raytune_pipe.analysis.estimates import Estimate
from raytune_pipe.analysis.ranking import HyperparameterImportance, Importance
from raytune_pipe.analysis.verdicts import Verdict
from raytune_pipe.components.estimators import Estimator
from raytune_pipe.distributions import Uniform
from raytune_pipe.results.reading import Results
from raytune_pipe.search_space import Hyperparameter, SearchSpace

from benchmarks.importance import judging
from benchmarks.importance.finished import judge, merged
from benchmarks.importance.judging import Judgement, judge_ours
from benchmarks.importance.problem import Problem, finished_run
from benchmarks.importance.table import OURS, error_rows, seconds_rows, trust_rows

SPACE = SearchSpace(
    tuple(Hyperparameter(name, Uniform(low=0.0, high=1.0)) for name in ("one", "two", "idle"))
)
PLAIN = Problem("plain", SPACE, lambda units: 3 * units[:, 0] + units[:, 1])
"""Its shares are 0.9 and 0.1."""


def ranking(*verdicts: Verdict) -> Importance:
    """Errors of 0.1, 0.1 and 0.01; of ``one`` the intervals hold the truth, of ``two`` neither."""
    return Importance(
        objective="val_loss, last report",
        method="variance shares (boosting)",
        trials=50,
        rows=50,
        r2=Estimate(0.9, 0.8, 1.0),
        refused=None,
        ranking=(
            HyperparameterImportance("two", Estimate(0.2, 0.15, 0.3), Estimate(0.2, 0.15, 0.3)),
            HyperparameterImportance("one", Estimate(0.8, 0.7, 0.95), Estimate(0.8, 0.7, 0.95)),
            HyperparameterImportance("idle", Estimate(0.01, 0.0, 0.02), Estimate(0.01, 0.0, 0.02)),
        ),
        verdicts=verdicts,
    )


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> list[Importance]:
    """What the ranking of the next runs says, instead of a ranking."""
    said: list[Importance] = []

    def rank(_: Results, *, resamples: int, estimator: Estimator | None) -> Importance:
        assert resamples > 0
        assert estimator is None
        return said[-1]

    monkeypatch.setattr(judging, "rank_importance", rank)
    return said


def test_errors_intervals_and_orders(says: list[Importance]) -> None:
    says.append(
        ranking(
            Verdict("one", "two", 0.97, 0),
            Verdict("one", "idle", 0.8, 100),
            Verdict("idle", "two", 0.95, 0),
        )
    )
    judged = judge_ours(PLAIN, finished_run(PLAIN, 50, seed=0))
    np.testing.assert_allclose(judged.errors, (0.07, 0.07), atol=1e-3)
    assert judged.held == {
        "first": [True, False, True],
        "large first": [True, False],
        "large total": [True, False],
    }
    assert judged.orders == (True, False)
    assert judged.by_trees
    assert not judged.refused


def test_a_refusal_is_counted_and_no_error(says: list[Importance]) -> None:
    run = finished_run(PLAIN, 50, seed=0)
    says.append(Importance("val_loss", "none", 50, 50, None, "too noisy"))
    refused = judge_ours(PLAIN, run)
    says.append(ranking())
    ranked = judge_ours(PLAIN, run)
    assert refused.refused
    *_, row = error_rows([("plain", 50, {OURS: [refused, ranked]})])
    assert row == "| plain | 50 | 0.0700 / 0.0700 | 1 of 2 | 1 |"


def test_rows_of_tables() -> None:
    one = Judgement((0.1, 0.3), 1.0, held={"first": [True, False]}, orders=(True, True, False))
    other = Judgement((0.3, 0.1), 1.0)
    *_, row = error_rows(
        [("p", 100, merged([{OURS: [one], "x": [one]}, {OURS: [other], "x": []}]))]
    )
    assert row == "| p | 100 | 0.2000 / 0.2000 | 0.1000 / 0.3000 | 0 of 2 | 0 |"
    *_, row = trust_rows([("p", 100, [one, other])])
    assert row == "| p | 100 | 0.500 of 2 | - | - | 3 | 0.6667 |"
    assert list(seconds_rows({"work": 1.234}))[-1] == "| work | 1.23 |"


def test_all_tools_are_judged_on_the_same_runs() -> None:
    judged = judge([(PLAIN, 0)], trials=50, with_peers=True)
    assert list(judged) == [OURS, "fANOVA", "PED-ANOVA", "MDI"]
    errors = {tool: one.errors for tool, (one,) in judged.items()}
    assert max(errors[OURS]) < 0.01
    assert min(min(error) for tool, error in errors.items() if tool != OURS) > max(errors[OURS])
