"""Launching an experiment: plan it, claim its name, run its trials on Ray, publish its tables."""

import os
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from raytune_pipe.base import ClusterError, ClusterLostError, ResultsError, to_json
from raytune_pipe.experiment import Experiment, PlannedTrial
from raytune_pipe.results.bucket_runs import fetch_run, is_bucket_behind
from raytune_pipe.results.checkpoint_files import sweep_kept_checkpoints
from raytune_pipe.results.control import take_stop_request
from raytune_pipe.results.described import require_launched
from raytune_pipe.results.events import Event, ExperimentEvent, FinishEvent
from raytune_pipe.results.journal import JOURNAL, read_events, recorded_experiment
from raytune_pipe.results.locations import is_uri
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.results.status import read_status
from raytune_pipe.tuning.cluster import connected, local_cluster, require_variables
from raytune_pipe.tuning.extending import extend, is_extension
from raytune_pipe.tuning.head_watch import HeadWatch
from raytune_pipe.tuning.journal_events import experiment_event
from raytune_pipe.tuning.recorder import Recorder
from raytune_pipe.tuning.resuming import recorder_of
from raytune_pipe.tuning.running import head_lost, run_trials
from raytune_pipe.tuning.shared_storage import StorageNotSharedError, require_shared
from raytune_pipe.tuning.signals import Interrupted, NotedSignals, noted_signals

Listener = Callable[[Event], None]
FinishState = Literal["finished", "interrupted", "failed"]


@dataclass(frozen=True)
class Outcome:
    """How a launch ended."""

    path: Path
    """The run directory."""
    state: str
    """finished or interrupted."""
    exit_code: int
    """0; 3 where no trial can be used; 130 or 143 after Ctrl-C or SIGTERM."""


def launch(
    experiment: Experiment,
    *,
    address: str | None = None,
    new: bool = False,
    insecure: bool = False,
    wait: bool = False,
    listener: Listener = lambda _event: None,
) -> Outcome:
    """Run an experiment to its end, or to a signal.

    Args:
        address: None for an embedded local Ray, ``auto`` or ``HOST:PORT`` for a running cluster.
        new: take the first free name if the experiment's is taken.
        insecure: use a cluster on another host too whose head demands no token.
        wait: have trials wait for nodes, on a cluster that adds them when asked.
        listener: hears every event of the journal, after it is on disk.

    Raises:
        ConfigError: a variable of `env_passthrough` is not set.
        ClusterError: no cluster answers, it is open to others, or none of its nodes can run a
            trial.
        NameTakenError: the name is taken, and `new` was not asked for.
        ResultsError: the run directory cannot be written.
    """
    plan = experiment.plan()
    require_variables(experiment.env_passthrough)
    if address is None:
        local_cluster().request(experiment.resources)
    with (
        noted_signals() as signals,
        RunDirectory.claim(experiment.storage, experiment.name, new=new) as run,
    ):
        recorder = prepare(experiment, plan, run, listener)
        try:
            run.begin_copying(experiment.journal_sync_seconds)
            return _run(recorder, address, signals, insecure=insecure, wait=wait)
        except (ClusterError, StorageNotSharedError):
            if not recorder.has_begun:
                run.discard()  # so that the name is free again
            raise


def resume(
    path: Path | str,
    experiment: Experiment | None = None,
    *,
    address: str | None = None,
    listener: Listener = lambda _event: None,
    recorded: Listener = lambda _event: None,
    steal_lock: bool = False,
    insecure: bool = False,
    wait: bool = False,
) -> Outcome:
    """Go on with a run that was interrupted or killed, from what its journal holds.

    Finished trials stay as they are, the others go on from their last whole checkpoint. A run
    whose trials have all ended is left as it is, to the byte.

    Args:
        path: the run directory, or its URI.
        experiment: the recorded one, but with more trials or more epochs.
        address: as in `launch`.
        listener: hears every new event of the journal, after it is on disk.
        recorded: hears those that the journal had, before; none where the run is over.
        steal_lock: also where a process on another host holds the run which cannot be asked.
        insecure: as in `launch`.
        wait: as in `launch`.

    Raises:
        ConfigError: the trials so far would be others in a larger experiment, a variable of
            `env_passthrough` is not set, or the run is an imported one.
        NameTakenError: a process still runs it.
        ResultsError: there is no run, its journal is damaged, or it cannot be written.
        ClusterError: as in `launch`.
    """
    path = fetch_run(str(path)) if is_uri(str(path)) else Path(path)
    begun = recorded_experiment(path / JOURNAL)
    if begun:
        require_launched(begun["experiment"], path)
    if experiment and begun:
        before = Experiment.model_validate_json(to_json(begun["experiment"]))
        experiment = experiment if is_extension(before, experiment) else None
    if experiment is None and (done := _finished(path)) is not None:
        _bring_bucket_up(path, begun)
        return done
    if begun:
        require_variables(begun["experiment"].get("env_passthrough", ()))
    with noted_signals() as signals, RunDirectory.reopen(path, steal_lock=steal_lock) as run:
        take_stop_request(run.path)  # one that came too late for the process before
        recorder = recorder_of(run, listener, recorded)
        if experiment:
            extend(recorder, experiment)
        run.begin_copying(recorder.experiment.journal_sync_seconds)
        return _run(recorder, address, signals, insecure=insecure, wait=wait)


def _bring_bucket_up(path: Path, begun: ExperimentEvent | None) -> None:
    """Bring the bucket up to a run that is over, where the last copy had failed."""
    if begun and is_bucket_behind(path):
        with RunDirectory.reopen(path) as run:
            run.begin_copying(begun["experiment"]["journal_sync_seconds"])


def _finished(path: Path) -> Outcome | None:
    """How a run ended that is over, tables and all; None for any other."""
    journal, status = path / JOURNAL, read_status(path)
    if status is None or status.state != "finished" or not journal.is_file():
        return None
    if status.journal_bytes != journal.stat().st_size:
        return None  # killed between the last event and the tables
    (last,) = deque(read_events(journal), maxlen=1) or (None,)
    if last is None or last["event"] != "finish":
        return None
    return Outcome(path.absolute(), "finished", last["exit_code"])


def _run(
    recorder: Recorder, address: str | None, signals: NotedSignals, *, insecure: bool, wait: bool
) -> Outcome:
    """Run what has not ended yet, and leave the run published, however it ends."""
    try:
        if not recorder.is_finished:
            passed = recorder.experiment.env_passthrough
            with connected(address, passed, insecure=insecure) as cluster:
                signals.install()  # Ray has just put in its own
                for silent in require_shared(recorder.run.location):
                    recorder.write_anomaly(f"a node may not share the storage: {silent}")
                with HeadWatch(cluster.head, partial(_abandon, recorder, cluster.head)) as head:
                    run_trials(recorder, cluster, signals, head, wait=wait)
    except Interrupted as interrupted:
        finish = _finish("interrupted", interrupted.exit_code, str(interrupted))
    except ClusterLostError as error:
        finish = _finish("interrupted", error.exit_code, str(error))
        _close(recorder, finish)
        raise
    except (ClusterError, StorageNotSharedError):
        raise
    except BaseException as error:
        _close_after(error, recorder)
        raise
    else:
        finish = _finish("finished", 0 if _is_any_usable(recorder) else 3)
    _close(recorder, finish)
    return Outcome(recorder.run.path, finish["state"], finish["exit_code"])


def _abandon(recorder: Recorder, head: str) -> None:
    """Leave the run in order, and end the process: it waits in Ray for a head that is gone."""
    error = head_lost(recorder.run.path, head)
    with suppress(ResultsError):
        _close(recorder, _finish("interrupted", error.exit_code, str(error)))
    sys.stderr.write(f"error: {error}\n")
    sys.stderr.flush()
    os._exit(error.exit_code)


def prepare(
    experiment: Experiment,
    plan: list[PlannedTrial],
    run: RunDirectory,
    listener: Listener,
) -> Recorder:
    """Journal what will be run, before anything runs; the recorder then knows every trial."""
    recorder = Recorder(experiment, run, experiment.decision_maker(), listener=listener)
    recorder.write(experiment_event(experiment, plan))
    run.write_file("experiment.yaml", experiment.to_yaml())
    run.write_status("running")
    recorder.add_plan(plan)
    return recorder


def _is_any_usable(recorder: Recorder) -> bool:
    return any(state.status in ("completed", "stopped_early") for state in recorder.trials.values())


def _finish(state: FinishState, exit_code: int, error: str | None = None) -> FinishEvent:
    return {
        "event": "finish",
        "state": state,
        "exit_code": exit_code,
        "error": error,
        "time": time.time(),
    }


def _close_after(error: BaseException, recorder: Recorder) -> None:
    """Leave the run as it can be left; what goes wrong here must not hide the error itself."""
    state: FinishState = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
    exit_code = 130 if state == "interrupted" else getattr(error, "exit_code", 1)
    finish = _finish(state, exit_code, f"{type(error).__name__}: {error}")
    with suppress(ResultsError):
        _close(recorder, finish)
        return
    with suppress(ResultsError):
        recorder.run.write_status(state, exit_code=exit_code, error=finish["error"])


def _close(recorder: Recorder, finish: FinishEvent) -> None:
    take_stop_request(recorder.run.path)  # ours as well, and one that came while all ended
    recorder.write(finish)
    recorder.publish()
    recorder.run.clear_away_strays()
    sweep_kept_checkpoints()  # of workers on this node that were killed
    recorder.run.write_status(finish["state"], exit_code=finish["exit_code"], error=finish["error"])
    recorder.run.finish_copying()
