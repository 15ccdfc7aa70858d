"""An Optuna study as a run: its trials, intermediate values and distributions."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from pydantic import ValidationError

from raytune_pipe.base import ConfigError, Value
from raytune_pipe.distributions import (
    Choice,
    Distribution,
    IntUniform,
    LogIntUniform,
    LogUniform,
    Uniform,
)
from raytune_pipe.importing.imported_run import (
    ImportedReport,
    ImportedRun,
    ImportedTrial,
    as_value,
    nearest,
    own_metric,
    own_name,
)
from raytune_pipe.results.events import Status
from raytune_pipe.search_space import Hyperparameter, SearchSpace

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial as Trial

MOST_STEPS = 64
"""A whole number with a step that has no more values than this is taken as a choice of them."""
LARGEST_WHOLE = 2**40
"""Of the bounds of whole numbers here, such as those of a seed that is searched."""
STATUS: dict[str, Status] = {
    "COMPLETE": "completed",
    "PRUNED": "stopped_early",
    "FAIL": "failed",
    "RUNNING": "running",
}


class _Steps(NamedTuple):
    """How the steps of intermediate values become epochs: the first one of all is at least 1."""

    shift: int
    last: int

    @classmethod
    def of(cls, trials: "list[Trial]") -> Self:
        steps = [step for trial in trials for step in trial.intermediate_values]
        return cls(max(1 - min(steps, default=1), 0), max(steps, default=1))


def read_study(study: "Study", metric: str = "value", objective: int | None = None) -> ImportedRun:
    """The trials of a study; its objective is called ``metric``.

    ``objective`` says which of several objectives counts. A trial that was pruned has its last
    intermediate value, on whose steps its reports stand.

    Raises:
        ConfigError: there are several objectives and none was chosen, no trial has a parameter,
            or a trial's values cannot lie in one search space.
    """
    count = len(study.directions)
    if count > 1 and objective is None:
        raise ConfigError(
            f"--objective: must say which of the {count} objectives to rank by, from 0 to "
            f"{count - 1}"
        )
    chosen = objective or 0
    if chosen >= count:
        raise ConfigError(f"--objective: must be at most {count - 1}, but got {chosen}")
    mode = "max" if study.directions[chosen].name == "MAXIMIZE" else "min"
    metric = own_metric(metric)
    trials = [one for one in study.get_trials(deepcopy=False) if one.state.name in STATUS]
    notes = [
        "the sampler is not recorded: if it was adaptive (TPE, GP, CMA-ES), it has sampled "
        "good regions more densely than the space"
    ]
    space = _space(trials, notes)
    scale = _Steps.of(trials)
    imported = tuple(_trial(one, space, metric, mode, chosen, scale) for one in trials)
    moved = sum(
        not space[name].distribution.contains(value)
        for one in trials
        for name, value in _tried(one, space).items()
    )
    if moved:
        notes.append(f"{moved} values outside of the search space were taken as the nearest in it")
    source = f"Optuna, study {study.study_name}"
    target = {"metric": metric, "mode": mode, "at": "last"}
    return ImportedRun(source, space, target, imported, notes=tuple(notes))


def _space(trials: "list[Trial]", notes: list[str]) -> SearchSpace:
    """Every parameter of any trial, with the distribution that it had last."""
    found: dict[str, Any] = {}
    changed = set()
    for trial in trials:
        for name, distribution in trial.distributions.items():
            if found.setdefault(name, distribution) != distribution:
                changed.add(name)
            found[name] = distribution
    if not found:
        raise ConfigError("the study must have a trial with parameters, but has none")
    notes += [f"{name}: its distribution changed during the study" for name in sorted(changed)]
    space = []
    for name, distribution in found.items():
        if own_name(name, "params") != name:
            notes.append(f"parameter {name} is called params.{name}: {name} is a metric's column")
        if (ours := _distribution(name, distribution, notes)) is not None:
            space.append(Hyperparameter(own_name(name, "params"), ours))
    return SearchSpace(tuple(space))


def _distribution(name: str, theirs: Any, notes: list[str]) -> Distribution | None:
    """The nearest of our distributions; None for one that has a single value."""
    if theirs.single():
        notes.append(f"{name}: has one value alone, so there is nothing to rank")
        return None
    if hasattr(theirs, "choices"):
        return Choice(options=tuple(map(_option, theirs.choices)))
    if isinstance(theirs.low, int):
        return _of_whole_numbers(name, theirs, notes)
    if theirs.log:
        return LogUniform(low=theirs.low, high=theirs.high)
    if theirs.step is not None:
        try:
            return Uniform(low=theirs.low, high=theirs.high, quantum=theirs.step)
        except ValidationError:
            notes.append(
                f"{name}: has steps of {theirs.step:g}, too fine to tell its values apart, and is"
                " taken as uniform without them"
            )
    return Uniform(low=theirs.low, high=theirs.high)


def _of_whole_numbers(name: str, theirs: Any, notes: list[str]) -> Distribution:
    low, high, step = theirs.low, theirs.high, theirs.step
    if max(abs(low), abs(high)) > LARGEST_WHOLE:
        notes.append(f"{name}: goes beyond {LARGEST_WHOLE:,}, and is taken as a real number")
        kind = LogUniform if theirs.log else Uniform
        return kind(low=float(low), high=float(high))
    if theirs.log:
        return LogIntUniform(low=low, high=high)
    values = range(low, high + 1, step)
    if step == 1 or len(values) > MOST_STEPS:
        if step > 1:
            notes.append(f"{name}: has {len(values):,} steps, and is taken as uniform without them")
        return IntUniform(low=low, high=high)
    return Choice(options=tuple(values))


def _option(choice: Any) -> Value:
    """One of a list of choices; what is no finite number, by its name."""
    if choice is None:
        return "null"
    if isinstance(choice, float) and not math.isfinite(choice):
        return str(choice)
    return as_value(choice)


def _trial(
    trial: "Trial", space: SearchSpace, metric: str, mode: str, objective: int, scale: _Steps
) -> ImportedTrial:
    tried = _tried(trial, space)
    values = {one.name: nearest(one, tried.get(one.name)) for one in space}
    status = STATUS[trial.state.name]
    reports = tuple(_reports(trial, values, metric, mode, objective, scale))
    if status in ("completed", "stopped_early") and not reports:
        status = "failed"  # pruned before it reported anything: there is nothing to reckon with
    elif status in ("completed", "stopped_early") and not math.isfinite(reports[-1].score):
        status = "diverged"
    fixed = {own_name(name, "params"): as_value(value) for name, value in trial.params.items()}
    leaves = fixed | values
    return ImportedTrial(f"{trial.number:05d}", leaves, status, reports, _reason(trial, status))


def _tried(trial: "Trial", space: SearchSpace) -> dict[str, Value]:
    """The searched values of a trial, by our names."""
    named = {own_name(name, "params"): value for name, value in trial.params.items()}
    return {name: _option(named[name]) for name in space.names if name in named}


def _reason(trial: "Trial", status: Status) -> str | None:
    if status == "diverged":
        return "not_a_number"
    return "pruned" if trial.state.name == "PRUNED" else None


def _reports(
    trial: "Trial", values: dict[str, Value], metric: str, mode: str, objective: int, scale: _Steps
) -> Iterator[ImportedReport]:
    """One per intermediate value; the final value replaces the last one, or stands alone."""
    points = sorted(trial.intermediate_values.items()) if objective == 0 else []
    ages = [float(step + scale.shift) for step, _ in points]
    scores = [float(value) for _, value in points]
    if trial.state.name == "COMPLETE" and trial.values:
        ages, scores = (
            ages or [float(scale.last + scale.shift)],
            [*scores[:-1], float(trial.values[objective])],
        )
    sign = -1.0 if mode == "max" else 1.0
    began = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    ended = trial.datetime_complete.timestamp() if trial.datetime_complete else began
    for number, (age, score) in enumerate(zip(ages, scores, strict=True), start=1):
        time = began + (ended - began) * number / len(ages)
        yield ImportedReport(
            number, age, sign * score, {metric: score}, values, time_s=time - began, time=time
        )
