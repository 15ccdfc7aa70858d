"""Readings as plain values for JSON."""

from dataclasses import dataclass

import numpy as np

from raytune_pipe.analysis.estimates import Estimate, Estimates
from raytune_pipe.analysis.plain_values import plain


@dataclass(frozen=True)
class Reading:
    names: tuple[str, ...]
    estimate: Estimate | None


def test_everything_becomes_mappings_lists_and_scalars() -> None:
    reading = Reading(("a", "b"), Estimate(1.0, 0.5, float("nan")))
    assert plain({1: reading, "none": Reading((), None)}) == {
        "1": {"names": ["a", "b"], "estimate": {"value": 1.0, "low": 0.5, "high": None}},
        "none": {"names": [], "estimate": None},
    }


def test_arrays_become_lists_of_python_numbers() -> None:
    parts = Estimates(np.array([1.0, np.inf]), np.zeros(2), np.ones(2))
    assert plain(parts) == {"value": [1.0, None], "low": [0.0, 0.0], "high": [1.0, 1.0]}
    assert type(plain(np.float64(0.5))) is float
    assert type(plain(np.bool_(True))) is bool
