"""The explore step of population-based bandits (Parker-Holder et al. 2020, arXiv:2002.02518).

A Gaussian process learns how much the score improves in an interval, from the hyperparameters on
their declared scales, the score at its start and its place in time; a copy takes the numbers that
promise most for the next interval, given how little is known of them.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from raytune_pipe.base import Value, seed_draw, unit_draw
from raytune_pipe.distributions import Choice, Distribution
from raytune_pipe.scheduling.decisions import Report, TrialId
from raytune_pipe.scheduling.explore import Explored, explored_by, step_or_resample
from raytune_pipe.scheduling.gaussian_process import Process
from raytune_pipe.scheduling.improvements import Improvements
from raytune_pipe.search_space import Hyperparameter, SearchSpace

Array = NDArray[np.float64]

CANDIDATES = 400
"""Points drawn from the space, of which the best is taken."""
REFINEMENTS = ((100, 0.1), (50, 0.03))
"""Then so many around the best so far, in turn, each with its standard deviation."""
UP_OR_DOWN = 1.0
"""A choice has no size of a step: an ordered one moves to its neighbor."""


class _Pick(NamedTuple):
    """What a copy was given, for the interval that it now trains."""

    point: Array
    """[axes]: units, then the score at the start."""
    time: float


class Bandit:
    """Selects the numeric hyperparameters of a copy by an upper confidence bound.

    Those that others have been given and not yet reported on count as if they had come out as
    expected, so that members that explore at the same time spread. Choices are explored as in
    population-based training. Without any observation all points promise the same, and a copy's
    numbers are drawn as those of the plan. Draws are keyed by the trial and its exploits.
    """

    def __init__(
        self,
        space: SearchSpace,
        improvements: Improvements,
        *,
        seed: int,
        resample_probability: float,
    ) -> None:
        self._space = space
        self._improvements = improvements
        self._seed = seed
        self._resample_probability = resample_probability
        self._threads = ThreadpoolController()
        """Holds BLAS to one thread: on small matrices two take 30 s where one takes 1.2."""
        self._picks: dict[TrialId, _Pick] = {}
        """Of those that have not reported on them yet."""

    def hear(self, report: Report) -> None:
        """Learn from a report what the interval that it ends has brought."""
        if self._improvements.add(report):
            self._picks.pop(report.trial, None)

    def forget(self, trial: TrialId) -> None:
        """Expect no report of a trial that has ended."""
        self._picks.pop(trial, None)

    def __call__(self, trial: TrialId, donor: Report, exploits: int) -> dict[str, Explored]:
        """The donor's hyperparameters, explored by the trial that copies it."""
        self._improvements.copy(trial, donor)
        self._picks.pop(trial, None)
        choose = self._chooser(trial, exploits)
        chosen = explored_by(self._space, donor.values, choose)
        with self._threads.limit(limits=1, user_api="blas"):
            pick = self._pick(trial, donor, chosen, exploits)
        self._picks[trial] = pick
        units = dict(zip(self._space.names, pick.point.tolist(), strict=False))

        def select(hyperparameter: Hyperparameter, value: Value) -> Explored:
            if not is_numeric(hyperparameter.distribution):
                return choose(hyperparameter, value)
            selected = hyperparameter.distribution.from_unit(units[hyperparameter.name])
            return Explored(selected, "copy" if selected == value else "select")

        return explored_by(self._space, donor.values, select)

    def _chooser(
        self, trial: TrialId, exploits: int
    ) -> Callable[[Hyperparameter, Value], Explored]:
        """Moves choices, and leaves numbers as they are."""

        def choose(hyperparameter: Hyperparameter, value: Value) -> Explored:
            if is_numeric(hyperparameter.distribution):
                return Explored(value, "copy")
            unit = unit_draw(self._seed, "explore", trial, exploits, hyperparameter.name)
            return step_or_resample(
                hyperparameter, value, unit, UP_OR_DOWN, self._resample_probability
            )

        return choose

    def _pick(
        self, trial: TrialId, donor: Report, chosen: dict[str, Explored], exploits: int
    ) -> _Pick:
        """The most promising point with these choices."""
        values = {name: explored.value for name, explored in chosen.items()}
        time, start = self._improvements.context(donor)
        process = self._expecting()
        fixed = self._improvements.units(values)
        free = [is_numeric(one.distribution) and one.applies(values) for one in self._space]
        rng = np.random.default_rng(seed_draw(self._seed, "bandit", trial, exploits))

        def best_of(units: Array) -> Array:
            points = np.column_stack([np.where(free, units, fixed), np.full(len(units), start)])
            mean, deviation = process.predict(points, np.full(len(units), time))
            bound = mean + math.sqrt(_beta(len(process.points))) * deviation
            return np.asarray(points[int(np.argmax(bound))])

        best = best_of(self._drawn(rng))
        for count, deviation in REFINEMENTS:
            units = best[:-1]
            around = units + deviation * rng.standard_normal((count, len(units)))
            best = best_of(np.vstack([units, np.clip(around, 0, 1)]))
        return _Pick(best, time)

    def _expecting(self) -> Process:
        """What is known, and what is expected of those that train with what they were given."""
        process, picks = self._improvements.process(), list(self._picks.values())
        if not picks:
            return process
        points = np.array([pick.point for pick in picks])
        return process.imagining(points, np.array([pick.time for pick in picks]))

    def _drawn(self, rng: np.random.Generator) -> Array:
        """Candidates ``[points, axes]`` in units, by the prior where there is one."""
        units = rng.random((CANDIDATES, len(self._space)))
        for axis, one in enumerate(self._space):
            distribution = one.distribution
            if not isinstance(distribution, Choice) and distribution.prior:
                prior, center = distribution.prior, distribution.to_unit(distribution.prior.center)
                units[:, axis] = [prior.unit_at(unit, center) for unit in units[:, axis]]
        return units


def is_numeric(distribution: Distribution) -> bool:
    """Whether it is of numbers in a range, and no choice."""
    return not isinstance(distribution, Choice)


def _beta(observations: int) -> float:
    """What doubt is worth; it grows with the logarithm of the observations, as the paper's."""
    return 0.1 + 0.5 * max(0.0, math.log(0.4 * max(observations, 1)))
