"""How evenly trials cover the space: adaptive searchers and populations crowd where it is good."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from raytune_pipe.analysis.observations import Observations
from raytune_pipe.distributions import Choice, Distribution, LogIntUniform, LogUniform, count_of

Array = NDArray[np.float64]

CELLS = 10
"""Equal parts of a range, on its declared scale."""
EVEN = 0.8
"""Coverage below which the crowding is said; of 50 trials drawn evenly, one in 10,000 has less."""


def design_coverage(rows: Observations) -> dict[str, float]:
    """The fraction of each hyperparameter's range that trials cover; 1 where they lie evenly.

    The range is cut into parts, ten or one for each option. Coverage is the number of parts that
    would be as uncertain if all were used alike, exp(entropy), over their number. The entropy is
    corrected for the number of rows (Miller 1955). A hyperparameter that never applied has 0.
    """
    return {
        name: _coverage(rows.space[name].distribution, rows.units[:, place])
        for place, name in enumerate(rows.space.names)
        if name in rows.hyperparameters
    }


def crowding_notes(coverage: Mapping[str, float]) -> Iterator[str]:
    """A sentence where trials crowd."""
    crowded = {name: one for name, one in sorted(coverage.items(), key=_share) if one < EVEN}
    if crowded:
        covered = ", ".join(f"{one:.0%} of {name}" for name, one in crowded.items())
        yield (
            "trials crowd in a part of the space, as those of an adaptive searcher or a coarse "
            f"grid do: they cover {covered} (100% would be even). What lies outside rests on few "
            "of them."
        )


def _share(item: tuple[str, float]) -> float:
    return item[1]


def _coverage(distribution: Distribution, units: Array) -> float:
    known = units[~np.isnan(units)]
    if not len(known):
        return 0.0
    cells = _cells(distribution)
    counts = np.bincount(np.minimum((known * cells).astype(int), cells - 1), minlength=cells)
    parts = counts[counts > 0] / len(known)
    entropy = -(parts * np.log(parts)).sum() + (len(parts) - 1) / (2 * len(known))
    return float(min(np.exp(entropy) / cells, 1.0))


def _cells(distribution: Distribution) -> int:
    count = count_of(distribution)
    if isinstance(distribution, Choice):
        return count or CELLS
    if count is None or isinstance(distribution, LogIntUniform | LogUniform):
        return CELLS
    return min(count, CELLS)
