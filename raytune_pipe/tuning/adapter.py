"""Ray Tune on one side, the recorder on the other: decisions become what Ray calls for.

Three small objects that Ray calls back: `PlannedTrials` hands out the trials, one here turns
reports into decisions, one hears of starts and of the loop's steps. Ray holds no checkpoint, knows
no metric and stops nothing by itself.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.tune import Callback
from ray.tune.experiment import Trial as RayTrial
from ray.tune.schedulers import TrialScheduler

from raytune_pipe.scheduling.decisions import Decision, TrialId
from raytune_pipe.tuning.assignment import Answer, Failure
from raytune_pipe.tuning.hangs import take_hang, timed_out
from raytune_pipe.tuning.planned_trials import PlannedTrials
from raytune_pipe.tuning.ray_errors import FirstError, MemoryKills, failure_of, killed_for_memory
from raytune_pipe.tuning.recorder import Recorder
from raytune_pipe.tuning.slots import Slots
from raytune_pipe.tuning.trainable import ANSWER, ASSIGNMENT

HANG_GRACE_S = 15.0
"""Seconds that a worker has to end itself once its trial is out of time."""


class Decider(TrialScheduler):  # type: ignore[misc]  # Ray is not typed
    """Answers Ray's reports with the recorder's decisions."""

    def __init__(
        self, recorder: Recorder, slots: Slots, planned: PlannedTrials, errors: FirstError
    ) -> None:
        super().__init__()
        self._recorder = recorder
        self._slots = slots
        self._planned = planned
        self._errors = errors
        self._released: deque[RayTrial] = deque()
        self._by_id: dict[TrialId, RayTrial] = {}
        self._processes: dict[TrialId, int] = {}
        self._silent: set[TrialId] = set()
        self._workers_kept = 0
        self._memory_kills = MemoryKills()

    def on_trial_add(self, tune_controller: Any, trial: RayTrial) -> None:
        """Remember the trial; have Ray keep a worker per slot alive.

        Ray keeps at most one idle worker where no trial is queued, so at a barrier it kills all the
        others, a second each. `_actor_cache.increase_max` is its own way to ask for more.
        """
        self._keep_workers(tune_controller, trial)
        self._by_id[trial.trial_id] = trial

    def _keep_workers(self, tune_controller: Any, trial: RayTrial) -> None:
        missing = self._slots.count - self._workers_kept
        if missing > 0:
            cache = tune_controller._actor_cache
            cache.increase_max(trial.placement_group_factory, by=missing)
            self._workers_kept += missing

    def on_trial_result(self, tune_controller: Any, trial: RayTrial, result: dict[str, Any]) -> str:
        """Journal one epoch and do what was decided."""
        with self._errors.noted():
            trial_id = trial.trial_id
            self._slots.hear_of(trial_id)
            self._processes[trial_id] = result["pid"]
            answer = Answer.from_text(result[ANSWER])
            decisions = self._recorder.on_answer(trial_id, answer)
            if not answer.is_leaving:
                return self._go_on(tune_controller, trial, decisions)
            with _worker_ends(tune_controller):
                return self._go_on_elsewhere(tune_controller, trial, decisions)

    def _go_on(self, tune_controller: Any, trial: RayTrial, decisions: list[Decision]) -> str:
        """Do what was decided on a report; give Ray's word for its trial."""
        word = self._apply(tune_controller, decisions, reporting=trial)
        progress = self._recorder.trials[trial.trial_id]
        if progress.start_due:  # it failed, and starts again
            self._released.append(trial)
            return self._pause(tune_controller, trial)
        if self._slots.closed and word == TrialScheduler.CONTINUE and progress.is_saved:
            return self._pause(tune_controller, trial)
        return word

    def _go_on_elsewhere(
        self, tune_controller: Any, trial: RayTrial, decisions: list[Decision]
    ) -> str:
        """The same where the worker's node will be taken away: no trial is to stay with it."""
        word = self._go_on(tune_controller, trial, decisions)
        if word == TrialScheduler.STOP:
            tune_controller.stop_trial(trial)
            return str(TrialScheduler.NOOP)
        if word == TrialScheduler.CONTINUE and self._recorder.trials[trial.trial_id].is_saved:
            self._released.append(trial)
            return self._pause(tune_controller, trial)
        return word

    def on_trial_error(self, tune_controller: Any, trial: RayTrial) -> None:
        """Journal that the worker died or raised, and do what that brings about.

        The trial itself is Ray's to end, worker and all: stopped here, it would leave a worker
        that may be spoiled to the next one.
        """
        trial_id = trial.trial_id
        self._slots.free(trial_id)
        self._processes.pop(trial_id, None)
        with self._errors.noted():
            decisions = self._recorder.on_failure(trial_id, self._failure(trial))
            if self._recorder.trials[trial_id].start_due:
                self._planned.hand_out_again(trial_id)
            others = [each for each in decisions if each.trial != trial_id]
            self._apply(tune_controller, others, reporting=None)

    def _failure(self, trial: RayTrial) -> Failure:
        """Why a worker died or raised."""
        text = ""
        if trial.error_file:
            text = Path(trial.error_file).read_text(errors="replace")
            Path(trial.error_file).unlink()  # Ray adds the next attempt's to it
        trial_id, timeout_s = trial.trial_id, self._recorder.experiment.trial_timeout_s
        if timeout_s is not None:
            attempt = self._recorder.trials[trial_id].attempt
            hang = take_hang(self._recorder.run.path, trial_id, attempt, timeout_s)
            if hang is None and trial_id in self._silent:
                hang = timed_out(timeout_s)
            if hang is not None:
                self._silent.discard(trial_id)
                return hang
        return failure_of(text, memory_was_short=self._memory_kills.are_new())

    def kill_silent(self) -> None:
        """Kill workers that made no report in time and have not even ended themselves."""
        timeout_s = self._recorder.experiment.trial_timeout_s
        if timeout_s is None:
            return
        for trial_id in self._slots.silent_for(timeout_s + HANG_GRACE_S):
            worker = self._by_id[trial_id].temporary_state.ray_actor
            if worker is not None:  # else it waits for one
                self._silent.add(trial_id)
                ray.kill(worker)
            self._slots.hear_of(trial_id)

    def on_loss(self, why: str) -> None:
        """Have those that held a worker start again: Ray Tune has ended, and all workers with it.

        Where Ray's memory monitor has killed workers, the largest of them was too large.
        """
        killed = killed_for_memory(why)
        too_large = self._trial_of(killed.process) if killed else None
        for trial_id in list(self._slots.taken):
            if self._recorder.trials[trial_id].start_due:
                continue  # it had not begun
            if killed and trial_id == too_large:
                reason = f"its worker ({killed.gib:g} GiB) was killed: its node ran low on memory"
                failure = Failure("out_of_memory", reason, why)
            else:
                failure = Failure("node_lost", "Ray Tune ended, and its worker with it", why)
            self._recorder.on_failure(trial_id, failure.shortened())

    def _trial_of(self, process: int) -> TrialId | None:
        """The trial that a worker process serves; it tells its number with its first report."""
        known = {self._processes[each]: each for each in self._slots.taken.keys() & self._processes}
        unknown = [each for each in self._slots.taken if each not in self._processes]
        return known.get(process) or (unknown[0] if len(unknown) == 1 else None)

    def on_trial_complete(self, tune_controller: Any, trial: RayTrial, result: Any) -> None:
        """Free the slot; the end itself is journaled already."""
        self._slots.free(trial.trial_id)

    def on_trial_remove(self, tune_controller: Any, trial: RayTrial) -> None:
        """Free the slot; the end itself is journaled already."""
        self._slots.free(trial.trial_id)

    def choose_trial_to_run(self, tune_controller: Any) -> RayTrial | None:
        """The trial released longest ago. Pending ones Ray starts by itself."""
        while self._released and self._released[0].status != RayTrial.PAUSED:
            self._released.popleft()
        if not self._released or not self._slots.is_free:
            return None
        trial = self._released.popleft()
        self._keep_workers(tune_controller, trial)
        self._processes.pop(trial.trial_id, None)
        self._slots.hear_of(trial.trial_id)
        trial.set_config({ASSIGNMENT: self._recorder.assign(trial.trial_id).to_text()})
        return trial

    def debug_string(self) -> str:
        """A line for Ray's own display, which is off."""
        return "raytune-pipe"

    def _apply(
        self, tune_controller: Any, decisions: list[Decision], reporting: RayTrial | None
    ) -> str:
        """Do what was decided; give Ray's word for the trial whose report this answers."""
        word: str = TrialScheduler.CONTINUE
        for decision in decisions:
            trial = self._by_id[decision.trial]
            if trial is reporting:
                word = self._apply_to_reporting(tune_controller, trial, decision)
            elif decision.action == "stop":
                tune_controller.stop_trial(trial)
            elif decision.action in ("go_on", "exploit"):
                self._released.append(trial)
        return word

    def _apply_to_reporting(self, tune_controller: Any, trial: RayTrial, decision: Decision) -> str:
        if decision.action == "stop":
            return str(TrialScheduler.STOP)
        if decision.action == "go_on":
            return str(TrialScheduler.CONTINUE)
        if decision.action == "exploit":
            self._released.append(trial)
        return self._pause(tune_controller, trial)

    def _pause(self, tune_controller: Any, trial: RayTrial) -> str:
        """Let its worker serve another trial. It comes back with an assignment of its own."""
        tune_controller.pause_trial(trial, should_checkpoint=False)
        self._slots.free(trial.trial_id)
        return str(TrialScheduler.NOOP)


@contextmanager
def _worker_ends(tune_controller: Any) -> Iterator[None]:
    """Have Ray end the worker that a trial gives away here, and not keep it for another one."""
    controller = tune_controller._tune_controller
    controller._reuse_actors = False
    try:
        yield
    finally:
        controller._reuse_actors = True


class Loop(Callback):  # type: ignore[misc]  # Ray is not typed
    """Hears of starts and of every turn of Ray's loop."""

    def __init__(
        self, recorder: Recorder, slots: Slots, errors: FirstError, on_turn: Callable[[], None]
    ) -> None:
        self._recorder = recorder
        self._slots = slots
        self._on_turn = on_turn
        self._errors = errors

    def on_trial_start(
        self, iteration: int, trials: list[RayTrial], trial: RayTrial, **info: Any
    ) -> None:
        """Journal that a trial begins."""
        with self._errors.noted():
            self._slots.hear_of(trial.trial_id)
            self._recorder.on_start(trial.trial_id)

    def on_step_begin(self, iteration: int, trials: list[RayTrial], **info: Any) -> None:
        """Let the runner publish, or end the run by raising."""
        with self._errors.noted():
            self._on_turn()
