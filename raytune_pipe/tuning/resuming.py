"""Taking up a run where its journal ends: the same recorder, and each trial's start."""

import gc
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version

from raytune_pipe.base import ResultsError
from raytune_pipe.experiment import Experiment, PlannedTrial
from raytune_pipe.results.events import Event, PlanEvent, ResumeEvent, WarningKind
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.tuning.extending import take_extension
from raytune_pipe.tuning.jobs import current_job
from raytune_pipe.tuning.journal_events import decision_of, experiment_of, planned_of
from raytune_pipe.tuning.progress import TrialProgress
from raytune_pipe.tuning.recorder import Recorder
from raytune_pipe.tuning.replay import Replay

Listener = Callable[[Event], None]


def recorder_of(
    run: RunDirectory, listener: Listener, recorded: Listener = lambda _event: None
) -> Recorder:
    """The recorder of a run as it was when the run was left, ready to go on.

    The decision maker hears every recorded report and end again, in their order, so its rungs and
    its population are what they were. What a crash kept from the disk after the last report is
    made up for. A trial that had not ended starts from its last checkpoint that is whole.

    ``listener`` hears every new event, ``recorded`` before that all those of the journal.

    Raises:
        ResultsError: the journal does not begin with an experiment.
    """
    warned: set[tuple[str, WarningKind]] = set()
    replay = Replay(_told(run.journal.recorded(), recorded, warned))
    experiment = _experiment(run, replay)
    planned = _plan(run, experiment, replay)
    drawn = experiment.plan()
    maker = experiment.decision_maker()
    recorder = Recorder(experiment, run, maker, listener=listener, replay=replay, warned=warned)
    recorder.add_plan([*planned, *drawn[len(planned) :]], recorded=len(planned))
    with _no_search_for_cycles():
        while replay.next:
            _feed(recorder, replay, replay.next)
    if len(recorder.trials) < recorder.experiment.trials:  # a crash had kept some from the disk
        recorder.add_plan(recorder.experiment.plan()[len(recorder.trials) :])
    recorder.replay = None
    recorder.write(_resume_event(run))
    for difference in replay.differences:
        recorder.write_anomaly(f"replay: {difference}")
    for trial_id, progress in recorder.trials.items():
        if progress.status == "running":
            _make_ready(recorder, trial_id, progress)
    run.clear_away_strays()
    return recorder


def _told(
    events: Iterable[Event], listener: Listener, warned: set[tuple[str, WarningKind]]
) -> Iterator[Event]:
    """The events, each when the listener has heard it; trials that were warned are noted."""
    for event in events:
        if event["event"] == "warning":
            warned.add((event["trial_id"], event["kind"]))
        listener(event)
        yield event


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """Without Python's collector: events hold no cycles, and it takes an eighth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _resume_event(run: RunDirectory) -> ResumeEvent:
    event: ResumeEvent = {
        "event": "resume",
        "package_version": version("raytune-pipe"),
        "time": time.time(),
    }
    if run.took_over:
        event["took_over"] = run.took_over
    if job := current_job():
        event["job"] = job
    if run.window:
        event["window"] = run.window
    return event


def _experiment(run: RunDirectory, replay: Replay) -> Experiment:
    header = replay.take() if replay.next else None
    if header is None or header["event"] != "experiment":
        raise ResultsError(
            f"{run.path}: the journal must begin with an experiment, but it holds none: the launch "
            "ended before anything was planned; delete the folder, and launch again"
        )
    return experiment_of(header)


def _plan(run: RunDirectory, experiment: Experiment, replay: Replay) -> list[PlannedTrial]:
    """The planned trials that the journal has; the file of the experiment is there before them."""
    if replay.next is None:
        run.write_file("experiment.yaml", experiment.to_yaml())
    while replay.next and replay.next["event"] == "file":
        replay.take()
    recorded: list[PlanEvent] = []
    while replay.next and replay.next["event"] == "plan":
        recorded.append(replay.next)
        replay.take()
    return [planned_of(event, experiment) for event in recorded]


def _feed(recorder: Recorder, replay: Replay, event: Event) -> None:
    """Bring about once more what the event told of; the recorder takes off what follows from it."""
    if event["event"] == "report":
        recorder.on_report(event)
    elif event["event"] == "end":
        recorder.end(event["trial_id"], event["status"], event["reason"] or "", event["error"])
    elif event["event"] == "experiment":
        take_extension(recorder, event)
    elif event["event"] == "plan":
        recorder.add_plan([planned_of(event, recorder.experiment)])
    elif event["event"] == "retry":
        recorder.retry(event)
    elif event["event"] == "start":
        progress = recorder.trials[event["trial_id"]]
        progress.status, progress.attempt = "running", event["attempt"]
        progress.start_due = False
        replay.take()
    elif event["event"] == "decision":
        replay.differences.append(f"decisions on trial {event['trial_id']} come out of nothing")
        for record in event["decisions"]:
            recorder.trials[record["trial"]].take_decision(decision_of(record))
        replay.take()
    else:
        replay.take()


def _make_ready(recorder: Recorder, trial_id: str, progress: TrialProgress) -> None:
    """Give a trial that had not ended a start that is whole, and count the new attempt."""
    for broken in progress.fall_back(recorder.run.likely_has_checkpoint):
        recorder.write_anomaly(broken, trial_id)
    if not progress.waiting or progress.start_report < progress.reports:
        progress.begin_attempt()
