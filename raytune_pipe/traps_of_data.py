"""Traps and misfits that only the data and the built model show."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import ValidationError

from raytune_pipe.base import ConfigError, to_json
from raytune_pipe.experiment import Experiment, TrapCode
from raytune_pipe.problems import Path, Problem
from raytune_pipe.trap_cases import Case, Trap, cases
from raytune_pipe.variants import is_component_choice, put, to_trial

if TYPE_CHECKING:
    from raytune_pipe.components.task import Data

MORE_PARAMETERS: TrapCode = "more_parameters_than_samples"
THAT_FIT_DATA = ("model", "loss", "augmentations")
"""The parts of a trial whose values may be ruled out by its data."""


def data_traps(experiment: Experiment) -> tuple[list[Problem], list[Trap]]:
    """What only the data and the built model show: what does not fit together, and traps.

    Loads the dataset, and builds a model of each kind that is chosen from, and with each bound and
    option of what is searched in it. Data that cannot be read here may well be on the cluster, so
    that is a trap only. The user's own code is not run: what only reads a file must not.
    """
    from raytune_pipe.training.data import load_data
    from raytune_pipe.training.trial_size import MisfitError, trial_size

    problems: dict[Path, Problem] = {}
    found: dict[str, Trap] = {}
    tried: set[str] = set()
    for case in cases(experiment):
        trial, parts = to_trial(case.plain), _what_must_fit(case)
        if "imported" in (trial.dataset.kind, trial.model.kind) or parts in tried:
            continue
        tried.add(parts)
        try:
            data = load_data(trial.dataset)
        except (ConfigError, ImportError) as error:
            where = case.where("dataset.kind")
            message = f"model and loss are not tried on it, as it cannot be read here: {error}"
            found.setdefault("data_not_seen", Trap("data_not_seen", where, message))
            continue
        try:
            size = trial_size(trial, data)
        except MisfitError as error:
            where = case.where(error.part)
            problems.setdefault(where, Problem(where, error.reason))
            continue
        if size.has_more_parameters:
            trap = Trap(MORE_PARAMETERS, case.where("model.kind"), size.warning)
            found.setdefault(MORE_PARAMETERS, trap)
        for problem in _values_that_do_not_fit(case, data):
            problems.setdefault(problem.path, problem)
    kept = [trap for trap in found.values() if trap.code not in experiment.ignore]
    return list(problems.values()), kept


def _values_that_do_not_fit(case: Case, data: "Data") -> Iterator[Problem]:
    """Bounds and options of searched fields, each by itself, that the data rules out."""
    from raytune_pipe.training.trial_size import MisfitError, trial_size

    for path, distribution in case.space.items():
        if path.partition(".")[0] not in THAT_FIT_DATA or is_component_choice(distribution):
            continue
        for value in case.ends(path):
            try:
                trial_size(to_trial(put(case.plain, path, value)), data)
            except MisfitError as error:
                yield Problem(("search_space", path), error.reason.removeprefix(f"{path}: "))
            except ValidationError:  # with this combination of components
                continue


def _what_must_fit(case: Case) -> str:
    """The parts that must fit together with the data, and what is searched in them, as text."""
    parts = {part: case.plain[part] for part in ("dataset", *THAT_FIT_DATA)}
    return to_json([parts, [path for path in case.space if path.partition(".")[0] in parts]])
