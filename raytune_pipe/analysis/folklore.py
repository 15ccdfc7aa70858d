"""What practitioners say matters most, held against what was measured."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from raytune_pipe.analysis.estimates import Estimate, estimates_of
from raytune_pipe.analysis.plain_values import plain
from raytune_pipe.analysis.verdicts import RESOLVED, probabilities

Array = NDArray[np.float64]

LEAST_SEARCHED = 3
"""With fewer hyperparameters that an order names there is no order to speak of."""

UNITS = (
    *("model.width", "model.widths", "model.hidden_size", "model.filters"),
    *("model.embedding_size", "model.heads", "model.kernel_size"),
)
SHAPE = (*UNITS, "model.depth", "model.layers")
ADAM = ("optimizer.beta1", "optimizer.beta2", "optimizer.eps")
FOLKLORE: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "handbook": (
        ("optimizer.lr", "loss.*"),
        ("batch_size", "optimizer.momentum"),
        (*ADAM, "optimizer.weight_decay", "model.dropout", *SHAPE),
    ),
    "practitioner": (
        ("optimizer.lr", "schedule.*"),
        ("batch_size",),
        ("regularizers.l1.*", "regularizers.l2.*", "optimizer.weight_decay", "epochs", *SHAPE),
    ),
    "ng": (
        ("optimizer.lr",),
        (*UNITS, "batch_size", "optimizer.momentum"),
        ("model.depth", "model.layers", "schedule.*", "optimizer.*"),
    ),
    "lr_first": (("optimizer.lr",), ("*",)),
}
"""Orders of importance: tiers, first tier first, of patterns of names; the first that fits counts.

A list of widths says how many units and how many layers at once; it stands with the units.
"""


@dataclass(frozen=True)
class Departure:
    """Two hyperparameters that matter in the opposite order here."""

    above: str
    """Matters more here."""
    below: str
    """Matters less here, though the order puts it first."""
    probability: float
    """That it does."""


@dataclass(frozen=True)
class Agreement:
    """How far a measured ranking agrees with an order of the folklore."""

    order: str
    """Its name."""
    tiers: tuple[tuple[str, ...], ...]
    """What was searched of it."""
    refused: str | None
    """Why they were not compared; the rest is then empty."""
    tau: Estimate | None = None
    """Kendall's tau-b of total shares and tiers, at most ``most`` and at least -1.
    None where nothing can be told apart."""
    most: float | None = None
    """The tau-b of a ranking that agrees with all of it, short of 1 because of ties in a tier."""
    confirmed: int = 0
    """Pairs of different tiers that the data put in the same order beyond doubt."""
    reversed: int = 0
    """Pairs that they put in the opposite one beyond doubt."""
    unresolved: int = 0
    """Pairs that they cannot tell."""
    departure: Departure | None = None
    """The most certain reversal, if it is beyond doubt."""

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(plain(self))


def folklore(names: Sequence[str], values: Array, totals: Array) -> tuple[Agreement, ...]:
    """Compare total shares with every order of `FOLKLORE`.

    ``values`` [names] are those of all trials, ``totals`` [resamples, names] those of resamples.
    Tau-b is that of Kendall (1945, doi:10.1093/biomet/33.3.239), which allows for ties.
    """
    return tuple(_agreement(order, list(names), values, totals) for order in FOLKLORE)


def tier_of(order: str, name: str) -> int | None:
    """The tier, from 0, that an order puts a hyperparameter in; None where it does not name it."""
    for tier, patterns in enumerate(FOLKLORE[order]):
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            return tier
    return None


def _agreement(order: str, names: list[str], values: Array, totals: Array) -> Agreement:
    tiers = {name: tier for name in names if (tier := tier_of(order, name)) is not None}
    groups = [tuple(name for name in tiers if tiers[name] == tier) for tier in range(3)]
    described = Agreement(order, tuple(filter(None, groups)), None)
    refused = _refused(described)
    if refused:
        return Agreement(order, described.tiers, refused)
    columns = [names.index(name) for name in tiers]
    ranks = -np.array(list(tiers.values()), dtype=float)
    taus = np.array([_tau(ranks, one) for one in (values[columns], *totals[:, columns])])
    strict = ranks + np.linspace(0, 0.5, len(ranks))
    pairs = list(_pairs(tiers, names, probabilities(totals)))
    reversals = [one for one in pairs if one.probability >= RESOLVED]
    confirmed = sum(one.probability <= 1 - RESOLVED for one in pairs)
    return Agreement(
        order=order,
        tiers=described.tiers,
        refused=None,
        tau=_estimate(taus, most := _tau(ranks, strict)),
        most=most,
        confirmed=confirmed,
        reversed=len(reversals),
        unresolved=len(pairs) - confirmed - len(reversals),
        departure=max(reversals, key=lambda one: one.probability, default=None),
    )


def _refused(described: Agreement) -> str | None:
    searched = sum(map(len, described.tiers))
    if searched < LEAST_SEARCHED:
        return f"at least {LEAST_SEARCHED} of what it names must be searched, but {searched} were"
    if len(described.tiers) < 2:
        return "what was searched of it must fall into two tiers, but all of it falls into one"
    return None


def _tau(ranks: Array, shares: Array) -> float:
    if np.ptp(shares) == 0:
        return float("nan")
    return float(kendalltau(ranks, shares, variant="b").statistic)


def _estimate(taus: Array, most: float) -> Estimate | None:
    """None where any of them is undefined: shares that are all zero have no order.

    Shares that are zero may be tied just as in the order, and then reach more than ``most``.
    """
    if np.isnan(taus).any():
        return None
    return estimates_of(taus[:1], taus[1:, None]).clipped(-1.0, most).each()[0]


def _pairs(tiers: Mapping[str, int], names: list[str], above: Array) -> Iterator[Departure]:
    """Every pair that the order puts in different tiers, as a departure however improbable."""
    for first in tiers:
        for later in tiers:
            if tiers[first] < tiers[later]:
                probability = above[names.index(later), names.index(first)]
                yield Departure(later, first, float(probability))
