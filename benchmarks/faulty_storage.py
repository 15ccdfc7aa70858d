"""A run whose storage fails under it, gone on with once the cause is gone.

No Ray and no training (see `simulated_run`): what is looked at is the writer of the run. Each case
breaks the storage of a run in its middle, by real means, and tells what did not hold: an error of
exit code 5 that names the path, the sizes and the way on; no file that is damaged or half written;
and after the cause is gone the run comes to what it comes to undisturbed, with every report once.

Mounts small disks, so run it in a namespace of its own: ``unshare -rm python -m
benchmarks.faulty_storage FOLDER CASE...``
"""

import json
import os
import re
import shutil
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow.parquet as pq

from raytune_pipe.base import RaytunePipeError, ResultsError
from raytune_pipe.experiment import Experiment
from raytune_pipe.results.events import CheckpointReference, Event, FinishEvent
from raytune_pipe.results.files import leftovers, write_atomically, write_errors
from raytune_pipe.results.journal import JOURNAL, read_events
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.results.verifying import verify_run
from raytune_pipe.tuning.assignment import Answer, Assignment, Failure
from raytune_pipe.tuning.recorder import Recorder
from raytune_pipe.tuning.resuming import recorder_of
from raytune_pipe.tuning.runner import prepare

from benchmarks.decided import decided, differing
from benchmarks.simulated_run import Worker, experiment_of, run_to_end

BREAKS_AFTER = 14
"""Answers, of some 40, after which a case breaks the storage."""
GROWN_MB = 200
OTHER_CASES = ("EROFS", "EACCES", "EIO", "EIO at a flush", "moved away", "deleted")
TRIGGER = "EIO_TRIGGER"
"""Names the file whose presence makes `eio.c` fail what is written beneath its folder."""


@dataclass
class Outcome:
    """What a case came to."""

    case: str
    message: str = ""
    acknowledged: int = 0
    """Reports that were on disk when the storage failed, as their writer was told."""
    lost: int = 0
    duplicated: int = 0
    wrong: list[str] = field(default_factory=list)


class SavingWorker(Worker):
    """Writes checkpoints of a given size, as the trainer writes its own."""

    checkpoint_bytes = 0

    def __init__(self, assignment: Assignment) -> None:
        super().__init__(replace(assignment, start_from=None))
        self._start_from = assignment.start_from

    def answer(self) -> Answer:
        try:
            if self._start_from:
                path = Path(self.assignment.directory) / self._start_from.path
                self.way, self._start_from = json.loads(path.read_text()), None
            return super().answer()
        except FileNotFoundError as error:
            return Answer(failure=Failure("checkpoint_lost", str(error), traceback.format_exc()))
        except ResultsError as error:
            return Answer(failure=Failure("storage", str(error), traceback.format_exc()))

    def save(self) -> CheckpointReference:
        assignment = self.assignment
        attempt = f"-{assignment.attempt}" if assignment.attempt else ""
        relative = f"checkpoints/{assignment.trial_id}/{self.reports}{attempt}.pt"
        run = Path(assignment.directory)
        path = run / relative
        with write_errors(path, run):
            path.parent.mkdir(exist_ok=True)
        data = json.dumps(self.way).encode().ljust(self.checkpoint_bytes)
        digest = write_atomically(path, lambda file: file.write(data), run)
        return {"path": relative, "sha256": digest, "bytes": len(data)}


def experiment() -> Experiment:
    """Members that wait for each other, so that they come to the same in any order."""
    pbt = {"kind": "pbt", "interval_epochs": 2, "quantile": 0.25}
    return experiment_of(pbt, trials=6, epochs=8)


def drive(
    recorder: Recorder,
    turn: Callable[[int], None] = lambda _answers: None,
    publish_every: int = 3,
) -> None:
    """Run to the end, and leave the run as the runner leaves it, also after an error."""
    answers = 0

    def each_turn() -> None:
        nonlocal answers
        answers += 1
        turn(answers)
        if answers % publish_every == 0:
            recorder.publish()

    try:
        run_to_end(recorder, SavingWorker, each_turn)
        _close(recorder, "finished", 0)
    except RaytunePipeError as error:
        with suppress(ResultsError):
            _close(recorder, "failed", error.exit_code)
        raise


def _close(recorder: Recorder, state: Any, exit_code: int) -> None:
    finish: FinishEvent = {
        "event": "finish",
        "state": state,
        "exit_code": exit_code,
        "error": None,
        "time": 1.0,
    }
    recorder.write(finish)
    recorder.publish()
    recorder.run.write_status(state, exit_code=exit_code)


def undisturbed(folder: Path) -> list[Event]:
    """The events of the run when nothing fails."""
    with RunDirectory.claim(folder, "undisturbed", new=True) as run, patch("os.fsync"):
        drive(prepare(experiment(), experiment().plan(), run, lambda _event: None))
    return list(read_events(run.path / JOURNAL))


@dataclass
class Broken:
    """A run whose storage failed."""

    run: Path
    outcome: Outcome
    told: list[Event] = field(default_factory=list)

    def launch(self, turn: Callable[[int], None], publish_every: int = 3) -> bool:
        """Run until the storage fails; whether it did, and was told as it must be."""

        def hear(event: Event) -> None:
            self.told.append(event)

        try:
            with RunDirectory.claim(self.run.parent, "run") as run:
                drive(prepare(experiment(), experiment().plan(), run, hear), turn, publish_every)
        except ResultsError as error:
            self._look_at(error)
            return True
        except Exception:
            self.outcome.wrong.append(f"an error of our own: {traceback.format_exc()}")
            return False
        self.outcome.wrong.append("the storage did not fail")
        return False

    def _look_at(self, error: ResultsError) -> None:
        told = self.outcome.message = str(error)
        self.outcome.acknowledged = sum(event["event"] == "report" for event in self.told)
        parts = (str(self.run), r"bytes free", r"; .+, then go on", r"raytune-pipe resume \S*run")
        for part in parts:
            if not re.search(part, told):
                self.outcome.wrong.append(f"{part!r} is not in the message: {told}")
        if error.exit_code != 5:
            self.outcome.wrong.append(f"the exit code is {error.exit_code}")

    def look_at_files(self) -> None:
        """No file is damaged: the journal but for a torn tail, the tables whole."""
        for problem in verify_run(self.run).problems:
            if not problem.repairable:
                self.outcome.wrong.append(f"{problem.path} {problem.what}")
        for table in self.run.glob("*.parquet"):
            pq.read_table(table, page_checksum_verification=True)
        self.outcome.wrong += [f"{name} is left over" for name in leftovers(self.run)]

    def go_on(self, expected: list[Event]) -> None:
        """Go on to the end, and compare with the undisturbed run."""
        with RunDirectory.reopen(self.run) as run:
            drive(recorder_of(run, lambda _event: None))
        events = list(read_events(self.run / JOURNAL))
        found, outcome = reports_of(events), self.outcome
        outcome.lost = sum(
            (event["trial_id"], event["report"]) not in found
            for event in self.told
            if event["event"] == "report"
        )
        rows = pq.read_table(self.run / "reports.parquet").select(["trial_id", "report"])
        counts = Counter((row["trial_id"], row["report"]) for row in rows.to_pylist())
        outcome.duplicated = sum(counts.values()) - len(counts)
        if found != reports_of(expected) or set(counts) != set(found):
            outcome.wrong.append("the reports are not those of an undisturbed run")
        if differing(decided(events), decided(expected)):
            outcome.wrong.append("the decisions are not those of an undisturbed run")
        outcome.wrong += [event["what"] for event in events if event["event"] == "anomaly"]
        outcome.wrong += [f"{one.path} {one.what}" for one in verify_run(self.run).problems]


def reports_of(events: list[Event]) -> dict[tuple[str, int], Any]:
    """What each report came to; one that was made again came to the same."""
    return {
        (event["trial_id"], event["report"]): (event["epoch"], event["segment"], event["score"])
        for event in events
        if event["event"] == "report"
    }


def small_disk(folder: Path, size_mb: int) -> Outcome:
    """A disk that is full: of checkpoints, or of all else but some kilobytes.

    On every fourth nothing is published on the way, so that it is the journal that finds no room.
    """
    disk = folder / f"disk-{size_mb}"
    disk.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={size_mb}m", "none", str(disk))
    broken = Broken(disk / "run", Outcome(f"disk of {size_mb} MB"))
    by_checkpoints = size_mb % 2 == 1
    SavingWorker.checkpoint_bytes = size_mb * 2**20 // (6 + size_mb % 7) if by_checkpoints else 0
    expected = undisturbed(folder)

    def fill_up(answers: int) -> None:
        if answers == BREAKS_AFTER and not by_checkpoints:
            left = (size_mb if size_mb % 4 else 8) * 1024
            with suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
                while True:
                    filler.write(b"\1" * 4096)
            os.truncate(disk / "filler", (disk / "filler").stat().st_size - left)

    if broken.launch(fill_up, publish_every=3 if size_mb % 4 else 1_000_000):
        if " needed" not in broken.outcome.message:
            broken.outcome.wrong.append("what is needed is not told")
        broken.look_at_files()
        _mount("-o", f"remount,size={GROWN_MB}m", str(disk))
        broken.go_on(expected)
    SavingWorker.checkpoint_bytes = 0
    subprocess.run(["umount", str(disk)], check=True)
    return broken.outcome


def other(folder: Path, case: str) -> Outcome:
    """A storage that fails otherwise."""
    storage = folder / case.replace(" ", "-")
    storage.mkdir()
    broken = Broken(storage / "run", Outcome(case))
    run, away = broken.run, storage / "away"
    trigger = Path(os.environ.get(TRIGGER, storage / "none"))
    if case == "EROFS":
        _mount("-t", "tmpfs", "-o", "size=50m", "none", str(storage))

    def break_it(answers: int) -> None:
        if answers != BREAKS_AFTER:
            return
        if case == "EROFS":  # the journal is open, so only a part can be: as checkpoints elsewhere
            _mount("--bind", str(run / "checkpoints"), str(run / "checkpoints"))
            _mount("-o", "remount,bind,ro", str(run / "checkpoints"))
        elif case == "EACCES":
            run.chmod(0o500)
        elif case.startswith("EIO"):
            trigger.write_text("fsync" if "flush" in case else "write")
        elif case == "moved away":
            run.rename(away)
        else:
            shutil.rmtree(run)

    if not broken.launch(break_it):
        return broken.outcome
    if run.exists() and case in ("moved away", "deleted"):
        broken.outcome.wrong.append("the run has come up again")
    if case == "deleted":
        return broken.outcome
    if case == "EROFS":
        subprocess.run(["umount", str(run / "checkpoints")], check=True)
    elif case == "EACCES":
        run.chmod(0o700)
    elif case.startswith("EIO"):
        trigger.unlink()
    else:
        away.rename(run)
    broken.look_at_files()
    broken.go_on(undisturbed(folder))
    return broken.outcome


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def in_namespace(
    folder: Path, cases: list[str], *, without_override: bool = False, preload: Path | None = None
) -> list[Outcome]:
    """The outcomes of cases, from a process that may mount; empty where none may be made.

    ``without_override`` has root obey permissions; ``preload`` is `eio.c`, compiled.
    """
    command = [sys.executable, "-m", "benchmarks.faulty_storage", str(folder), *cases]
    if without_override and os.geteuid() == 0:
        bound = "--bounding-set=-dac_override,-dac_read_search"
        command = ["setpriv", bound, *command]
    elif not without_override:
        command = ["unshare", "-rm", *command]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    if preload:
        trigger = str(folder / "trigger")
        environment |= {"LD_PRELOAD": str(preload), TRIGGER: trigger}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr}")
    return [Outcome(**json.loads(line)) for line in done.stdout.splitlines()]


def can_mount() -> bool:
    """Whether this machine lets a process mount in a namespace of its own."""
    try:
        command = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


def compiled_eio(folder: Path) -> Path | None:
    """`eio.c` as a library; None where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    library, source = folder / "eio.so", Path(__file__).with_name("eio.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def outcomes(folder: Path, cases: list[str]) -> Iterator[Outcome]:
    """What each case comes to: a size in MB, or one of the others."""
    for case in cases:
        yield small_disk(folder, int(case)) if case.isdecimal() else other(folder, case)


if __name__ == "__main__":
    for outcome in outcomes(Path(sys.argv[1]), sys.argv[2:]):
        print(json.dumps(asdict(outcome)))
