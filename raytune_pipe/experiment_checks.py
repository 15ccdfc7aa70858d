"""What must hold between the parts of an experiment, each of them valid by itself."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from raytune_pipe.base import component_classes
from raytune_pipe.components.schedulers import Asha, Scheduler
from raytune_pipe.components.schedulers_populations import Pb2, Pbt
from raytune_pipe.conditions import applying, condition_problems
from raytune_pipe.distributions import Distribution
from raytune_pipe.problems import Path, Problem, component_at, listed, near, problems_of
from raytune_pipe.trial import Trial, is_mutable, leaves
from raytune_pipe.variants import (
    Variant,
    choice_above,
    get,
    has,
    is_component_choice,
    put,
    to_plain,
    to_trial,
    variants,
)

Space = Mapping[str, Distribution]

BETTER = {"train_loss": "min", "val_loss": "min", "val_accuracy": "max"}
"""The metrics that can be an objective, and which way is better."""
MEASURES = ("lr", "grad_norm", "update_ratio", "samples_per_s", "epoch_s")
"""Metrics that every report has, but that say nothing about how good a trial is."""


def search_space_problems(trial: Trial, space: Space) -> Iterator[Problem]:
    """Every searched path leads somewhere, and every bound and option gives a valid trial."""
    plain = to_plain(trial)
    for path, distribution in space.items():
        under = list(variants(plain, space, path))
        leads_somewhere = any(has(variant.plain, path) for variant in under)
        reserved = _reserved_path(path)
        if reserved:
            yield _at_entry(path, reserved)
        elif leads_somewhere:
            yield from _value_problems(path, distribution, applying(plain, space, path))
        elif len(under) == _variants_in_all(path, space):
            yield _at_entry(path, _leads_nowhere(path, under, space))
    yield from condition_problems(plain, space)
    yield from _absolute_rates(plain, space)


def scheduler_problems(
    scheduler: Scheduler, trial: Trial, space: Space, trials: int
) -> Iterator[Problem]:
    """The scheduler's epochs lie within the budget, and what it changes may change."""
    if scheduler.kind == "fifo":
        return
    if "epochs" in space:
        yield _at_entry(
            "epochs",
            f"must stay fixed under {scheduler.kind}, which compares trials by their epochs;"
            " leave it out, or choose scheduler fifo",
        )
    if isinstance(scheduler, Pbt | Pb2):
        field, first = "interval_epochs", scheduler.interval_epochs
    else:
        field, first = "grace_epochs", scheduler.grace_epochs
    if first > trial.epochs:
        yield Problem(
            ("scheduler", field),
            f"must be at most the budget of {trial.epochs} epochs, but got {first}, so nothing"
            " would ever be decided; lower it, or raise trial.epochs",
            depends_on=(("trial", "epochs"), ("scheduler", "kind")),
        )
    elif scheduler.kind == "asha":
        yield from _bracket_problems(scheduler, trial.epochs)
    if isinstance(scheduler, Pbt | Pb2):
        yield from _population_problems(scheduler.kind, trial, space, trials)


def objective_problems(metric: str, mode: str, trial: Trial) -> Iterator[Problem]:
    """The metric is one that the task has, and better is the right way up."""
    if trial.dataset.kind == "imported":
        return  # the user's task may bring metrics of its own
    known = [name for name in BETTER if "classification" in trial.loss.fits or "acc" not in name]
    depends_on = (("trial", "loss", "kind"), ("trial", "dataset", "kind"))
    if metric in MEASURES:
        message = f"must say how good a trial is ({listed(known)}), but got '{metric}'"
        yield Problem(("objective", "metric"), message, depends_on)
    elif metric not in known:
        tasks = " or ".join(sorted(trial.loss.fits))
        message = f"must be a metric of {tasks} ({listed(known)}), but got '{metric}'"
        yield Problem(("objective", "metric"), message + near(metric, known), depends_on)
    elif mode != BETTER[metric]:
        message = f"must be {BETTER[metric]} for {metric}, but got {mode}"
        yield Problem(("objective", "mode"), message, (("objective", "metric"), *depends_on))


def _at_entry(path: str, message: str) -> Problem:
    keys = path.split(".")
    above = [("search_space", ".".join(keys[:length])) for length in range(1, len(keys))]
    depends_on = (("trial", keys[0], "kind"), *above)
    return Problem(("search_space", path), message, depends_on, is_at_key=True)


def _variants_in_all(path: str, space: Space) -> int:
    """How many there are if none is left out for being invalid, which is told elsewhere."""
    choice = space.get(choice_above(path, space) or "")
    return len(choice.labels) if is_component_choice(choice) else 1


def _reserved_path(path: str) -> str | None:
    if path == "seed":
        return "must be left out: each trial's seed is drawn from the experiment's"
    if path.endswith(".kind"):
        above = path.removesuffix(".kind")
        return (
            "must be searched as a whole component:"
            f" {above}: {{kind: choice, options: [{{kind: ...}}, ...]}}"
        )
    return None


def _value_problems(
    path: str, distribution: Distribution, where: list[Variant]
) -> Iterator[Problem]:
    """Put every bound or option into the trial, one at a time, and validate it as a whole."""
    entry: Path = ("search_space", path)
    if distribution.kind == "choice":
        probes = {(*entry, "options", i): each for i, each in enumerate(distribution.options)}
    else:
        probes = {(*entry, "low"): distribution.low, (*entry, "high"): distribution.high}
    found: dict[Path, Problem] = {}
    for place, value in probes.items():
        for variant in where:
            plain = put(variant.plain, path, value)
            try:
                to_trial(plain)
            except ValidationError as error:
                for problem in problems_of(error, Trial, plain):
                    moved = _moved(problem, path, place, distribution)
                    found.setdefault(moved.path, moved)
    yield from found.values()


def _moved(problem: Problem, path: str, place: Path, distribution: Distribution) -> Problem:
    """A problem of the trial told at the bound or option that brings it about."""
    target: Path = tuple(path.split("."))
    if problem.path[: len(target)] != target:
        return _at_entry(path, f"{problem.dotted}: {problem.message}")._replace(
            path=place, is_at_key=False
        )
    message = problem.message
    if distribution.kind in _OF_INTEGERS and "a whole number" in message:
        message = f"must be {_OF_INTEGERS[distribution.kind]}, as {path} is a whole number, but got"
        message += f" {distribution.kind}"
        return _at_entry(path, message)._replace(path=(*place[:-1], "kind"), is_at_key=False)
    at = (*place, *problem.path[len(target) :])
    return _at_entry(path, message)._replace(path=at, is_at_key=problem.is_at_key)


_OF_INTEGERS = {"uniform": "int_uniform", "log_uniform": "log_int_uniform"}


def _leads_nowhere(path: str, under: list[Variant], space: Space) -> str:
    """Why there is nothing at the path: a part that is off, or a name that nothing has."""
    keys = path.split(".")
    for length in range(1, len(keys)):
        above, part = keys[:length], ".".join(keys[:length])
        owner = component_at(Trial, under[0].plain, tuple(above[:-1]))
        field = owner.model_fields.get(above[-1]) if owner else None
        is_off = field is not None and get(under[0].plain, part) is None
        if is_off and component_classes(field.annotation if field else None):
            nested = "".join(f"{key}: {{" for key in above) + "}" * length
            return f"must lead to a part that is on, but {part} is off; add {nested} to the trial"
    known = {name for variant in under for name in leaves(to_trial(variant.plain))}
    known = {name for name in known if not _reserved_path(name)}
    choice = choice_above(path, space)
    whom = f"an option of {choice}" if choice else "the trial"
    advice = near(path.removeprefix("trial."), sorted(known))
    return f"must be a hyperparameter of {whom}, but there is no '{path}'{advice}"


def _bracket_problems(asha: Asha, epochs: int) -> Iterator[Problem]:
    """Each bracket begins one rung later; one that begins at the budget would stop nothing.

    The first one may, so that a run can be shortened to its grace epochs.
    """
    most = 1
    while asha.grace_epochs * asha.reduction_factor**most < epochs:
        most += 1
    if asha.brackets > most:
        yield Problem(
            ("scheduler", "brackets"),
            f"must be at most {most}, as later brackets have no rung below the budget of {epochs}"
            f" epochs and would stop no trial, but got {asha.brackets}; lower it, or raise"
            " trial.epochs",
            depends_on=(
                ("trial", "epochs"),
                *(("scheduler", name) for name in ("kind", "grace_epochs", "reduction_factor")),
            ),
        )


def _population_problems(kind: str, trial: Trial, space: Space, trials: int) -> Iterator[Problem]:
    if trials < 2:
        message = f"must be at least 2 under {kind}, where it is the population, but got {trials}"
        yield Problem(("trials",), message, (("scheduler", "kind"),))
    plain = to_plain(trial)
    for path, distribution in space.items():
        for variant in variants(plain, space, path):
            if has(variant.plain, path) and not _may_change(path, distribution, variant):
                message = (
                    f"must be able to change while a trial runs, as {kind} changes it, but cannot;"
                    " fix it in the trial, or choose another scheduler"
                )
                problem = _at_entry(path, message)
                yield problem._replace(depends_on=(*problem.depends_on, ("scheduler", "kind")))
                break


def _may_change(path: str, distribution: Distribution, variant: Variant) -> bool:
    if is_component_choice(distribution):
        return False
    try:
        return is_mutable(to_trial(variant.plain), path)
    except KeyError:  # inside a list or a mapping, such as the arguments of an imported model
        return False


def _absolute_rates(plain: Mapping[str, Any], space: Space) -> Iterator[Problem]:
    """Absolute rates would undo a searched base rate: every value of it would train the same."""
    if "optimizer.lr" not in space:
        return
    message = (
        "must not be given while optimizer.lr is searched, as they replace it; give multipliers of"
        " it instead"
    )
    places: dict[Path, Any] = {("trial", "schedule"): plain["schedule"]}
    for path, distribution in space.items():
        if path.split(".")[0] == "schedule" and distribution.kind == "choice":
            for index, option in enumerate(distribution.options):
                places["search_space", path, "options", index] = option
    for place, schedule in places.items():
        found = _rates(schedule, place)
        if found and (place[0] != "trial" or "schedule" not in space):
            depends_on = (("search_space", "optimizer.lr"), ("trial", "schedule"))
            yield Problem(found, message, depends_on)


def _rates(schedule: Any, place: Path) -> Path | None:
    if not isinstance(schedule, Mapping):
        return None
    if schedule.get("rates") is not None:
        return (*place, "rates")
    return _rates(schedule.get("then"), (*place, "then"))
