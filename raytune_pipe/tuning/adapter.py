"""Ray Tune on one side, the recorder on the other: decisions become what Ray calls for.

Three small objects that Ray calls back: one hands out the planned trials, one turns reports into
decisions, one hears of starts and of the loop's steps. Ray holds no checkpoint, knows no metric and
stops nothing by itself.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.execution.placement_groups import PlacementGroupFactory
from ray.tune.experiment import Experiment as RayExperiment
from ray.tune.experiment import Trial as RayTrial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search.search_algorithm import SearchAlgorithm

from raytune_pipe.scheduling.decisions import Decision, TrialId
from raytune_pipe.tuning.assignment import Answer, Failure
from raytune_pipe.tuning.progress import TrialProgress
from raytune_pipe.tuning.recorder import Recorder
from raytune_pipe.tuning.trainable import ANSWER, ASSIGNMENT


class Slots:
    """How many trials may hold a worker at once, and which do."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.taken: set[TrialId] = set()

    @property
    def is_free(self) -> bool:
        """Whether another trial may start."""
        return len(self.taken) < self.count


class FirstError:
    """The first exception in a call-back. Ray turns all of them into text of its own."""

    def __init__(self) -> None:
        self._error: Exception | None = None

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note an exception on its way to Ray."""
        try:
            yield
        except Exception as error:
            self._error = self._error or error
            raise

    @contextmanager
    def raised_in_place_of_rays(self) -> Iterator[None]:
        """Raise what was noted instead of what Ray made of it."""
        try:
            yield
        except Exception:
            if self._error is not None:
                raise self._error from None
            raise


class PlannedTrials(SearchAlgorithm):  # type: ignore[misc]  # Ray is not typed
    """Hands Ray the planned trials under their own ids, no more at a time than there are slots."""

    def __init__(self, recorder: Recorder, slots: Slots, resources: dict[str, float]) -> None:
        super().__init__()
        self._recorder = recorder
        self._slots = slots
        self._resources = resources
        self._waiting = deque(_in_order(recorder.trials))
        self._experiment: RayExperiment | None = None

    @property
    def total_samples(self) -> int:
        """The number of planned trials."""
        return len(self._recorder.trials)

    def add_configurations(self, experiments: list[RayExperiment]) -> None:
        """Take what Ray needs to build a trial: the registered trainable and its scratch folder."""
        self._experiment = experiments[0]

    def next_trial(self) -> RayTrial | None:
        """The next planned trial, or nothing while all slots are taken.

        One that waits at a barrier, where a run is gone on with, takes none: it comes paused.
        """
        if not self._waiting or self._experiment is None:
            return None
        is_held = self._recorder.trials[self._waiting[0]].waiting
        if not is_held and not self._slots.is_free:
            return None
        trial = self._ray_trial(self._waiting.popleft(), self._experiment)
        if is_held:
            trial.set_status(RayTrial.PAUSED)
        else:
            self._slots.taken.add(trial.trial_id)
        return trial

    def _ray_trial(self, trial_id: TrialId, experiment: RayExperiment) -> RayTrial:
        return RayTrial(
            experiment.run_identifier,
            trial_id=trial_id,
            config={ASSIGNMENT: self._recorder.assign(trial_id).to_text()},
            storage=experiment.storage,
            placement_group_factory=PlacementGroupFactory([self._resources]),
            trial_dirname_creator=lambda trial: trial.trial_id,
        )

    def hand_out_again(self, trial_id: TrialId) -> None:
        """Have a trial started anew, as Ray gives up one whose worker died before it ran."""
        self._waiting.appendleft(trial_id)

    def is_finished(self) -> bool:
        """Whether all trials have *ended*: Ray drops its idle workers as soon as this holds."""
        return self._recorder.is_finished


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

    def on_trial_add(self, tune_controller: Any, trial: RayTrial) -> None:
        """Remember the trial; before the first one, have Ray keep a worker per slot alive.

        Ray keeps at most one idle worker where no trial is queued, so at a barrier it kills all the
        others, a second each. `_actor_cache.increase_max` is its own way to ask for more.
        """
        if not self._by_id:
            cache = tune_controller._actor_cache
            cache.increase_max(trial.placement_group_factory, by=self._slots.count)
        self._by_id[trial.trial_id] = trial

    def on_trial_result(self, tune_controller: Any, trial: RayTrial, result: dict[str, Any]) -> str:
        """Journal one epoch and do what was decided."""
        with self._errors.noted():
            answer = Answer.from_text(result[ANSWER])
            decisions = self._recorder.on_answer(trial.trial_id, answer)
            return self._apply(tune_controller, decisions, reporting=trial)

    def on_trial_error(self, tune_controller: Any, trial: RayTrial) -> None:
        """Journal that the worker died or raised, and do what that brings about.

        The trial itself is Ray's to end, worker and all: stopped here, it would leave a worker
        that may be spoiled to the next one.
        """
        self._slots.taken.discard(trial.trial_id)
        text = Path(trial.error_file).read_text() if trial.error_file else ""
        with self._errors.noted():
            if _has_died(text) and self._recorder.may_start_again(trial.trial_id):
                self._planned.hand_out_again(trial.trial_id)
                return
            decisions = self._recorder.on_failure(trial.trial_id, _worker_failure(text))
            others = [each for each in decisions if each.trial != trial.trial_id]
            self._apply(tune_controller, others, reporting=None)

    def on_trial_complete(self, tune_controller: Any, trial: RayTrial, result: Any) -> None:
        """Free the slot; the end itself is journaled already."""
        self._slots.taken.discard(trial.trial_id)

    def on_trial_remove(self, tune_controller: Any, trial: RayTrial) -> None:
        """Free the slot; the end itself is journaled already."""
        self._slots.taken.discard(trial.trial_id)

    def choose_trial_to_run(self, tune_controller: Any) -> RayTrial | None:
        """The trial released longest ago. Pending ones Ray starts by itself."""
        while self._released and self._released[0].status != RayTrial.PAUSED:
            self._released.popleft()
        if not self._released or not self._slots.is_free:
            return None
        trial = self._released.popleft()
        self._slots.taken.add(trial.trial_id)
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
        # Paused, its worker serves another trial. It comes back with an assignment of its own.
        tune_controller.pause_trial(trial, should_checkpoint=False)
        self._slots.taken.discard(trial.trial_id)
        if decision.action == "exploit":
            self._released.append(trial)
        return str(TrialScheduler.NOOP)


class Loop(Callback):  # type: ignore[misc]  # Ray is not typed
    """Hears of starts and of every turn of Ray's loop."""

    def __init__(self, recorder: Recorder, on_turn: Callable[[], None], errors: FirstError) -> None:
        self._recorder = recorder
        self._on_turn = on_turn
        self._errors = errors

    def on_trial_start(
        self, iteration: int, trials: list[RayTrial], trial: RayTrial, **info: Any
    ) -> None:
        """Journal that a trial begins."""
        with self._errors.noted():
            self._recorder.on_start(trial.trial_id)

    def on_step_begin(self, iteration: int, trials: list[RayTrial], **info: Any) -> None:
        """Let the runner publish, or end the run by raising."""
        self._on_turn()


def _in_order(trials: Mapping[TrialId, TrialProgress]) -> list[TrialId]:
    """Those that have not ended: the ones held at a barrier first, then the ones begun."""
    going = [trial for trial, progress in trials.items() if not progress.has_ended]
    return sorted(
        going, key=lambda trial: (not trials[trial].waiting, trials[trial].status is None)
    )


def _has_died(text: str) -> bool:
    return "ActorDiedError" in text or "actor died" in text.lower()


def _worker_failure(text: str) -> Failure:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last_line = lines[-1] if lines else "the worker failed"
    reason = "the worker process died" if _has_died(text) else last_line
    status = "out_of_memory" if "OutOfMemory" in text else "failed"
    return Failure(status, reason, text)  # type: ignore[arg-type]  # both are statuses
