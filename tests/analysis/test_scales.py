"""Scales of scores, there and back."""

import numpy as np
import pytest

from raytune_pipe.analysis.scales import Scale, scale_of

RNG = np.random.default_rng(0)
NORMAL = RNG.standard_normal(200)


@pytest.mark.parametrize(
    ("scores", "kind"),
    [
        (NORMAL, "linear"),
        (-np.exp(2 * NORMAL), "rank"),
        (np.exp(NORMAL), "log"),
        (np.append(NORMAL, 1e30), "rank"),
        (np.append(np.exp(NORMAL), 1e30), "rank"),
        (np.array([1.0, 100.0]), "linear"),
        (np.ones(50), "linear"),
    ],
)
def test_the_plainest_scale_without_a_heavy_tail(scores: np.ndarray, kind: str) -> None:
    assert scale_of(scores).kind == kind


@pytest.mark.parametrize("kind", ["linear", "log", "rank"])
def test_there_and_back(kind: str) -> None:
    scores = np.exp(NORMAL)
    scale = Scale("rank", np.sort(scores)) if kind == "rank" else Scale(kind)  # type: ignore[arg-type]  # a parameter of the test
    targets = scale.to_target(scores)
    assert (np.argsort(targets) == np.argsort(scores)).all()
    assert scale.to_score(targets) == pytest.approx(scores)


def test_ranks_are_shares_below_with_ties_in_the_middle() -> None:
    scale = Scale("rank", np.array([1.0, 2.0, 2.0, 3.0]))
    assert scale.to_target(np.array([1.0, 2.0, 3.0, 9.0])).tolist() == [0.125, 0.5, 0.875, 1.0]
    assert scale.to_score(np.array([-1.0, 2.0])).tolist() == [1.0, 3.0]


def test_what_has_no_place_on_a_scale_is_nan() -> None:
    scores = np.array([-1.0, 0.0, 1.0, np.nan])
    assert Scale("log").to_target(scores) == pytest.approx(
        np.array([np.nan, np.nan, 0.0, np.nan]), nan_ok=True
    )
    ranks = Scale("rank", np.array([0.0, 1.0])).to_target(scores)
    assert ranks == pytest.approx(np.array([0.0, 0.25, 0.75, np.nan]), nan_ok=True)
    assert np.isnan(Scale().to_target(scores)).tolist() == [False, False, False, True]


def test_ranks_between_two_scores_are_read_back_between_them() -> None:
    scale = Scale("rank", np.array([1.0, 2.0, 4.0, 8.0]))
    assert scale.to_score(np.array([0.25, 0.5, 0.75])).tolist() == [1.5, 3.0, 6.0]


def test_a_scale_is_named_before_the_metric() -> None:
    assert [Scale(kind).words for kind in ("linear", "log", "rank")] == ["", "log of ", "rank of "]


@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e3])
def test_the_choice_of_a_scale_does_not_depend_on_the_unit(factor: float) -> None:
    assert scale_of(factor * np.exp(NORMAL)).kind == "log"
    assert scale_of(factor * np.append(NORMAL, 100.0)).kind == "rank"
    assert scale_of(factor * NORMAL).kind == "linear"
