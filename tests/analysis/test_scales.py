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
