"""What an experiment will do, before it does it: as plain values, and as a terminal shows it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from raytune_pipe.base import Value, to_json
from raytune_pipe.components.schedulers_populations import Pb2, Pbt
from raytune_pipe.distributions import Choice, Distribution, LogUniform, Uniform
from raytune_pipe.distributions_fields import exactly
from raytune_pipe.experiment import Experiment, PlannedTrial
from raytune_pipe.scheduling.hyperband import Bracket
from raytune_pipe.scheduling.successive_halving import ControlPrice, rungs
from raytune_pipe.search_space import Hyperparameter
from raytune_pipe.trial import leaves


def plan_mapping(
    experiment: Experiment, plan: Sequence[PlannedTrial], slots: int | None = None
) -> dict[str, Any]:
    """The plan as plain values: the same for the same file and seed, wherever it is made.

    ``slots``, the trials at once, is left out where it is not known, and ``control_arm`` where
    there is none, and ``drawn_later``, the trials that the searcher draws from results,
    likewise; ``expected_epochs`` is there where the scheduler plans how many trials it stops.
    """
    price = _control_price(experiment)
    drawn_later = experiment.trials - len(plan)
    expected = _expected_epochs(experiment)
    return {
        "experiment": experiment.resolved(),
        "space": experiment.space().to_mappings(),
        "decisions_at_epochs": list(experiment.scheduler.milestones(experiment.trial.epochs)),
        "total_epochs": _total_epochs(experiment, plan),
        "trials": [
            {"trial_id": one.trial_id, "values": one.values, "leaves": one.leaves()} for one in plan
        ],
        **({"drawn_later": drawn_later} if drawn_later else {}),
        **({} if expected is None else {"expected_epochs": expected}),
        **({} if price is None else {"control_arm": price._asdict()}),
        **({} if slots is None else {"trials_at_once": slots}),
    }


def plan_table(
    experiment: Experiment, plan: Sequence[PlannedTrial], slots: int | None = None
) -> RenderableType:
    """The size of the experiment, its decisions, then every hyperparameter and how it is searched.

    ``slots``, the trials at once, is left out where it is not known.
    """
    size = Table.grid("", "", padding=(0, 2))
    size.add_row("experiment", f"{experiment.name}, seed {experiment.seed}")
    size.add_row("trials", f"{experiment.trials} {_searcher(experiment)}")
    if drawn_later := experiment.trials - len(plan):
        size.add_row("", f"{drawn_later} of them drawn from the results of those before")
    size.add_row("epochs", _epochs(experiment, plan))
    for words in _decisions(experiment):
        size.add_row("scheduler", words)
    if price := _control_price(experiment):
        size.add_row(
            "control arm",
            f"{price.trials} of {experiment.trials} trials are never stopped early: about"
            f" {price.extra_epochs:.0f} epochs more ({price.share:+.0%})",
        )
    if slots is not None:
        size.add_row("at once", f"{slots} trials")
    return Group(size, _hyperparameters(experiment))


def describe_distribution(distribution: Distribution) -> str:
    """A distribution in words: ``log_uniform 0.0001 to 1``, ``choice of 16, 32, 64``."""
    if isinstance(distribution, Choice):
        return f"choice of {', '.join(map(number, distribution.labels))}"
    words = f"{distribution.kind} {exactly(distribution.low)} to {exactly(distribution.high)}"
    if isinstance(distribution, Uniform | LogUniform) and distribution.quantum is not None:
        words += f" by {exactly(distribution.quantum)}"
    if prior := distribution.prior:
        words += f", likeliest {exactly(prior.center)} ({prior.confidence} confidence)"
    return words


def number(value: Value) -> str:
    """A value in few digits, otherwise as the experiment file has it."""
    if isinstance(value, str):
        return value
    return f"{value:g}" if isinstance(value, float) else to_json(value)


def _searcher(experiment: Experiment) -> str:
    """How the trials are drawn: ``by random search``."""
    searcher, before = experiment.searcher, ""
    while searcher.kind == "points":
        before += f"{len(searcher.configurations)} given, then "
        searcher = searcher.then
    return f"by {searcher.kind} search" if not before else f"({before}by {searcher.kind} search)"


def _total_epochs(experiment: Experiment, plan: Sequence[PlannedTrial]) -> int:
    """Of all trials; one that is drawn later counts as the experiment's own."""
    drawn_later = experiment.trials - len(plan)
    return sum(one.trial.epochs for one in plan) + drawn_later * experiment.trial.epochs


def _epochs(experiment: Experiment, plan: Sequence[PlannedTrial]) -> str:
    """What all trials train together, in words."""
    words, expected = f"{_total_epochs(experiment, plan)} at most", _expected_epochs(experiment)
    words += ", all trials together"
    return words if expected is None else f"{words}; {expected} where none ends of its own"


def _expected_epochs(experiment: Experiment) -> int | None:
    """What all trials train together where the scheduler plans how many it stops; else None."""
    scheduler, epochs = experiment.scheduler, experiment.trial.epochs
    if scheduler.kind != "hyperband":
        return None
    dealt = scheduler.brackets(experiment.trials, epochs)
    return sum(bracket.total_epochs(epochs) for bracket in dealt)


def _control_price(experiment: Experiment) -> ControlPrice | None:
    scheduler, epochs = experiment.scheduler, experiment.trial.epochs
    if scheduler.kind != "asha" or scheduler.control_fraction == 0:
        return None
    names = experiment.trial_ids
    return scheduler.build(experiment.space(), names, epochs, experiment.seed).control_price(names)


def _decisions(experiment: Experiment) -> Iterator[str]:
    """When the scheduler decides, a line for each bracket."""
    scheduler, epochs = experiment.scheduler, experiment.trial.epochs
    if scheduler.kind == "asha":
        for bracket in range(scheduler.brackets):
            every = rungs(scheduler.grace_epochs, scheduler.reduction_factor, epochs, bracket)
            ends = [rung for rung in every if rung < epochs]
            where = f"rungs at epochs {', '.join(map(number, ends))}" if ends else "no rungs"
            yield (
                f"asha, bracket {bracket}: {where};"
                f" 1 in {scheduler.reduction_factor:g} goes on from each"
            )
    elif scheduler.kind == "hyperband":
        for dealt, rounds in Counter(scheduler.brackets(experiment.trials, epochs)).items():
            yield _hyperband_bracket(dealt, rounds)
    elif scheduler.kind == "median":
        yield (
            f"median: each epoch from {scheduler.grace_epochs} on, stops what is worse than the"
            f" median of {scheduler.min_trials} others or more"
        )
    elif isinstance(scheduler, Pbt | Pb2):
        how = "synchronous" if scheduler.synchronous else "asynchronous"
        yield (
            f"{scheduler.kind}, {how}: {len(scheduler.milestones(epochs)) + 1} generations of"
            f" {scheduler.interval_epochs} epochs; between them the worst"
            f" {scheduler.quantile:.0%} copy the best"
        )
        if scheduler.kind == "pb2":
            searched = experiment.space()
            names = [one.name for one in searched if one.distribution.kind != "choice"]
            yield (
                f"pb2: a model of the improvements selects {', '.join(names) or 'nothing'} for"
                " each copy, in about 0.1 s of the driver at a decision; choices move as under pbt"
            )
    else:
        yield f"{scheduler.kind}: every trial runs its {epochs} epochs"


def _hyperband_bracket(bracket: Bracket, rounds: int) -> str:
    """``hyperband, bracket 2: 9 trials; 3 go on from epoch 1, 1 goes on from epoch 3``."""
    times = f"{rounds} times " if rounds > 1 else ""
    stretches = zip(bracket.kept, bracket.rungs, strict=True)
    going_on = ", ".join(f"{kept} {_go(kept)} on from epoch {rung}" for kept, rung in stretches)
    trials = f"{bracket.trials} trial{'s' if bracket.trials > 1 else ''}"
    return f"hyperband, bracket {bracket.number}: {times}{trials}; {going_on or 'none is stopped'}"


def _go(count: int) -> str:
    return "goes" if count == 1 else "go"


def _hyperparameters(experiment: Experiment) -> Table:
    """Every leaf of the trial with its value, and its distribution where it is searched."""
    table = Table("hyperparameter", "value", "searched", box=box.SIMPLE_HEAD, pad_edge=False)
    searched = {one.name: one for one in experiment.space()}
    values = leaves(experiment.trial)
    for name in [*values, *(name for name in searched if name not in values)]:
        if name in searched:
            table.add_row(name, "", _searched(searched[name]), style="bold")
        else:
            table.add_row(name, number(values[name]), "")
    return table


def _searched(hyperparameter: Hyperparameter) -> str:
    """Distribution, condition and role in words: ``uniform 0 to 0.9, where a is b; nuisance``."""
    words = describe_distribution(hyperparameter.distribution)
    role = hyperparameter.distribution.role
    conditions = [
        f"{condition.parent} is {' or '.join(map(number, condition.values))}"
        for condition in hyperparameter.conditions
    ]
    words += f", where {' and '.join(conditions)}" if conditions else ""
    return f"{words}; {role}" if role else words
