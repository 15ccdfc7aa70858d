"""Which checkpoint files a run still needs."""

from collections.abc import Collection, Iterable
from itertools import islice

from raytune_pipe.results.events import Event


class TrialCheckpoints:
    """The checkpoint files of one trial, in the order in which they were reported."""

    def __init__(self) -> None:
        self._scores: dict[str, float] = {}
        self._best: str | None = None
        self.has_ended = False

    def __len__(self) -> int:
        return len(self._scores)

    def add(self, path: str, score: float) -> None:
        """Take the next one; one that is reported again is new."""
        known = self._scores.pop(path, None)
        self._scores[path] = score
        if path == self._best and known is not None:
            self._best = min(self._finite(), key=self._scores.__getitem__, default=None)
        elif score == score and (self._best is None or score < self._scores[self._best]):
            self._best = path

    def needed(self, count: int) -> set[str]:
        """The latest and the best; of a trial that goes on the newest besides, ``count`` in all."""
        kept = set(islice(reversed(self._scores), 1))
        if self._best is not None:
            kept.add(self._best)
        if not self.has_ended:
            for path in reversed(self._scores):
                if len(kept) >= count:
                    break
                kept.add(path)
        return kept

    def unneeded(self, count: int) -> list[str]:
        """All others, the oldest first."""
        if len(self._scores) <= (1 if self.has_ended else max(1, count)):
            return []
        needed = self.needed(count)
        return [path for path in self._scores if path not in needed]

    def forget(self, path: str) -> None:
        """Note that a file is gone, one that was not needed."""
        del self._scores[path]

    def _finite(self) -> Iterable[str]:
        return (path for path, score in self._scores.items() if score == score)


class CheckpointFold:
    """Takes the events of a run in order and knows its checkpoint files and who starts from them.

    A trial that goes on needs its best, its latest and the newest before, ``keep_checkpoints`` of
    the experiment in all; one that has ended needs its best and its latest. What is not needed now
    is never needed again, so it can be deleted at any time.

    A trial starts from a checkpoint (its donor's after an exploit) again and again if need be, so
    that file is in use until the trial has one of its own, or has ended for good.

    An event costs no more than a trial has files, and `unneeded` no more than can be deleted.
    """

    def __init__(self) -> None:
        self._count = 0
        self._trials: dict[str, TrialCheckpoints] = {}
        self._trial_of: dict[str, str] = {}
        """By path."""
        self._in_use: dict[str, str] = {}
        """What each trial starts from."""
        self._suspects: dict[str, None] = {}
        """Trials that may have files they do not need."""

    def add(self, event: Event) -> None:
        """Take the next event."""
        if event["event"] == "report" and event["checkpoint"]:
            trial_id, path = event["trial_id"], event["checkpoint"]["path"]
            self._trials.setdefault(trial_id, TrialCheckpoints()).add(path, event["score"])
            self._trial_of[path] = trial_id
            self._in_use.pop(trial_id, None)
            self._suspects[trial_id] = None
        elif event["event"] == "decision":
            for decision in event["decisions"]:
                if decision["checkpoint"]:
                    self._in_use[decision["trial"]] = decision["checkpoint"]["path"]
        elif event["event"] == "start":
            trial_id = event["trial_id"]
            self._trials.setdefault(trial_id, TrialCheckpoints()).has_ended = False
            if event["start_from"]:
                self._in_use[trial_id] = event["start_from"]
        elif event["event"] == "end" and event["status"] != "interrupted":
            self._in_use.pop(event["trial_id"], None)
            self._trials.setdefault(event["trial_id"], TrialCheckpoints()).has_ended = True
            self._suspects[event["trial_id"]] = None
        elif event["event"] == "experiment":
            # A run of a version without the field has kept the best and the latest alone.
            self._count = event["experiment"].get("keep_checkpoints", 0)

    @property
    def paths(self) -> Collection[str]:
        """All files that reports have named, but for those that are gone."""
        return self._trial_of.keys()

    def unneeded(self, keep: Collection[str] = ()) -> list[str]:
        """The files that can be deleted, those in use and those to ``keep`` excepted."""
        held = {*self._in_use.values(), *keep}
        found: list[str] = []
        for trial_id in list(self._suspects):
            paths = self._trials[trial_id].unneeded(self._count)
            if not paths:
                del self._suspects[trial_id]
            found += (path for path in paths if path not in held)
        return found

    def forget(self, path: str) -> None:
        """Note that a file is gone."""
        self._trials[self._trial_of.pop(path)].forget(path)
