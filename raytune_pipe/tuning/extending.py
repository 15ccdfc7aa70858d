"""More trials or more epochs for a run that there is, where that leaves what was done as it was."""

from collections.abc import Iterator

from raytune_pipe.base import ConfigError
from raytune_pipe.components.searchers import draws_from_results
from raytune_pipe.experiment import Experiment
from raytune_pipe.results.events import ExperimentEvent
from raytune_pipe.results.journal import JOURNAL, read_events
from raytune_pipe.scheduling.decisions import DecisionMaker
from raytune_pipe.tuning.journal_events import experiment_event, experiment_of, report_of
from raytune_pipe.tuning.recorder import Recorder
from raytune_pipe.variants import component_trials, to_plain

_SIZED = {
    "pbt": "they are the population and its generations",
    "pb2": "they are the population and its generations",
    "hyperband": "its brackets follow from them",
}
"""Schedulers under which a run has its size from the start, and why."""


def is_extension(recorded: Experiment, asked: Experiment) -> bool:
    """Whether an experiment has more trials, or more epochs, than the recorded one.

    Raises:
        ConfigError: it has, but not so that what was done so far could stay.
    """
    if (asked.trials, asked.trial.epochs) == (recorded.trials, recorded.trial.epochs):
        return False
    problems = list(_problems(recorded, asked))
    if problems:
        raise ConfigError("\n".join(problems))
    return True


def extend(recorder: Recorder, asked: Experiment) -> None:
    """Go on with more trials or more epochs, see `is_extension`."""
    recorded = recorder.experiment
    asked = asked.model_copy(update={"name": recorded.name, "storage": recorded.storage})
    plan = asked.plan()
    take_extension(recorder, experiment_event(asked, plan))
    recorder.run.write_file("experiment.yaml", asked.to_yaml())
    recorder.add_plan(plan[len(recorder.trials) :])


def take_extension(recorder: Recorder, event: ExperimentEvent) -> None:
    """Journal the experiment as it is from here on, and have the trials so far fit to it.

    Trials that had used up their epochs go on where these are more now; those that were stopped,
    or have failed, have ended.
    """
    recorder.write(event)
    experiment = experiment_of(event)
    recorder.experiment = experiment
    recorder.maker = _maker(recorder, experiment, event)
    for progress in recorder.trials.values():
        if progress.epochs < experiment.trial.epochs:
            progress.lengthen(experiment.trial.epochs)


def _maker(recorder: Recorder, experiment: Experiment, event: ExperimentEvent) -> DecisionMaker:
    """A decision maker for the experiment that has heard all reports before the event.

    What it decides on them now was decided then. It needs to hear no ends: a run whose trials wait
    for each other is not extended.
    """
    maker = experiment.decision_maker()
    heard: dict[str, int] = {}
    for past in read_events(recorder.run.path / JOURNAL):
        if past["event"] == "experiment" and past["time"] == event["time"]:
            break
        if past["event"] == "report" and past["report"] > heard.get(past["trial_id"], 0):
            heard[past["trial_id"]] = past["report"]
            if past["verdict"] != "patience":
                maker.on_report(report_of(past))
    return maker


def _problems(recorded: Experiment, asked: Experiment) -> Iterator[str]:
    for name, before, after in (
        ("trials", recorded.trials, asked.trials),
        ("trial.epochs", recorded.trial.epochs, asked.trial.epochs),
    ):
        if after < before:
            yield f"{name}: must be at least the {before} that were planned, but got {after}"
    if asked.scheduler.kind in _SIZED:
        yield (
            f"trials and trial.epochs: must stay as they are under {asked.scheduler.kind}, where "
            f"{_SIZED[asked.scheduler.kind]}; launch a new run: --new"
        )
        return
    if asked.trial.epochs > recorded.trial.epochs:
        yield from _reasons_against_more_epochs(asked)
    drawn, drawn_before = ([one.values for one in each.plan()] for each in (asked, recorded))
    if len(drawn) >= len(drawn_before) and drawn[: len(drawn_before)] != drawn_before:
        yield (
            "trials: the first ones must be drawn as they were, but come out otherwise "
            f"(searcher {asked.searcher.kind}); launch a new run: --new"
        )


def _reasons_against_more_epochs(asked: Experiment) -> Iterator[str]:
    if asked.scheduler.kind == "asha" and asked.scheduler.brackets > 1:
        yield (
            "trial.epochs: must stay as they are under asha with several brackets, whose shares of "
            "the trials follow from them; launch a new run: --new"
        )
    trials = {planned.trial_id: planned.trial for planned in asked.plan()}
    if draws_from_results(asked.searcher):
        drawn_later = component_trials(to_plain(asked.trial), asked.search_space)
        trials |= {f"drawn later ({number})": trial for number, trial in enumerate(drawn_later)}
    for trial_id, trial in trials.items():
        if trial.schedule.depends_on_epochs:
            yield (
                "trial.epochs: may only grow where no schedule depends on them, but that of trial "
                f"{trial_id}, {trial.schedule.kind}, ends with them: what was "
                "trained so far would have been trained otherwise; launch a new run: --new"
            )
            return
