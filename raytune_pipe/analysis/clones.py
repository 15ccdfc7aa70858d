"""Clone pairs: a donor and its copy go on from the same weights with different hyperparameters.

Nothing else tells them apart, so the difference of what they make of these weights is the effect of
the difference of their hyperparameters: a local effect, with its sign, around values that were good
enough to be copied.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raytune_pipe.analysis.estimates import Estimate, estimates_of
from raytune_pipe.analysis.observations import units_of
from raytune_pipe.analysis.plain_values import plain
from raytune_pipe.analysis.segments import Segments, donors_of, segments_of
from raytune_pipe.results.reading import Results
from raytune_pipe.search_space import SearchSpace

Array = NDArray[np.float64]

LEAST_PAIRS = 8
"""With fewer pairs nothing is said."""
STEP = 0.1
"""Share of the declared range that effects are given for."""
LOCAL = 0.3
"""Differences beyond this share of a range are no longer local; those pairs are left out."""
PENALTY = 1e-3
"""Of squared effects, relative to the differences: settles what hardly ever differed."""


@dataclass(frozen=True)
class CloneEffects:
    """What a step up in each hyperparameter does to the change of score in the next interval."""

    pairs: int
    refused: str | None
    """Why nothing is said; the rest is then empty."""
    step: float
    """The step, as a share of the declared range."""
    effects: dict[str, Estimate]
    """On the change per epoch, lower is better; by name, in the order of the space."""

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(plain(self))


def clone_effects(results: Results, rng: np.random.Generator, resamples: int) -> CloneEffects:
    """Regress differences of change on differences of units; whole generations are resampled."""
    ordered = SearchSpace(
        tuple(one for one in results.space if getattr(one.distribution, "ordered", True))
    )
    segments = segments_of(results)
    differences, gains, generations = _pairs(results, segments, ordered)
    if len(gains) < max(LEAST_PAIRS, 2 * len(ordered)):
        needed = max(LEAST_PAIRS, 2 * len(ordered))
        reason = f"at least {needed} pairs with small differences are needed, but got {len(gains)}"
        return CloneEffects(len(gains), reason, STEP, {})
    members = np.unique(generations)
    resampled = []
    for _ in range(resamples):
        drawn = rng.choice(members, len(members))
        rows = np.concatenate([np.flatnonzero(generations == one) for one in drawn])
        resampled.append(_slopes(differences[rows], gains[rows]))
    slopes = estimates_of(_slopes(differences, gains), resampled).each()
    scaled = [Estimate(*(STEP * part for part in one)) for one in slopes]
    return CloneEffects(len(gains), None, STEP, dict(zip(ordered.names, scaled, strict=True)))


def _pairs(
    results: Results, segments: Segments, space: SearchSpace
) -> tuple[Array, Array, NDArray[np.int64]]:
    """Differences of units ``[pairs, axes]``, of changes ``[pairs]``, and the generations."""
    table = segments.table
    units = np.nan_to_num(units_of(space, table), nan=0.5)
    place = {
        (str(trial), report): row
        for row, (trial, first, last) in enumerate(
            zip(table["trial_id"], table["first_report"], table["report"], strict=True)
        )
        for report in range(int(first), int(last) + 1)
    }
    rows = []
    for (copy, report), (donor, donor_report) in donors_of(results.lineage).items():
        pair = place.get((str(copy), report + 1)), place.get((str(donor), donor_report + 1))
        if None not in pair:
            rows.append(pair)
    left, right = np.array(rows, dtype=np.int64).reshape(-1, 2).T
    differences = units[left] - units[right]
    kept = (np.abs(differences) <= LOCAL).all(axis=1) & (differences != 0).any(axis=1)
    gains = segments.change[left] - segments.change[right]
    return differences[kept], gains[kept], table["generation"].to_numpy(np.int64)[left][kept]


def _slopes(differences: Array, gains: Array) -> Array:
    """Least squares without a constant: clones that do not differ do the same."""
    gram = differences.T @ differences
    gram[np.diag_indices_from(gram)] += PENALTY * (gram.trace() / len(gram) + PENALTY)
    return np.asarray(np.linalg.solve(gram, differences.T @ gains), dtype=float)
