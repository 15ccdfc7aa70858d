"""Schedulers that train a population: members copy one another while they train."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from raytune_pipe.base import Component, Count, Probability
from raytune_pipe.scheduling.decisions import DecisionMaker, TrialId
from raytune_pipe.search_space import SearchSpace


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
