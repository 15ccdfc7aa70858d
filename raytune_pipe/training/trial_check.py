"""The checks that practitioners make of a trial before they tune it, on its own data and network.

Nothing is written, and generators and threads are left as they were. What is found follows from the
trial's seed, but for seconds and memory.
"""

from collections.abc import Callable, Iterator, Mapping

import torch

from raytune_pipe.base import RaytunePipeError
from raytune_pipe.distributions import Distribution
from raytune_pipe.training.data import load_data, to_device
from raytune_pipe.training.memory import is_out_of_memory
from raytune_pipe.training.trial_check_costs import Planned, check_memory, check_time
from raytune_pipe.training.trial_check_findings import Finding, RangeTest, TrialCheck
from raytune_pipe.training.trial_check_gradients import (
    check_capacity,
    check_dead_units,
    check_gradients,
)
from raytune_pipe.training.trial_check_overfitting import check_overfitting
from raytune_pipe.training.trial_check_rates import (
    check_rates,
    range_test,
    used_rates,
)
from raytune_pipe.training.trial_check_runs import Place, Subject, at_scheduled_rate, untouched
from raytune_pipe.training.trial_check_signal import check_signal
from raytune_pipe.training.trial_check_start import check_fit, check_initial_loss
from raytune_pipe.trial import Trial
from raytune_pipe.variants import get, is_component_choice, to_plain

Listener = Callable[[str], None]
"""Hears what is looked at next."""


def check_trial(
    trial: Trial,
    searched: Mapping[str, Distribution],
    place: Place,
    planned: Planned | None = None,
    listener: Listener = lambda _: None,
) -> TrialCheck:
    """Look a trial over; of a choice between components only the trial's own is looked at.

    ``searched`` are the hyperparameters of its search space, by path; ``planned`` is the experiment
    whose time is estimated.

    Raises `RaytunePipeError` where the data cannot be loaded.
    """
    with untouched():
        listener("data")
        data = to_device(load_data(trial.dataset), torch.device(place.device))
        subject = Subject(at_scheduled_rate(trial), data, place)
        listener("fit")
        fit = _fit(subject)
        if fit.verdict == "fail":
            return TrialCheck((fit,), None)
        findings, test = _look_over(subject, searched, listener)
        findings += _costs(subject, searched, test, planned, listener)
        return TrialCheck((fit, *_scope(trial, searched), *findings), test)


def _fit(subject: Subject) -> Finding:
    """Whether the parts go together; an error that says they do not becomes a finding.

    Any other error is a bug of ours, unless it comes out of the user's own code.
    """
    try:
        return check_fit(subject)
    except Exception as error:
        is_ours = "imported" not in (subject.trial.model.kind, subject.trial.dataset.kind)
        if is_out_of_memory(error) or (is_ours and not isinstance(error, RaytunePipeError)):
            raise
        name = "" if isinstance(error, RaytunePipeError) else f"{type(error).__name__}: "
        return Finding(
            "fit",
            "fail",
            f"{name}{error}",
            "a network that takes the data, and a loss that takes its outputs",
            "a network or a loss that does not fit the task",
            mend="" if name == "" else "run `raytune-pipe train` to see where it is raised",
        )


def _look_over(
    subject: Subject, searched: Mapping[str, Distribution], listener: Listener
) -> tuple[list[Finding], RangeTest]:
    """What the trial's network makes of its data."""
    listener("initial loss")
    findings = [check_initial_loss(subject)]
    listener("gradients")
    findings += check_gradients(subject)
    dead = check_dead_units(subject)
    findings += [dead] if dead else []
    listener("learning rate")
    wanted = used_rates(subject.trial, searched)
    test = range_test(subject, wanted)
    findings.append(check_rates(test, wanted, _of_which_optimizer(subject.trial, searched)))
    listener("overfitting")
    findings.append(check_overfitting(subject, test))
    return findings, test


def _costs(
    subject: Subject,
    searched: Mapping[str, Distribution],
    test: RangeTest,
    planned: Planned | None,
    listener: Listener,
) -> list[Finding]:
    """What it learns of other samples, and what that costs."""
    listener("signal")
    signal, run = check_signal(subject, test)
    listener("memory and time")
    memory = check_memory(subject, searched)
    return [signal, check_capacity(subject), memory, check_time(subject, run, planned)]


def _scope(trial: Trial, searched: Mapping[str, Distribution]) -> Iterator[Finding]:
    """What is not looked at: the components that the search may choose instead."""
    own = to_plain(trial)
    for path, distribution in searched.items():
        if is_component_choice(distribution):
            kind = get(own, f"{path}.kind")
            others = [str(label) for label in distribution.labels if label != kind]
            yield Finding(
                "scope", "ok", f"{path} {kind} alone, and not {' or '.join(others)}, is looked at"
            )


def _of_which_optimizer(trial: Trial, searched: Mapping[str, Distribution]) -> str:
    return f", of {trial.optimizer.kind} alone" if "optimizer" in searched else ""
