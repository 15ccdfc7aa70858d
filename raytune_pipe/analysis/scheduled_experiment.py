"""The lineage of a population's best weights as an experiment of one trial, without a search.

What is written is a schedule of the learning rate alone: whatever else the population changed keeps
the last value that it had.
"""

from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import Any, NamedTuple

from raytune_pipe.analysis.lineage_schedule import LineageSchedule, merged
from raytune_pipe.base import Value, to_json
from raytune_pipe.components.schedulers import Fifo
from raytune_pipe.components.schedules import (
    Constant,
    Piecewise,
    Plateau,
    Schedule,
    Warmup,
)
from raytune_pipe.components.schedules_progress import Progress
from raytune_pipe.components.searchers import Random
from raytune_pipe.experiment import Experiment

RATE = "optimizer.lr"
"""The hyperparameter that schedules act on."""


class ScheduledExperiment(NamedTuple):
    """An experiment that trains from scratch as the lineage was trained."""

    experiment: Experiment
    lineage: LineageSchedule
    scheduled: tuple[str, ...]
    """The hyperparameters that the population changed and the schedule changes as well."""
    fixed: dict[str, Value]
    """Those that it changed but no schedule can, with the last value that each had."""
    notes: tuple[str, ...]
    """Where the training differs from the lineage's."""

    def to_yaml(self) -> str:
        """The experiment file; on top what the lineage was trained under, and the notes."""
        title = "Trains from scratch as the best weights of a population were trained:"
        courses = (
            f"  {name}: {course_in_words(self.lineage.course(name))}"
            for name in self.lineage.changed
        )
        head = "".join(f"# {line}\n" for line in (title, *courses, *self.notes))
        return head + self.experiment.to_yaml()

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **self.lineage.to_mapping(),
            "scheduled": list(self.scheduled),
            "fixed": self.fixed,
            "notes": list(self.notes),
        }


class _Rates(NamedTuple):
    """A learning rate and the schedule that multiplies it."""

    lr: float
    schedule: Schedule
    is_exact: bool
    """Whether every step has the lineage's learning rate."""


def scheduled_experiment(experiment: Experiment, lineage: LineageSchedule) -> ScheduledExperiment:
    """One trial with the lineage's epochs and learning rates, from its initial weights.

    Raises:
        ConfigError: the lineage's last values do not go together with the experiment.
    """
    last = lineage.epochs[-1].values
    trial = experiment.trial_with(last, lineage.founder)
    base = [float(one.values.get(RATE) or trial.optimizer.lr) for one in lineage.epochs]
    rates = _rates(trial.schedule, base, lineage, experiment.trial.epochs)
    plain = trial.model_dump(mode="json")
    plain["optimizer"]["lr"] = rates.lr
    plain |= {"schedule": rates.schedule.model_dump(mode="json"), "epochs": len(base)}
    alone = {
        **experiment.resolved(),
        "name": f"{experiment.name[:91]}-schedule",
        "trial": plain,
        "search_space": {},
        "searcher": Random().model_dump(mode="json"),
        "scheduler": Fifo().model_dump(mode="json"),
        "trials": 1,
    }
    return ScheduledExperiment(
        experiment=Experiment.model_validate_json(to_json(alone)),
        lineage=lineage,
        scheduled=tuple(name for name in lineage.changed if name == RATE),
        fixed={name: last[name] for name in lineage.changed if name != RATE},
        notes=tuple(_notes(experiment, lineage, rates)),
    )


def _rates(schedule: Schedule, base: list[float], lineage: LineageSchedule, planned: int) -> _Rates:
    """The schedule under which one trial has the rates of the lineage, ``base`` one per epoch.

    A ramp stays a ramp. Beneath it a schedule stays as it is where it would do the same again;
    else each epoch holds its rate, or the mean over its steps where it changed within the epoch.
    """
    if isinstance(schedule, Warmup):
        then = _rates(schedule.then, base, lineage, planned)
        return then._replace(schedule=schedule.model_copy(update={"then": then.schedule}))
    if len(set(base)) == 1 and _repeats(schedule, lineage, planned):
        return _Rates(base[0], schedule, is_exact=True)
    by_step = _applied(schedule, base, lineage, planned)
    is_exact = all(min(rates) == max(rates) for rates in by_step)
    # The mean of equal numbers can be off by a rounding error, which would look like a change.
    held = [rates[0] if min(rates) == max(rates) else fmean(rates) for rates in by_step]
    entries = merged(held)
    if len(entries) == 1:
        return _Rates(held[0], Constant(), is_exact)
    return _Rates(held[0], Piecewise(rates=entries), is_exact)


def _repeats(schedule: Schedule, lineage: LineageSchedule, planned: int) -> bool:
    """Whether the schedule would multiply by the same once more."""
    if isinstance(schedule, Plateau):
        return False  # other weights have other scores, so it would come at another epoch
    if isinstance(schedule, Piecewise) and schedule.unit == "step":
        return "batch_size" not in lineage.changed  # else an epoch has another number of steps
    return planned == len(lineage.epochs) or not schedule.depends_on_epochs


def _applied(
    schedule: Schedule, base: list[float], lineage: LineageSchedule, planned: int
) -> list[list[float]]:
    """The learning rate of each step, a list an epoch, as the trainer had it."""
    ends = [0, *(epoch.step for epoch in lineage.epochs)]
    scores = [epoch.val_loss for epoch in lineage.epochs]
    applied = []
    for epoch, lr in enumerate(base):
        begin, steps = ends[epoch], ends[epoch + 1] - ends[epoch]
        progress = (
            Progress(epoch + index / steps, begin + index, planned, steps, lr)
            for index in range(steps)
        )
        applied.append([lr * schedule.factors(one, scores[:epoch]).lr for one in progress])
    return applied


def _moves_momentum(schedule: Schedule, planned: int) -> bool:
    """Whether the schedule changes the momentum too, as one cycle does."""
    halves = (Progress(half / 2, half, planned, 2, 1.0) for half in range(2 * planned))
    return any(schedule.factors(one, []).momentum != 1.0 for one in halves)


def _notes(experiment: Experiment, lineage: LineageSchedule, rates: _Rates) -> Iterator[str]:
    """What whoever trains it should know."""
    trainers = dict.fromkeys(epoch.trial_id for epoch in lineage.epochs)
    if not lineage.changed:
        yield "The lineage changed no hyperparameter."
    if len(trainers) > 1:
        yield (
            f"Trials {', '.join(trainers)} trained the weights in turn, each in its own order of"
            f" the data; here it is that of {lineage.founder}, so the score will be another."
        )
    if fixed := [name for name in lineage.changed if name != RATE]:
        yield f"No schedule can change {', '.join(fixed)}: here the last value holds throughout."
    schedule, planned = experiment.trial.schedule, experiment.trial.epochs
    if _moves_momentum(schedule, planned) and not _moves_momentum(rates.schedule, planned):
        yield (
            f"The schedule ({schedule.kind}) also moved the momentum, which is left at its own"
            " value here."
        )
    if not rates.is_exact:
        yield (
            f"The schedule ({schedule.kind}) changed the learning rate within"
            " epochs; here each epoch holds its mean, which is an approximation."
        )
    if len(lineage.epochs) != experiment.trial.epochs:
        yield (
            f"It trains {len(lineage.epochs)} epochs, the age of the best weights, not"
            f" {experiment.trial.epochs}."
        )


def course_in_words(course: Mapping[int, Value]) -> str:
    """A hyperparameter over the epochs, such as ``0.1, 0.05 after epoch 4``."""
    return ", ".join(
        (f"{value:g}" if isinstance(value, float) else str(value))
        + (f" after epoch {done}" if done else "")
        for done, value in course.items()
    )
