"""Which checkpoint files a run still needs."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from raytune_pipe.results.events import Event


class StoredCheckpoint(NamedTuple):
    """A checkpoint file and the report that named it."""

    trial_id: str
    score: float
    path: str
    """Relative to the run directory."""


def unneeded(checkpoints: Iterable[StoredCheckpoint], in_use: Collection[str]) -> list[str]:
    """The paths that nothing refers to: neither in use, nor the latest or best of their trial.

    ``checkpoints`` come in the order in which they were reported.
    """
    checkpoints = list(checkpoints)
    latest: dict[str, StoredCheckpoint] = {}
    best: dict[str, StoredCheckpoint] = {}
    for checkpoint in checkpoints:
        trial_id, score = checkpoint.trial_id, checkpoint.score
        latest[trial_id] = checkpoint
        diverged = score != score
        if not diverged and (trial_id not in best or score < best[trial_id].score):
            best[trial_id] = checkpoint
    kept = {checkpoint.path for checkpoint in (*latest.values(), *best.values())} | set(in_use)
    return [checkpoint.path for checkpoint in checkpoints if checkpoint.path not in kept]


class CheckpointFold:
    """Takes the events of a run in order and knows its checkpoint files and who starts from them.

    A trial starts from a checkpoint (its donor's after an exploit) again and again if need be, so
    that file is in use until the trial has one of its own, or has ended for good.
    """

    def __init__(self) -> None:
        self._stored: dict[str, StoredCheckpoint] = {}
        self._in_use: dict[str, str] = {}

    def add(self, event: Event) -> None:
        """Take the next event."""
        if event["event"] == "report" and event["checkpoint"]:
            trial_id, path = event["trial_id"], event["checkpoint"]["path"]
            self._stored.pop(path, None)
            self._stored[path] = StoredCheckpoint(trial_id, event["score"], path)
            self._in_use.pop(trial_id, None)
        elif event["event"] == "decision":
            for decision in event["decisions"]:
                if decision["checkpoint"]:
                    self._in_use[decision["trial"]] = decision["checkpoint"]["path"]
        elif event["event"] == "start" and event["start_from"]:
            self._in_use[event["trial_id"]] = event["start_from"]
        elif event["event"] == "end" and event["status"] != "interrupted":
            self._in_use.pop(event["trial_id"], None)

    def unneeded(self, keep: Collection[str] = ()) -> list[str]:
        """The files that can be deleted, those to ``keep`` excepted."""
        return unneeded(self._stored.values(), {*self._in_use.values(), *keep})

    def forget(self, path: str) -> None:
        """Note that a file is gone."""
        del self._stored[path]
