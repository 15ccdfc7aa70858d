"""Orders of importance beside measured ones."""

import itertools
import json
from collections.abc import Iterator
from fnmatch import fnmatchcase

import numpy as np
import pytest

from raytune_pipe.analysis.folklore import FOLKLORE, Agreement, folklore, tier_of
from raytune_pipe.base import Component, component_classes
from raytune_pipe.trial import Trial

NAMES = ("optimizer.lr", "batch_size", "optimizer.momentum", "optimizer.weight_decay")
SHARES = np.array([0.8, 0.3, 0.2, 0.05])


def measured(shares: np.ndarray, spread: float = 0.01) -> dict[str, Agreement]:
    rng = np.random.default_rng(0)
    totals = shares + spread * rng.standard_normal((200, len(shares)))
    return {one.order: one for one in folklore(NAMES, shares, totals)}


def leaf_names(component: type[Component], depth: int = 4) -> Iterator[str]:
    """Every dotted name beneath a component, whichever kinds are chosen."""
    for name, field in component.model_fields.items():
        yield name
        for part in component_classes(field.annotation) if depth else ():
            yield from (f"{name}.{leaf}" for leaf in leaf_names(part, depth - 1))


def test_every_pattern_names_what_a_trial_has() -> None:
    names = set(leaf_names(Trial))
    patterns = {one for tiers in FOLKLORE.values() for one in itertools.chain(*tiers)}
    unknown = [one for one in patterns if not any(fnmatchcase(name, one) for name in names)]
    assert unknown == []


@pytest.mark.parametrize(
    ("order", "name", "tier"),
    [
        ("handbook", "loss.label_smoothing", 0),
        ("handbook", "optimizer.beta2", 2),
        ("handbook", "schedule.final_factor", None),
        ("practitioner", "schedule.final_factor", 0),
        ("practitioner", "regularizers.l1.weight", 2),
        ("ng", "optimizer.momentum", 1),
        ("ng", "optimizer.eps", 2),
        ("lr_first", "optimizer.lr", 0),
        ("lr_first", "model.activation", 1),
    ],
)
def test_the_first_tier_that_fits_counts(order: str, name: str, tier: int | None) -> None:
    assert tier_of(order, name) == tier


def test_the_order_as_said_reaches_the_most_that_ties_allow() -> None:
    one = measured(SHARES)["handbook"]
    assert one.refused is None
    assert one.tiers == (
        ("optimizer.lr",),
        ("batch_size", "optimizer.momentum"),
        ("optimizer.weight_decay",),
    )
    assert one.tau is not None
    # Five of six pairs are of different tiers: 5 / sqrt(5 * 6).
    assert one.tau.value == one.most == pytest.approx(5 / np.sqrt(30))
    assert (one.confirmed, one.reversed, one.unresolved) == (5, 0, 0)
    assert one.departure is None


def test_a_departure_is_the_most_certain_reversal() -> None:
    one = measured(SHARES[[1, 0, 2, 3]])["lr_first"]
    assert one.departure is not None
    assert (one.departure.above, one.departure.below) == ("batch_size", "optimizer.lr")
    assert one.departure.probability > 0.99
    assert (one.confirmed, one.reversed, one.unresolved) == (2, 1, 0)
    assert one.tau is not None
    assert one.most is not None
    assert one.tau.value < one.most


def test_what_cannot_be_told_is_neither_as_said_nor_reversed() -> None:
    one = measured(np.full(4, 0.3) + 0.001 * np.arange(4), spread=0.2)["lr_first"]
    assert (one.confirmed, one.reversed, one.unresolved) == (0, 0, 3)
    assert one.departure is None
    assert one.tau is not None
    assert one.tau.low < 0 < one.tau.high


def test_shares_that_are_all_zero_have_no_order() -> None:
    one = next(iter(folklore(NAMES, np.zeros(4), np.zeros((20, 4)))))
    assert one.tau is None
    assert one.unresolved == 5


def test_too_few_or_a_single_tier_are_refused() -> None:
    few = folklore(NAMES[:2], SHARES[:2], np.tile(SHARES[:2], (10, 1)))
    assert {one.refused for one in few} == {
        "at least 3 of what it names must be searched, but 2 were"
    }
    names = ("optimizer.beta1", "optimizer.beta2", "optimizer.eps")
    flat = folklore(names, SHARES[:3], np.tile(SHARES[:3], (10, 1)))
    assert "into two tiers" in str(flat[0].refused)
    assert json.dumps([one.to_mapping() for one in (*few, *flat)], allow_nan=False)
