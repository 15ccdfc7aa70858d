"""A learning-rate range test: at which rates the loss of a trial falls, and where it diverges.

(Smith 2017, arXiv:1506.01186.) The rate rises by the same factor at every step, over decades.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from raytune_pipe.base import Value
from raytune_pipe.distributions import Distribution
from raytune_pipe.training.trial_check_findings import Finding, RangeTest
from raytune_pipe.training.trial_check_runs import Subject, absolute_rates
from raytune_pipe.trial import Trial

STEPS = 100
LOWEST, HIGHEST = 1e-6, 10.0
SMOOTHED_OVER = 9
"""Steps, a little over half a decade, centered: an average of the past alone would lag behind."""
UNMOVED = STEPS // 10
"""Steps at rates so low that their losses differ by the batches alone."""
DIVERGED = 3.0
"""Times the highest of these; from there on nothing more is learned about lower rates. The first
loss alone will not do: that of a small last batch can be many times another's."""
HARDLY = 0.05
"""Share of the first loss: a fall of less is none."""
NOISY = 1.5
"""Deviations of a batch's loss: means over some batches vary by less."""
ONSET = 0.1
"""Share of the whole fall after which the loss is said to fall."""
LEEWAY = 3.0
"""Factor by which a rate may miss the range: the test is that coarse."""
RATE = "optimizer.lr"


class Rates(NamedTuple):
    """Learning rates that are searched, or those that are not."""

    low: float
    high: float
    words: str
    source: str = RATE
    """What gives them."""


def used_rates(trial: Trial, searched: Mapping[str, Distribution]) -> Rates:
    """The range in which the learning rate is searched, or the trial's own.

    The rates of a schedule that gives absolute ones stand instead of the optimizer's.
    """
    if scheduled := absolute_rates(trial):
        low, high = min(scheduled), max(scheduled)
        words = "the schedule's rates"
        return Rates(low, high, f"{words}, {low:g} to {high:g},", words)
    distribution, own = searched.get(RATE), trial.optimizer.lr
    if distribution is None:
        return Rates(own, own, f"{RATE} {own:g}")
    ends: Sequence[Value] = (distribution.from_unit(0.0), distribution.from_unit(1.0))
    if distribution.kind == "choice":
        ends = distribution.labels
    numbers = [float(end) for end in ends if isinstance(end, int | float)]
    low, high = min(numbers), max(numbers)
    return Rates(low, high, f"the searched {RATE}, {low:g} to {high:g},")


def range_test(subject: Subject, wanted: Rates) -> RangeTest:
    """Train a fresh network while the rate rises, from below the wanted rates to beyond them."""
    low, high = min(LOWEST, wanted.low), max(HIGHEST, wanted.high)
    rates = np.geomspace(low, high, STEPS)
    run = subject.run()
    losses: list[float] = []
    for rate, batch in zip(rates, islice(run.batches(), STEPS), strict=False):
        loss = run.step(batch, rate=float(rate))
        if has_diverged(loss, losses):
            break
        losses.append(loss)
    return read_range(rates[: len(losses)].tolist(), losses)


def has_diverged(loss: float, before: Sequence[float]) -> bool:
    """Whether a loss is far above those of the lowest rates, or not even finite."""
    is_far = len(before) >= UNMOVED and loss > DIVERGED * max(map(abs, before[:UNMOVED]))
    return is_far or not math.isfinite(loss)


def read_range(rates: Sequence[float], losses: Sequence[float]) -> RangeTest:
    """Where a loss falls and where it rises again, from its values at rising rates."""
    if len(losses) < SMOOTHED_OVER:
        return RangeTest(tuple(rates), tuple(losses), None, None, None)
    smooth = _smoothed(np.asarray(losses))
    curve = (tuple(rates), tuple(smooth.tolist()))
    lowest = int(smooth.argmin())
    # at the lowest rates nothing has moved yet: what differs there is the batches
    unmoved = np.asarray(losses[: STEPS // 5])
    start, noise = float(unmoved[:UNMOVED].mean()), float(unmoved.std())
    fall = start - float(smooth[lowest])
    if lowest == 0 or fall < max(HARDLY * abs(start), NOISY * noise):
        return RangeTest(*curve, None, None, None)
    still_high = np.flatnonzero(smooth[: lowest + 1] > start - ONSET * fall)
    onset = int(still_high[-1]) if len(still_high) else 0
    steepest = onset + int(np.diff(smooth[onset : lowest + 1]).argmin())
    return RangeTest(*curve, rates[onset], rates[steepest], rates[lowest])


def _smoothed(losses: "np.ndarray[Any, np.dtype[np.float64]]") -> "np.ndarray[Any, Any]":
    """Means over a window about each value, shorter at the ends."""
    half = SMOOTHED_OVER // 2
    return np.array([losses[max(0, at - half) : at + half + 1].mean() for at in range(len(losses))])


def check_rates(test: RangeTest, wanted: Rates, optimizer_of: str) -> Finding:
    """Whether the learning rates that will be used are such as the loss falls at."""
    name = "learning rate"
    if test.low is None or test.high is None or test.steepest is None:
        few = len(test.losses) < SMOOTHED_OVER
        return Finding(
            name,
            "fail" if few else "warn",
            "the loss is not finite from the first steps on"
            if few
            else "the loss falls at no rate",
            f"a loss that falls at some rate from {LOWEST:g} to {HIGHEST:g}",
            "an initialization so small or so large that nothing moves at first, or the data",
            "mend what the other checks found; choose initializer he_normal",
        )
    suggested = f"{test.low:.1e} to {test.high:.1e}, steepest at {test.steepest:.1e}"
    found = f"{wanted.words} against the range test's {suggested}{optimizer_of}"
    expected = "rates at which the loss falls"
    low, high = test.low / LEEWAY, test.high * LEEWAY
    if wanted.low <= high and wanted.high >= low:
        return Finding(name, "ok", found, expected)
    too = "high" if wanted.low > high else "low"
    return Finding(
        name, "warn", found, expected, f"a learning rate too {too}", f"{wanted.source}: {suggested}"
    )
