"""A population whose explore step learns from every report."""

from raytune_pipe.scheduling.bandit import Bandit
from raytune_pipe.scheduling.decisions import Decision, DecisionMaker, Report, TrialId


class PopulationBasedBandits:
    """Population-based training that tells its bandit what each interval has brought.

    The population asks the bandit for the hyperparameters of each copy, so the bandit hears of a
    report before it is decided on.
    """

    def __init__(self, bandit: Bandit, population: DecisionMaker) -> None:
        self._bandit = bandit
        self._population = population

    def on_report(self, report: Report) -> list[Decision]:
        """What the population decides, given what the report tells of its interval."""
        self._bandit.hear(report)
        return self._population.on_report(report)

    def on_end(self, trial: TrialId) -> list[Decision]:
        """What the population decides without the trial."""
        self._bandit.forget(trial)
        return self._population.on_end(trial)

    def donors(self) -> list[Report]:
        """Those of the population."""
        return list(self._population.donors())
