"""Schedulers of trials: which trials stop early, and which copy others."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from raytune_pipe.base import Component, Count, Fraction
from raytune_pipe.components.schedulers_populations import Pb2, Pbt
from raytune_pipe.scheduling.decisions import DecisionMaker, TrialId
from raytune_pipe.search_space import SearchSpace

if TYPE_CHECKING:
    from raytune_pipe.scheduling.hyperband import Bracket
    from raytune_pipe.scheduling.successive_halving import SuccessiveHalving


class Fifo(Component):
    """Run every trial to the end of its budget."""

    kind: Literal["fifo"] = "fifo"
    """Name of the scheduler."""

    def build(
        self,
        space: SearchSpace,
        plan: Sequence[TrialId],
        epochs: int,
        seed: int,
    ) -> DecisionMaker:
        """The decision maker, fresh."""
        from raytune_pipe.scheduling.run_to_end import RunToEnd

        return RunToEnd()

    def milestones(self, epochs: int) -> tuple[int, ...]:
        """No epochs: nothing is decided before the budget is used."""
        return ()


class Asha(Component):
    """Stop trials early by asynchronous successive halving (Li et al. 2020, arXiv:1810.05934).

    A trial goes on past a rung if it is among the best 1 / reduction_factor that reached it.
    """

    kind: Literal["asha"] = "asha"
    """Name of the scheduler."""
    grace_epochs: Count = 1
    """Epochs that every trial may train: the first rung."""
    reduction_factor: Annotated[float, Field(ge=1.5)] = 4.0
    """Ratio of one rung's epochs to the rung's before; 1 in so many trials goes on (eta, usually 2
    to 4)."""
    brackets: Count = 1
    """Groups of trials with their own cutoffs; each has its first rung one later than the last."""
    control_fraction: Fraction = 0.0
    """Share of the trials, drawn at random, that no rung stops, so that the analysis sees what bad
    configurations come to; `plan` tells the price. The others' cutoffs are as without them."""

    def build(
        self,
        space: SearchSpace,
        plan: Sequence[TrialId],
        epochs: int,
        seed: int,
    ) -> "SuccessiveHalving":
        """The decision maker, fresh."""
        from raytune_pipe.scheduling.successive_halving import SuccessiveHalving

        return SuccessiveHalving(
            epochs=epochs,
            grace_epochs=self.grace_epochs,
            reduction_factor=self.reduction_factor,
            brackets=self.brackets,
            seed=seed,
            control_fraction=self.control_fraction,
        )

    def milestones(self, epochs: int) -> tuple[int, ...]:
        """The epochs of the first reports at a rung, below the budget; all brackets together."""
        from raytune_pipe.scheduling.successive_halving import rungs

        ends = {math.ceil(rung) for rung in rungs(self.grace_epochs, self.reduction_factor, epochs)}
        return tuple(sorted(end for end in ends if end < epochs))


class Hyperband(Component):
    """Halve brackets of trials side by side (Li et al. 2018, JMLR 18(185)).

    All trials of a bracket wait for each other at its rungs, where the best 1 / reduction_factor
    go on. Brackets range from many trials with an early first rung to few that are never stopped;
    the plan is dealt to them in the paper's proportions, which `plan` shows.
    """

    kind: Literal["hyperband"] = "hyperband"
    """Name of the scheduler."""
    grace_epochs: Count = 1
    """Fewest epochs that any trial trains: one unit of the paper's resource."""
    reduction_factor: Annotated[float, Field(ge=2)] = 3.0
    """Ratio of one rung's epochs to the rung's before; 1 in so many trials goes on (eta, usually 3
    or 4)."""

    def build(
        self, space: SearchSpace, plan: Sequence[TrialId], epochs: int, seed: int
    ) -> DecisionMaker:
        """The decision maker, fresh."""
        from raytune_pipe.scheduling.hyperband import BracketedHalving

        dealt = self.brackets(len(plan), epochs)
        return BracketedHalving(plan, dealt, epochs=epochs, seed=seed)

    def brackets(self, trials: int, epochs: int) -> "tuple[Bracket, ...]":
        """The brackets that so many trials are dealt to, the most aggressive of a round first."""
        from raytune_pipe.scheduling.hyperband import brackets

        return brackets(trials, epochs, self.grace_epochs, self.reduction_factor)

    def milestones(self, epochs: int) -> tuple[int, ...]:
        """The rungs of all brackets: those of the one that begins earliest."""
        from raytune_pipe.scheduling.hyperband import rungs

        return rungs(epochs, self.grace_epochs, self.reduction_factor)


class Median(Component):
    """Stop trials by the median stopping rule (Golovin et al. 2017, KDD).

    At each epoch a trial is stopped if its best score so far is worse than the median of the
    running averages of all other trials that have got there.
    """

    kind: Literal["median"] = "median"
    """Name of the scheduler."""
    grace_epochs: Count = 1
    """Epochs that every trial may train; the averages begin with the last of them."""
    min_trials: Count = 3
    """Other trials that must have reached an epoch before any is stopped there."""

    def build(
        self, space: SearchSpace, plan: Sequence[TrialId], epochs: int, seed: int
    ) -> DecisionMaker:
        """The decision maker, fresh."""
        from raytune_pipe.scheduling.median_stopping import MedianStopping

        return MedianStopping(
            epochs=epochs, grace_epochs=self.grace_epochs, min_trials=self.min_trials
        )

    def milestones(self, epochs: int) -> tuple[int, ...]:
        """Every epoch from the end of the grace on, below the budget."""
        return tuple(range(self.grace_epochs, epochs))


Scheduler = Annotated[Asha | Hyperband | Median | Pbt | Pb2 | Fifo, Field(discriminator="kind")]
