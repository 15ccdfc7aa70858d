"""The way from the file's own configuration to the best one, one hyperparameter at a time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from raytune_pipe.analysis.effects import ToMetric, each_fit
from raytune_pipe.analysis.estimates import Estimate, estimates_of
from raytune_pipe.analysis.fits import Fits
from raytune_pipe.analysis.grids import masked
from raytune_pipe.analysis.plain_values import plain
from raytune_pipe.base import Value, list_text
from raytune_pipe.distributions import Choice, Distribution, nearest_value
from raytune_pipe.search_space import Hyperparameter, SearchSpace, Values

Array = NDArray[np.float64]


class Step(NamedTuple):
    """One hyperparameter goes from the default to the best configuration's value."""

    name: str
    before: Value
    after: Value
    expected: Estimate
    """The metric after this step."""
    gain: Estimate
    """How much better it is than before, on the target's scale; below 0 is worse."""
    share: Estimate | None
    """The gain as a fraction of the whole; None where the whole cannot be told from nothing."""


@dataclass(frozen=True)
class Ablation:
    """The steps from the default to the best configuration, or the reason why there are none."""

    refused: str | None
    start: Estimate | None
    """The metric expected of the default configuration."""
    gain: Estimate | None
    """Of the whole way, on the target's scale."""
    steps: tuple[Step, ...]
    """In the order taken; equal values need none."""
    notes: tuple[str, ...]
    """What had to be done with defaults that were not searched."""

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(plain(self))


class _Way(NamedTuple):
    names: list[str]
    points: Array
    """[1 + steps, axes]: units of the default, then after each step."""


def ablation(fits: Fits, trial: Mapping[str, Any], best: Values, to_metric: ToMetric) -> Ablation:
    """Go greedily: each step changes what the surrogate expects to gain most by.

    An ablation path on a model (Fawcett and Hoos 2016, doi:10.1007/s10732-014-9275-9).
    ``trial`` is the experiment's own, nested; ``best`` the best trial's values. The intervals are
    those of the same way in all refits. Early steps are chosen because they look good, so their
    gains are a little too high and those of the last too low; the whole does not depend on the
    order, but holds some of the luck that made the best trial the best. What comes to apply by a
    step, or no longer applies, goes with it.
    """
    notes: list[str] = []
    default = _default(fits.space, trial, best, notes.append)
    start = _units(fits.space, default)
    way = _way(fits, start, _units(fits.space, best))
    if not way.names:
        return Ablation("the best trial has the default configuration", None, None, (), ())
    expected = np.array(each_fit(fits, lambda one: one.predict(way.points)))
    gains = expected[:, :-1] - expected[:, 1:]
    whole = estimates_of(gains[0].sum(), gains[1:].sum(axis=1))
    gain = Estimate(*map(float, whole))
    levels = estimates_of(expected[0], expected[1:]).mapped(to_metric).each()
    shares = _shares(gains, gain)
    by_step = estimates_of(gains[0], gains[1:]).each()
    steps = tuple(
        Step(name, default.get(name), best.get(name), levels[place + 1], by_step[place], share)
        for place, (name, share) in enumerate(zip(way.names, shares, strict=True))
    )
    return Ablation(None, levels[0], gain, steps, tuple(notes))


def _default(
    space: SearchSpace, trial: Mapping[str, Any], best: Values, note: Callable[[str], None]
) -> dict[str, Value]:
    """The trial's own values of what was searched; where one cannot be used, what can."""
    values: dict[str, Value] = {}
    for one in space:
        if not one.applies(values):
            values[one.name] = None
            continue
        own = _leaf(trial, one.name)
        value = _nearest(one.distribution, own)
        if value is None and (value := best.get(one.name)) is None:
            value = one.distribution.from_unit(0.5)
        if not one.distribution.contains(own):
            note(_unused(one, own, value))
        values[one.name] = value
    return values


def _leaf(trial: Mapping[str, Any], name: str) -> Value:
    """The value at a dotted name; None where there is none."""
    part: Any = trial
    for key in name.split("."):
        part = part.get(key) if isinstance(part, Mapping) else None
    return list_text(part) if isinstance(part, list | tuple | dict) else part


def _nearest(distribution: Distribution, value: Value) -> Value:
    """The searched value that is nearest on the declared scale; None where nothing is near."""
    if distribution.contains(value):
        return value
    if isinstance(value, bool | str) or value is None:
        return None
    if isinstance(distribution, Choice) and not distribution.ordered:
        return None
    return nearest_value(distribution, value)


def _unused(one: Hyperparameter, own: Value, value: Value) -> str:
    return f"{one.name}: the default {own} was not searched; the way starts at {value}"


def _units(space: SearchSpace, values: Values) -> Array:
    return np.array(list(space.to_units(values).values()))


def _way(fits: Fits, start: Array, end: Array) -> _Way:
    space = fits.space
    names: list[str] = []
    points = [start]
    while True:
        places = [axis for axis in range(len(space)) if _differs(points[-1], end, axis)]
        if not places:
            return _Way(names, np.array(points))
        tried = np.array([_stepped(space, points[-1], end, axis) for axis in places])
        chosen = int(fits.surrogate.predict(tried).argmin())
        names.append(space.names[places[chosen]])
        points.append(tried[chosen])


def _differs(here: Array, end: Array, axis: int) -> bool:
    """Whether this one can be changed by itself: it applies at both, with different values."""
    return bool(np.isfinite(here[axis]) and np.isfinite(end[axis]) and here[axis] != end[axis])


def _stepped(space: SearchSpace, here: Array, end: Array, axis: int) -> Array:
    """One goes to its end, and what comes to apply by that too; the rest stays."""
    moved = here.copy()
    moved[axis] = end[axis]
    with_new = np.where(np.isnan(moved), end, moved)
    stepped: Array = masked(space, with_new[None])[0]
    return stepped


def _shares(gains: Array, whole: Estimate) -> list[Estimate | None]:
    if whole.low <= 0:
        return [None] * gains.shape[1]
    sums = gains.sum(axis=1, keepdims=True)
    sums = np.where(sums > 0, sums, np.nan)
    parts = gains / sums
    known = parts[1:][~np.isnan(parts[1:]).any(axis=1)]
    return list(estimates_of(parts[0], known).each())
