"""A population's run made without Ray: real trainers, real decisions, a real folder."""

from pathlib import Path

from raytune_pipe.base import to_json
from raytune_pipe.experiment import Experiment
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.scheduling.decisions import Decision
from raytune_pipe.training.trainer import Trainer
from raytune_pipe.trial import Trial
from raytune_pipe.tuning.assignment import Answer
from raytune_pipe.tuning.recorder import Recorder
from raytune_pipe.tuning.runner import prepare


def run_population(experiment: Experiment) -> Path:
    """Train all members an epoch at a time, copies as decided; the run's folder."""
    plan = experiment.plan()
    with RunDirectory.claim(Path(experiment.storage), experiment.name) as folder:
        recorder = prepare(experiment, plan, folder, lambda _event: None)
        trainers = {planned.trial_id: _started(recorder, planned.trial_id) for planned in plan}
        for number in range(1, experiment.trial.epochs + 1):
            decisions: list[Decision] = []
            for trial_id, trainer in trainers.items():
                decisions += recorder.on_answer(
                    trial_id, _answer(recorder, trial_id, trainer, number)
                )
            for decision in decisions:
                if decision.action == "exploit":
                    trainers[decision.trial] = _started(recorder, decision.trial)
        folder.publish()
    return folder.path


def _started(recorder: Recorder, trial_id: str) -> Trainer:
    """A trainer as a worker makes it: from the assignment, on the donor's weights if any."""
    recorder.on_start(trial_id)
    assignment = recorder.assign(trial_id)
    trainer = Trainer(Trial.model_validate_json(to_json(assignment.trial)))
    if assignment.start_from:
        trainer.load(recorder.run.path / assignment.start_from.path)
    return trainer


def _answer(recorder: Recorder, trial_id: str, trainer: Trainer, number: int) -> Answer:
    report = trainer.train_epoch()
    path = f"checkpoints/{trial_id}/{number}.pt"
    target = recorder.run.path / path
    sha256 = trainer.save(target)
    return Answer(
        number=number,
        epoch=report.epoch,
        step=report.step,
        metrics=report.metrics,
        values_in_force=report.values_in_force,
        verdict=report.verdict,
        checkpoint={"path": path, "sha256": sha256, "bytes": target.stat().st_size},
    )
