"""The planned trials, handed to Ray Tune as it asks for them."""

from collections import deque
from collections.abc import Mapping

from ray.tune.execution.placement_groups import PlacementGroupFactory
from ray.tune.experiment import Experiment as RayExperiment
from ray.tune.experiment import Trial as RayTrial
from ray.tune.search.search_algorithm import SearchAlgorithm

from raytune_pipe.scheduling.decisions import TrialId
from raytune_pipe.tuning.progress import TrialProgress
from raytune_pipe.tuning.recorder import Recorder
from raytune_pipe.tuning.slots import Slots
from raytune_pipe.tuning.trainable import ASSIGNMENT
from raytune_pipe.tuning.trial_request import TrialRequest


class PlannedTrials(SearchAlgorithm):  # type: ignore[misc]  # Ray is not typed
    """Hands Ray the planned trials under their own ids, no more at a time than there are slots."""

    def __init__(self, recorder: Recorder, slots: Slots, request: TrialRequest) -> None:
        super().__init__()
        self._recorder = recorder
        self._slots = slots
        self._request = request
        self._waiting = deque(_in_order(recorder.trials))
        self._unended = list(reversed(self._waiting))
        """The last one had not ended when that was last asked; of those before nothing is said."""
        self._experiment: RayExperiment | None = None

    @property
    def total_samples(self) -> int:
        """The number of trials, also of those that are not drawn yet."""
        return self._recorder.experiment.trials

    def add_configurations(self, experiments: list[RayExperiment]) -> None:
        """Take what Ray needs to build a trial: the registered trainable and its scratch folder."""
        self._experiment = experiments[0]

    def next_trial(self) -> RayTrial | None:
        """The next planned trial, or nothing while all slots are taken.

        One that waits at a barrier, where a run is gone on with, takes none: it comes paused.
        """
        if self._experiment is None or self._slots.closed:
            return None
        if not self._waiting and not (self._slots.is_free and self._draw()):
            return None
        is_held = self._recorder.trials[self._waiting[0]].waiting
        if not is_held and not self._slots.is_free:
            return None
        trial = self._ray_trial(self._waiting.popleft(), self._experiment)
        if is_held:
            trial.set_status(RayTrial.PAUSED)
        else:
            self._slots.hear_of(trial.trial_id)
        return trial

    def _draw(self) -> bool:
        """Have another trial drawn from the results so far; False where all are planned."""
        trial_id = self._recorder.plan_next()
        if trial_id is not None:
            self._waiting.append(trial_id)
            self._unended.insert(0, trial_id)
        return trial_id is not None

    def _ray_trial(self, trial_id: TrialId, experiment: RayExperiment) -> RayTrial:
        return RayTrial(
            experiment.run_identifier,
            trial_id=trial_id,
            config={ASSIGNMENT: self._recorder.assign(trial_id).to_text()},
            storage=experiment.storage,
            placement_group_factory=PlacementGroupFactory(
                [dict(bundle) for bundle in self._request.bundles], strategy=self._request.strategy
            ),
            trial_dirname_creator=lambda trial: trial.trial_id,
        )

    def hand_out_again(self, trial_id: TrialId) -> None:
        """Have a trial started anew whose worker died: for Ray it has ended."""
        self._waiting.appendleft(trial_id)

    def is_finished(self) -> bool:
        """Whether all trials have *ended*: Ray drops its idle workers as soon as this holds.

        Ray asks twice a report, and what has ended stays so: going through 10,000 trials each time
        would cost as much as the report.
        """
        trials = self._recorder.trials
        while self._unended and trials[self._unended[-1]].has_ended:
            self._unended.pop()
        return not self._unended and self._recorder.are_all_planned


def _in_order(trials: Mapping[TrialId, TrialProgress]) -> list[TrialId]:
    """Those that have not ended: the ones held at a barrier first, then the ones begun."""
    going = [trial for trial, progress in trials.items() if not progress.has_ended]
    return sorted(
        going, key=lambda trial: (not trials[trial].waiting, trials[trial].status is None)
    )
