"""Giving the trials of a run to Ray Tune, until all have ended or the run is to end."""

import os
import shlex
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from raytune_pipe.base import ClusterLostError, ResultsError
from raytune_pipe.results.control import is_stop_requested, request_stop
from raytune_pipe.results.events import GrantEvent
from raytune_pipe.tuning.capacity import Capacity, nodes_alive
from raytune_pipe.tuning.cluster import Cluster
from raytune_pipe.tuning.gpu_probe import settle_gpus
from raytune_pipe.tuning.head_watch import HeadWatch
from raytune_pipe.tuning.recorder import Recorder
from raytune_pipe.tuning.signals import NotedSignals
from raytune_pipe.tuning.trial_request import TrialRequest

FIRST_PUBLISH_S = 5.0
"""Seconds from the first report to the first tables; the interval then grows with the run."""

DRAIN_S = 15.0
"""Seconds that trials have to end their epoch with a checkpoint once the run is to end.

Ray waits 5 s more for workers that do not end, and is then shut down: 30 s are enough for all."""

MOST_VAIN_LOOPS = 3
"""How often Ray Tune may end by itself, one time after the other, without any report between."""


def run_trials(
    recorder: Recorder,
    cluster: Cluster,
    signals: NotedSignals,
    head: HeadWatch,
    *,
    wait: bool = False,
) -> None:
    """Run what has not ended; where Ray Tune ends before that, go on with what is left.

    With ``wait``, trials wait for nodes that the cluster adds.

    Raises:
        ClusterError: no trial fits the nodes, and nobody is to wait.
        Interrupted: a signal, or a request to stop.
        ClusterLostError: Ray Tune ends again and again, or its cluster is gone.
        ResultsError: the run directory cannot be written.
    """
    from raytune_pipe.tuning.ray_errors import RayEnded

    resources, how = settle_gpus(recorder.experiment, wait=wait)
    request = cluster.request(resources, wait=wait)
    recorder.device, recorder.gpu_memory_gib = request.device, resources.gpu_memory_gib
    trials = recorder.experiment.trials
    most = min(trials, resources.max_concurrent or trials)
    capacity = Capacity(request, most=most, grows=wait, alive=nodes_alive)
    recorder.write(_grant(request, capacity.slots, how))
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(most)  # slots are what limits them
    publishing, in_vain = Publishing(recorder), 0
    with (
        tempfile.TemporaryDirectory(prefix="raytune-pipe-", ignore_cleanup_errors=True) as scratch,
        capacity,
    ):
        while not recorder.is_finished:
            before = recorder.reports
            try:
                _loop(recorder, request, capacity, scratch, signals, head, publishing)
            except RayEnded as ended:
                in_vain = in_vain + 1 if recorder.reports == before else 0
                _go_on_after(ended, recorder, in_vain)


def _loop(
    recorder: Recorder,
    request: TrialRequest,
    capacity: Capacity,
    scratch: str,
    signals: NotedSignals,
    head: HeadWatch,
    publishing: "Publishing",
) -> None:
    """One loop of Ray Tune's.

    Raises:
        RayEnded: it ended before all trials had; those that held a worker are to start again.
    """
    from ray import tune

    from raytune_pipe.tuning.adapter import Decider, Loop
    from raytune_pipe.tuning.planned_trials import PlannedTrials
    from raytune_pipe.tuning.ray_errors import FirstError, RayEnded
    from raytune_pipe.tuning.slots import Slots
    from raytune_pipe.tuning.trainable import TrialActor

    run = recorder.run.path
    slots, errors = Slots(capacity.slots), FirstError()
    head.is_driver_busy = lambda: errors.is_inside
    planned = PlannedTrials(recorder, slots, request)
    decider = Decider(recorder, slots, planned, errors)
    ending = Ending(recorder, signals, lambda: bool(slots.taken))

    def turn() -> None:
        if head.is_gone:
            head.noticed.set()
            raise head_lost(run, head.address)
        slots.closed, slots.count = ending.is_due(), capacity.slots
        decider.kill_silent()
        publishing.publish_if_due()

    try:
        with errors.told_from_rays():
            tune.run(
                TrialActor,
                name="scratch",
                storage_path=scratch,
                search_alg=planned,
                scheduler=decider,
                callbacks=[Loop(recorder, slots, errors, turn)],
                reuse_actors=True,
                raise_on_failed_trial=False,
                verbose=0,
            )
        if not recorder.is_finished:
            raise RayEnded("it returned before all trials had ended")
    except RayEnded as ended:
        decider.on_loss(str(ended))
        raise


def _go_on_after(ended: Exception, recorder: Recorder, in_vain: int) -> None:
    """Say in the journal that Ray Tune ended by itself; give up where that leads nowhere."""
    import ray

    try:
        ray.nodes()
    except Exception as error:
        raise _lost(recorder.run.path, str(ended)) from error
    if in_vain >= MOST_VAIN_LOOPS:
        raise _lost(recorder.run.path, f"it ended {in_vain} times without a report: {ended}")
    first_line = str(ended).partition("\n")[0]
    recorder.write_anomaly(f"Ray Tune ended by itself, and is started again: {first_line}")


def _grant(request: TrialRequest, slots: int, how: str) -> GrantEvent:
    return {
        "event": "grant",
        "bundles": [dict(bundle) for bundle in request.bundles],
        "strategy": request.strategy,
        "slots": slots,
        "how": how,
        "time": time.time(),
    }


def head_lost(run: Path, address: str) -> ClusterLostError:
    """The error where the head of the cluster is gone."""
    return _lost(run, f"its head at {address} does not answer")


def _lost(run: Path, why: str) -> ClusterLostError:
    return ClusterLostError(
        f"{run}: the Ray cluster must serve until all trials have ended, but {why}; when it is "
        f"back, go on: raytune-pipe resume {shlex.quote(str(run))}"
    )


@dataclass
class Ending:
    """The end of a run before its trials': they may end their epoch, with a checkpoint."""

    recorder: Recorder
    signals: NotedSignals
    is_any_training: Callable[[], bool]
    deadline: float | None = None

    def is_due(self) -> bool:
        """Whether no trial may start any more.

        Raises:
            Interrupted: nothing trains any more, or there is no more time to wait for it.
        """
        run = self.recorder.run.path
        if self.signals.first is None and is_stop_requested(run):
            self.signals.first = signal.SIGINT
        if self.signals.first is None:
            return False
        if self.deadline is None:
            self.deadline = time.monotonic() + DRAIN_S
            request_stop(run)  # tells the workers, wherever they are, to save what they have
            self.recorder.publish()  # others may end us before the workers are done
        if not self.is_any_training() or time.monotonic() > self.deadline:
            self.signals.raise_if_any()
        return True


@dataclass
class Publishing:
    """Publishes the tables at growing intervals, so that it never costs more than a twentieth."""

    recorder: Recorder
    began: float = field(default_factory=time.monotonic)
    due: float = field(default_factory=lambda: time.monotonic() + FIRST_PUBLISH_S)

    def publish_if_due(self) -> None:
        """Publish where it is time."""
        started = time.monotonic()
        if started >= self.due:
            self.publish()
            took_s, age_s = time.monotonic() - started, started - self.began
            self.due = time.monotonic() + max(FIRST_PUBLISH_S, 20 * took_s, 0.1 * age_s)

    def publish(self) -> None:
        """Publish; a failure is told in the journal."""
        try:
            self.recorder.publish()
        except ResultsError as error:
            self.recorder.write_anomaly(f"the tables could not be published: {error}")
