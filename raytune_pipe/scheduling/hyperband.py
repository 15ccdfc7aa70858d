"""Hyperband: brackets of successive halving (Li et al. 2018, JMLR 18(185)).

The paper's words: R is the budget of a trial, here in units of the grace epochs, eta the reduction
factor; bracket s starts n trials with R / eta^s epochs each.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from raytune_pipe.base import unit_draw
from raytune_pipe.scheduling.decisions import Decision, Report, TrialId

_ROUNDING = 1e-9
"""Against errors of floating point: 33 / 2.2 is 14.999999999999998."""


class Bracket(NamedTuple):
    """Trials that are halved together, and where."""

    number: int
    """The paper's s: how many rungs there are below the budget."""
    trials: int
    rungs: tuple[int, ...]
    """The epochs of its rungs, lowest first, all below the budget."""
    kept: tuple[int, ...]
    """How many trials go on from each of them, one at least."""

    def total_epochs(self, epochs: int) -> int:
        """What its trials train, all together, where none ends of its own."""
        stretches = zip((0, *self.rungs), (*self.rungs, epochs), strict=True)
        counts = (self.trials, *self.kept)
        return sum(
            count * (end - start) for count, (start, end) in zip(counts, stretches, strict=True)
        )


def brackets(
    trials: int, epochs: int, grace_epochs: int, reduction_factor: float
) -> tuple[Bracket, ...]:
    """The brackets that a plan of so many trials is dealt to.

    As many whole rounds of the paper's brackets as there are trials for, and one round more for the
    rest, whose brackets have the same proportions; those that come out empty are left out. So also
    a small plan hedges between few long trials and many short ones, which is the point of it.
    """
    sizes = round_sizes(epochs, grace_epochs, reduction_factor)
    rounds, rest = divmod(trials, sum(sizes.values()))
    return tuple(
        _bracket(number, size, epochs, reduction_factor)
        for dealt in (*[sizes] * rounds, _shared_out(rest, sizes))
        for number, size in dealt.items()
        if size
    )


def round_sizes(epochs: int, grace_epochs: int, reduction_factor: float) -> dict[int, int]:
    """Trials of each bracket of one round, by its number, the most aggressive first.

    n = ceil(B / R * eta^s / (s + 1)) with B = (s_max + 1) R, all as in the paper's algorithm 1.
    """
    most = 0
    while _share(epochs, reduction_factor, most + 1) >= grace_epochs:
        most += 1
    return {
        number: math.ceil((most + 1) * reduction_factor**number / (number + 1) - _ROUNDING)
        for number in range(most, -1, -1)
    }


def rungs(epochs: int, grace_epochs: int, reduction_factor: float) -> tuple[int, ...]:
    """The epochs of all brackets' rungs below the budget: the most aggressive one has them all."""
    return _rungs(
        max(round_sizes(epochs, grace_epochs, reduction_factor)), epochs, reduction_factor
    )


def _rungs(number: int, epochs: int, reduction_factor: float) -> tuple[int, ...]:
    """Whole epochs, rounded down, so that no bracket trains more than its share."""
    return tuple(_share(epochs, reduction_factor, left) for left in range(number, 0, -1))


def _share(whole: int, reduction_factor: float, times: int) -> int:
    """What is left of a number divided so many times by the reduction factor, rounded down."""
    return math.floor(whole / reduction_factor**times + _ROUNDING)


def _bracket(number: int, trials: int, epochs: int, reduction_factor: float) -> Bracket:
    counts = [_share(trials, reduction_factor, rung) for rung in range(number)]
    return Bracket(
        number,
        trials,
        rungs=_rungs(number, epochs, reduction_factor),
        kept=tuple(max(1, _share(count, reduction_factor, 1)) for count in counts),
    )


def _shared_out(trials: int, sizes: dict[int, int]) -> dict[int, int]:
    """So many trials in the proportions of a round, by largest remainders."""
    whole = sum(sizes.values())
    shares = {number: trials * size // whole for number, size in sizes.items()}
    left = trials - sum(shares.values())
    by_remainder = sorted(sizes, key=lambda number: (-(trials * sizes[number] % whole), -number))
    for number in by_remainder[:left]:
        shares[number] += 1
    return shares


@dataclass
class _Group:
    """The trials of one bracket, as far as they have come."""

    bracket: Bracket
    running: dict[TrialId, None]
    """Those that have not ended."""
    arrived: dict[TrialId, Report] = field(default_factory=dict)
    """Reports at the next rung."""
    passed: int = 0
    """Rungs that lie behind."""

    @property
    def rung(self) -> int | None:
        """The epoch of the next rung; None past the last."""
        rungs = self.bracket.rungs
        return rungs[self.passed] if self.passed < len(rungs) else None

    def close(self) -> list[Decision]:
        """Decide on all that wait, once all have arrived that have not ended; else nothing."""
        rung = self.rung
        if rung is None or not self.arrived or self.running.keys() - self.arrived:
            return []
        ranked = sorted(self.arrived.values(), key=lambda report: (report.score, report.trial))
        best = ranked[: self.bracket.kept[self.passed]]
        going_on, cutoff = {report.trial for report in best}, best[-1].score
        decisions = [
            Decision(
                trial,
                "go_on" if trial in going_on else "stop",
                rung=rung,
                bracket=self.bracket.number,
                cutoff=cutoff,
            )
            for trial in self.running
        ]
        self.running = {trial: None for trial in self.running if trial in going_on}
        self.arrived.clear()
        self.passed += 1
        return decisions


class BracketedHalving:
    """Holds the trials of each bracket at its rungs, and lets the best of them go on.

    How many go on is planned (`brackets`), so a trial that diverged or ended on its way leaves its
    place to the next best. One that ends after it has arrived is still ranked, so that no decision
    depends on the order of events. Trials are dealt to brackets by draws keyed by the seed and the
    trial: a plan may be in an order, as a grid's.
    """

    def __init__(
        self, plan: Sequence[TrialId], dealt: Iterable[Bracket], *, epochs: int, seed: int
    ) -> None:
        self._epochs = epochs
        self._group_of: dict[TrialId, _Group] = {}
        shuffled = sorted(plan, key=lambda trial: (unit_draw(seed, "bracket", trial), trial))
        start = 0
        for bracket in dealt:
            names = sorted(shuffled[start : start + bracket.trials])
            group = _Group(bracket, dict.fromkeys(names))
            self._group_of |= dict.fromkeys(names, group)
            start += bracket.trials

    def on_report(self, report: Report) -> list[Decision]:
        """Hold the trial at its next rung, or decide on all there when it is the last to arrive."""
        trial, group = report.trial, self._group_of[report.trial]
        number, rung = group.bracket.number, group.rung
        if not math.isfinite(report.score):
            group.running.pop(trial, None)
            stopped = Decision(trial, "stop", diverged=True, bracket=number)
            return [stopped, *group.close()]
        if rung is None or not rung <= report.epoch < self._epochs:
            return [Decision(trial, "go_on", bracket=number)]
        group.arrived[trial] = report
        return group.close() or [Decision(trial, "wait", rung=rung, bracket=number)]

    def on_end(self, trial: TrialId) -> list[Decision]:
        """Wait for the trial no longer; decide on the others if it was the last one missing."""
        group = self._group_of[trial]
        group.running.pop(trial, None)
        return group.close()

    def donors(self) -> list[Report]:
        """None: no trial ever starts from another's checkpoint."""
        return []

    def bracket_of(self, trial: TrialId) -> Bracket:
        """The bracket that the trial was dealt to."""
        return self._group_of[trial].bracket
