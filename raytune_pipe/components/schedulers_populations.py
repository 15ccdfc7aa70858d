"""Schedulers that train a population: members copy one another while they train."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from raytune_pipe.base import Component, Count, Probability
from raytune_pipe.scheduling.decisions import DecisionMaker, TrialId
from raytune_pipe.search_space import SearchSpace

if TYPE_CHECKING:
    from raytune_pipe.scheduling.exploit import Explorer


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
        from raytune_pipe.scheduling.exploit import Perturbation

        explorer = Perturbation(
            space,
            seed=seed,
            perturbation=self.perturbation,
            resample_probability=self.resample_probability,
        )
        return _population(self, explorer, plan, epochs=epochs, seed=seed)

    def milestones(self, epochs: int) -> tuple[int, ...]:
        """Every multiple of the interval below the budget."""
        return tuple(range(self.interval_epochs, epochs, self.interval_epochs))


class Pb2(Component):
    """Train a population whose copies are given what a bandit selects.

    As population-based training, but numeric hyperparameters are not moved at random: a Gaussian
    process of the improvements so far, in units of the declared scales, says which promise most
    for the next interval (Parker-Holder et al. 2020, arXiv:2002.02518). Choices move a step or are
    drawn anew.
    """

    kind: Literal["pb2"] = "pb2"
    """Name of the scheduler."""
    interval_epochs: Count = 1
    """Epochs between two decisions."""
    quantile: Annotated[float, Field(gt=0, le=0.5)] = 0.25
    """Share of the population that is replaced, and that may be copied; one member at least."""
    synchronous: bool = True
    """Whether members wait for each other at each decision; else each is compared as it comes."""
    resample_probability: Probability = 0.25
    """Probability that a choice is drawn anew instead of moved; numbers are always selected."""

    def build(
        self, space: SearchSpace, plan: Sequence[TrialId], epochs: int, seed: int
    ) -> DecisionMaker:
        """The decision maker, fresh."""
        from raytune_pipe.scheduling.bandit import Bandit
        from raytune_pipe.scheduling.bandit_population import PopulationBasedBandits
        from raytune_pipe.scheduling.improvements import Improvements

        improvements = Improvements(space, interval_epochs=self.interval_epochs)
        bandit = Bandit(
            space, improvements, seed=seed, resample_probability=self.resample_probability
        )
        return PopulationBasedBandits(
            bandit, _population(self, bandit, plan, epochs=epochs, seed=seed)
        )

    def milestones(self, epochs: int) -> tuple[int, ...]:
        """Every multiple of the interval below the budget."""
        return tuple(range(self.interval_epochs, epochs, self.interval_epochs))


def _population(
    scheduler: Pbt | Pb2, explorer: "Explorer", plan: Sequence[TrialId], *, epochs: int, seed: int
) -> DecisionMaker:
    """The members, who copies whom, and when."""
    from raytune_pipe.scheduling.asynchronous_population import AsynchronousPopulationBasedTraining
    from raytune_pipe.scheduling.exploit import Exploits
    from raytune_pipe.scheduling.population import PopulationBasedTraining

    milestones = scheduler.milestones(epochs)
    maker = (
        PopulationBasedTraining if scheduler.synchronous else AsynchronousPopulationBasedTraining
    )
    return maker(
        plan,
        Exploits(explorer, seed=seed, limit=len(milestones) + 1),
        milestones=milestones,
        epochs=epochs,
        quantile=scheduler.quantile,
    )
