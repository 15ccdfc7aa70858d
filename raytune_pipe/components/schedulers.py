"""Schedulers of trials: which trials stop early, and which copy others."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from raytune_pipe.base import Component, Count, Fraction, Probability
from raytune_pipe.scheduling.decisions import DecisionMaker, TrialId
from raytune_pipe.search_space import SearchSpace

if TYPE_CHECKING:
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


class Pbt(Component):
    """Train a population whose worst copy its best (Jaderberg et al. 2017, arXiv:1711.09846).

    A copy takes over weights, optimizer state and searched hyperparameters, and explores: each
    hyperparameter is moved a step on its declared scale or drawn anew, always within its space.
    """

    kind: Literal["pbt"] = "pbt"
    """Name of the scheduler."""
    interval_epochs: Count = 1
    """Epochs between two decisions."""
    quantile: Annotated[float, Field(gt=0, le=0.5)] = 0.25
    """Share of the population that is replaced, and that may be copied; one member at least."""
    synchronous: bool = True
    """Whether members wait for each other at each decision; else each is compared as it comes."""
    perturbation: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Size of an explore step, as a share of the declared range on its declared scale."""
    resample_probability: Probability = 0.25
    """Probability that a hyperparameter is drawn anew instead of moved."""

    def build(
        self, space: SearchSpace, plan: Sequence[TrialId], epochs: int, seed: int
    ) -> DecisionMaker:
        """The decision maker, fresh."""
        from raytune_pipe.scheduling.asynchronous_population import (
            AsynchronousPopulationBasedTraining,
        )
        from raytune_pipe.scheduling.exploit import Exploits
        from raytune_pipe.scheduling.population import PopulationBasedTraining

        milestones = self.milestones(epochs)
        exploits = Exploits(
            space,
            seed=seed,
            perturbation=self.perturbation,
            resample_probability=self.resample_probability,
            limit=len(milestones) + 1,
        )
        maker = PopulationBasedTraining if self.synchronous else AsynchronousPopulationBasedTraining
        return maker(plan, exploits, milestones=milestones, epochs=epochs, quantile=self.quantile)

    def milestones(self, epochs: int) -> tuple[int, ...]:
        """Every multiple of the interval below the budget."""
        return tuple(range(self.interval_epochs, epochs, self.interval_epochs))


Scheduler = Annotated[Asha | Pbt | Fifo, Field(discriminator="kind")]
