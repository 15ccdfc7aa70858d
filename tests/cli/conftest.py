"""An experiment file, and a run of it made without Ray: real trials, a real folder."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from raytune_pipe.cli import main
from raytune_pipe.experiment import PlannedTrial
from raytune_pipe.experiment_file import load_experiment
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.training.trainer import Trainer
from raytune_pipe.tuning.assignment import Answer
from raytune_pipe.tuning.recorder import Recorder
from raytune_pipe.tuning.runner import prepare

EXPERIMENT = """\
name: small
trial:
  dataset: {kind: digits}
  model: {kind: mlp, widths: [8]}
  loss: {kind: cross_entropy}
  optimizer: {kind: sgd, lr: 0.1}
  epochs: 2
search_space:
  optimizer.lr: {kind: log_uniform, low: 1e-4, high: 1.0}
  batch_size: {kind: choice, options: [64, 128, 256]}
trials: 24
storage: STORAGE
"""

Command = Callable[..., Result]


@pytest.fixture
def command() -> Command:
    """Runs the program as a user types it; stdout and stderr apart."""

    def run(*words: str | Path) -> Result:
        return CliRunner().invoke(main, [str(word) for word in words], prog_name="raytune-pipe")

    return run


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment file; its storage lies beside it."""
    folder = tmp_path_factory.mktemp("experiment")
    path = folder / "small.yaml"
    path.write_text(EXPERIMENT.replace("STORAGE", str(folder / "results")))
    return path


@pytest.fixture(scope="session")
def run(file: Path) -> Path:
    """The folder of a finished run of the experiment file."""
    experiment = load_experiment(file)
    plan = experiment.plan()
    with RunDirectory.claim(Path(experiment.storage), experiment.name) as folder:
        recorder = prepare(experiment, plan, folder, lambda _event: None)
        for planned in plan:
            _train(planned, recorder)
        folder.publish()
    return folder.path


def _train(planned: PlannedTrial, recorder: Recorder) -> None:
    recorder.on_start(planned.trial_id)
    trainer = Trainer(planned.trial)
    while not trainer.done:
        report = trainer.train_epoch()
        number = int(report.epoch)
        path = f"checkpoints/{planned.trial_id}/{number}.pt"
        target = recorder.run.path / path
        sha256 = trainer.save(target)
        answer = Answer(
            number=number,
            epoch=report.epoch,
            step=report.step,
            metrics=report.metrics,
            values_in_force=report.values_in_force,
            verdict=report.verdict,
            checkpoint={"path": path, "sha256": sha256, "bytes": target.stat().st_size},
        )
        recorder.on_answer(planned.trial_id, answer)
