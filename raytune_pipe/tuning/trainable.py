"""The Ray actor that trains: one process serves many trials, one epoch a step."""

import os
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray import tune

from raytune_pipe.base import ResultsError, TrialError, to_json
from raytune_pipe.components.stoppers import DIVERGED
from raytune_pipe.results.checkpoint_files import checkpoint_files
from raytune_pipe.results.events import CheckpointReference, FailureKind
from raytune_pipe.results.files import digest_of
from raytune_pipe.scheduling.decisions import Checkpoint
from raytune_pipe.training.memory import is_out_of_memory
from raytune_pipe.trial import Trial
from raytune_pipe.tuning.assignment import Answer, Assignment, Failure
from raytune_pipe.tuning.hangs import ended_when_hung
from raytune_pipe.tuning.leaving_nodes import OwnNode

if TYPE_CHECKING:
    from raytune_pipe.training.trainer import EpochReport, Trainer
    from raytune_pipe.tuning.peers import Group

ASSIGNMENT = "assignment"
ANSWER = "answer"
CONNECTION_LOST = "a worker of the trial lost its connection to another one"
"""Reason of a failure."""


class CheckpointLost(TrialError):
    """The file to start from is not the one that was reported: no fault of the trial's."""


class TrialActor(tune.Trainable):  # type: ignore[misc]  # Ray is not typed
    """Trains the trial it is assigned, epoch by epoch, and never lets an exception out.

    A failure is an answer like any other: the process, its imports and its data serve the next
    trial. On a GPU it is raised instead, since a CUDA error can spoil the whole process; and so it
    is by one of several workers, since the others may wait for it.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Take the first assignment."""
        self._folder = Path.cwd()
        self._node = OwnNode(ray.get_runtime_context().get_node_id())
        self._group: Group | None = None
        self.reset_config(config)

    def reset(self, *args: Any, **named: Any) -> Any:
        """Serve another trial, in the folder of the process: the one before may have left it."""
        os.chdir(self._folder)  # Ray asks where it is first, which fails where that was deleted
        return super().reset(*args, **named)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take another assignment; nothing of the one before survives but the cached data."""
        assignment = Assignment.from_text(new_config[ASSIGNMENT])
        self._work = Work(assignment, is_leaving=self._is_any_node_leaving)
        self._news: str | None = new_config[ASSIGNMENT]
        """What the other workers have not heard of."""
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch."""
        if self._work.assignment.workers == 1:
            return {ANSWER: self._work.answer().to_text()}
        if self._group is None:
            from raytune_pipe.tuning.peers import Group  # which is built on what is here

            self._group = Group(self._work.assignment.workers, self._work.assignment.device)
        news, self._news = self._news, None
        return {ANSWER: self._group.train(self._work, news).to_text()}

    def _is_any_node_leaving(self) -> bool:
        """Whether this node or, by what its worker said last, another's will be taken away."""
        others = self._group is not None and self._group.is_any_leaving
        return others or self._node.is_leaving()

    def cleanup(self) -> None:
        """End the other workers, which otherwise end a little after this one."""
        if self._group is not None:
            self._group.end()


class Work:
    """One assignment being worked off, by one worker or as one of several.

    Ray is not needed here, so tests call it directly.
    """

    def __init__(
        self,
        assignment: Assignment,
        rank: int = 0,
        *,
        is_leaving: Callable[[], bool] = lambda: False,
    ) -> None:
        self.assignment = assignment
        self._rank = rank
        self._is_leaving = is_leaving
        self._files = checkpoint_files(assignment.directory)
        self._reports = assignment.reports
        self._trainer: Trainer | None = None
        self._saved_at = time.monotonic()

    def answer(self) -> Answer:
        """Train one epoch; say what came out, or why nothing did."""
        alone = self.assignment.workers == 1
        try:
            with ended_when_hung(self.assignment) if alone else nullcontext():
                return self._train()
        except (Exception, SystemExit) as error:
            failure = describe(error)
            if alone and failure.kind == "exception" and self.assignment.device != "cpu":
                raise
            return Answer(failure=failure)

    def _train(self) -> Answer:
        if self._trainer is None:
            self._trainer = self._build()
        report = self._trainer.train_epoch()
        self._reports += 1
        is_leaving = self._is_leaving()
        is_save_due = self._is_save_due(report, is_leaving)
        return Answer(
            number=self._reports,
            epoch=report.epoch,
            step=report.step,
            metrics=report.metrics,
            values_in_force=report.values_in_force,
            verdict=report.verdict,
            warnings=report.warnings,
            checkpoint=self._save(self._trainer) if is_save_due else None,
            is_leaving=is_leaving,
        )

    def _build(self) -> "Trainer":
        # Imported here because the driver imports this module too, and torch would cost it seconds.
        from raytune_pipe.training.memory import limit_gpu_memory
        from raytune_pipe.training.trainer import Trainer
        from raytune_pipe.training.world import World

        assignment = self.assignment
        if assignment.device != "cpu":
            limit_gpu_memory(assignment.gpu_memory_gib)
        trial = Trial.model_validate_json(to_json(assignment.trial))
        trainer = Trainer(
            trial,
            device=assignment.device,
            threads=assignment.threads,
            world=World(self._rank, assignment.workers),
        )
        if assignment.start_from:
            trainer.load(self._verified(assignment.start_from))
        return trainer

    def _verified(self, checkpoint: Checkpoint) -> Path:
        """The path of a checkpoint whose bytes are those that were reported."""
        path = self._files.path_to_read(checkpoint.path, checkpoint.sha256)
        digest = digest_of(path)
        if digest != checkpoint.sha256:
            raise CheckpointLost(
                f"{checkpoint.path}: must have the SHA-256 {checkpoint.sha256} that was reported, "
                f"but got {digest or 'no file'}; it was changed, damaged or deleted"
            )
        return path

    def _is_save_due(self, report: "EpochReport", is_leaving: bool) -> bool:
        if self._rank > 0 or report.verdict in DIVERGED:
            return False
        assignment = self.assignment
        waited_s = time.monotonic() - self._saved_at
        return (
            is_leaving
            or report.epoch in assignment.milestones
            or report.verdict is not None
            or (self._trainer is not None and self._trainer.done)
            or waited_s >= assignment.checkpoint_seconds
            or self._files.is_stop_requested()
        )

    def _save(self, trainer: "Trainer") -> CheckpointReference:
        # A worker of an earlier attempt may still be writing, as its driver was killed just now.
        attempt = f"-{self.assignment.attempt}" if self.assignment.attempt else ""
        name = f"checkpoints/{self.assignment.trial_id}/{self._reports}{attempt}.pt"
        path = self._files.path_to_write(name)
        digest = trainer.save(path)
        size = path.stat().st_size
        name = self._files.keep(name, digest)
        self._saved_at = time.monotonic()
        return {"path": name, "sha256": digest, "bytes": size}


def describe(error: BaseException) -> Failure:
    """The failure that an exception of a worker's means."""
    text = _traceback(error)
    if isinstance(error, ResultsError):
        return Failure("storage", str(error), text)
    if isinstance(error, CheckpointLost):
        return Failure("checkpoint_lost", str(error), "")
    if _is_connection_lost(error):
        return Failure("node_lost", CONNECTION_LOST, text).shortened()
    if isinstance(error, SystemExit):
        reason = f"the trial's code called sys.exit({error.code!r})"
    else:
        first = str(error).strip().partition("\n")[0]
        reason = f"{type(error).__name__}: {first}" if first else type(error).__name__
    kind: FailureKind = "out_of_memory" if is_out_of_memory(error) else "exception"
    return Failure(kind, reason, text).shortened()


def _is_connection_lost(error: BaseException) -> bool:
    """Whether torch says that another worker is gone. By name, as torch need not be loaded yet."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return "DistError" in names or "gloo/transport" in str(error)


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
