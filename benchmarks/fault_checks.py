"""What a run lost, doubled or got wrong: its tables against its journal as it was at each kill."""

import hashlib
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pyarrow.parquet as pq

from raytune_pipe import read_results
from raytune_pipe.base import RaytunePipeError
from raytune_pipe.results.events import Event, ReportEvent
from raytune_pipe.results.journal import JOURNAL, read_events
from raytune_pipe.results.lock_files import LOCK
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.search_space import SearchSpace
from raytune_pipe.tuning.resuming import recorder_of

Key = tuple[str, int]
"""A report: its trial and its number."""
TIMELESS = (
    *("segment", "epoch", "step", "val_loss", "val_accuracy", "train_loss", "grad_norm"),
    *("optimizer.lr", "optimizer.momentum"),
)
"""Columns of a report that must be equal in every run of an experiment."""


@dataclass
class Findings:
    """What was found in finished runs."""

    acknowledged: int = 0
    """Reports that were in the journal at a kill."""
    lost: int = 0
    duplicated: int = 0
    compared: int = 0
    """Reports compared with those of a run that nothing interrupted."""
    wrong: list[str] = field(default_factory=list)


def whole_lines(journal: Path) -> bytes:
    """The journal without its torn tail; nothing where there is none yet."""
    data = journal.read_bytes() if journal.exists() else b""
    return data[: data.rfind(b"\n") + 1]


def events_of(data: bytes) -> list[Event]:
    """The events of whole journal lines, unchecked."""
    return [json.loads(line.split(b" ", 2)[2]) for line in data.splitlines()]


def check(run: Path, at_kills: Sequence[bytes]) -> Findings:
    """Check a finished run against the whole lines of its journal at each kill."""
    found = Findings()
    journal = (run / JOURNAL).read_bytes()
    events = list(read_events(run / JOURNAL))
    reports = cast(list[ReportEvent], [e for e in events if e["event"] == "report"])
    rows = _rows(run)
    counts = Counter((row["trial_id"], row["report"]) for row in rows)
    acknowledged = {line for data in at_kills for line in data.splitlines()}
    kept = set(journal.splitlines())
    for line in acknowledged:
        (event,) = events_of(line)
        if event["event"] == "report":
            found.acknowledged += 1
            in_table = (event["trial_id"], event["report"]) in counts
            found.lost += line not in kept or not in_table
    found.duplicated = sum(count - 1 for count in counts.values())
    found.wrong += [
        "the journal of before a kill is changed" for x in at_kills if not journal.startswith(x)
    ]
    found.wrong += [*_differing_rows(rows, reports), *_gaps(counts), *_ends(events)]
    found.wrong += [*_outside(run, rows), *_checkpoints(run), *_left_over(run), *_anomalies(events)]
    found.wrong += [*_status(run, len(journal)), *_differences_of_a_replay(run)]
    return found


def training(run: Path) -> dict[Key, tuple[Any, ...]]:
    """What each report came to, but for what depends on the clock."""
    return {
        (row["trial_id"], row["report"]): tuple(row[name] for name in TIMELESS)
        for row in _rows(run)
    }


def differences(run: Path, undisturbed: Path, *, all_of_them: bool) -> tuple[int, list[str]]:
    """How many reports were compared with those of an undisturbed run; what is not equal."""
    found, expected = training(run), training(undisturbed)
    wrong = [
        f"report {key} is not that of an undisturbed run"
        for key, value in found.items()
        if repr(expected.get(key)) != repr(value)  # equal to the last bit, NaN among them
    ]
    if _plan(run) != _plan(undisturbed):
        wrong.append("other trials are planned than in an undisturbed run")
    if all_of_them:
        wrong += [f"report {key} is missing" for key in expected.keys() - found.keys()]
    return len(found), wrong


def _plan(run: Path) -> list[Event]:
    return [event for event in read_events(run / JOURNAL) if event["event"] == "plan"]


def _rows(run: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(run / "reports.parquet").to_pylist()
    return rows


def _differing_rows(rows: list[dict[str, Any]], reports: list[ReportEvent]) -> Iterable[str]:
    """Rows that are not the journal's report of the highest attempt."""
    highest: dict[Key, ReportEvent] = {}
    for event in reports:
        key = (event["trial_id"], event["report"])
        if key not in highest or event["attempt"] >= highest[key]["attempt"]:
            highest[key] = event
    for row in rows:
        event = highest[row["trial_id"], row["report"]]
        said: dict[str, object] = {
            name: event[name] for name in ("attempt", "segment", "epoch", "score")
        }
        said |= event["metrics"]
        said |= event["values"]
        if any(repr(row[name]) != repr(value) for name, value in said.items()):
            yield f"the row of {row['trial_id']}, {row['report']} is not what the journal says"


def _gaps(keys: Iterable[Key]) -> Iterable[str]:
    numbers: dict[str, set[int]] = {}
    for trial_id, number in keys:
        numbers.setdefault(trial_id, set()).add(number)
    for trial_id, found in numbers.items():
        if found != set(range(1, len(found) + 1)):
            yield f"the reports of trial {trial_id} have gaps"


def _ends(events: list[Event]) -> Iterable[str]:
    planned = [event["trial_id"] for event in events if event["event"] == "plan"]
    ends = Counter(event["trial_id"] for event in events if event["event"] == "end")
    yield from (f"trial {name} ended {ends[name]} times" for name in planned if ends[name] != 1)
    yield from (f"trial {name} was not planned" for name in ends.keys() - set(planned))


def _outside(run: Path, rows: list[dict[str, Any]]) -> Iterable[str]:
    space: SearchSpace = read_results(run).space
    for row in rows:
        for hyperparameter in space:
            if not hyperparameter.distribution.contains(row[hyperparameter.name]):
                yield f"{hyperparameter.name} of {row['trial_id']} is outside the search space"


def _checkpoints(run: Path) -> Iterable[str]:
    """Trials whose last checkpoint is not the file that was reported; files that none named."""
    for row in pq.read_table(run / "trials.parquet").to_pylist():
        path = row["checkpoint"] and run / row["checkpoint"]
        if path and hashlib.sha256(path.read_bytes()).hexdigest() != row["checkpoint_sha256"]:
            yield f"{path.name} of trial {row['trial_id']} is not what was reported"
    named = {row["checkpoint"] for row in _rows(run)}
    for path in (run / "checkpoints").glob("*/[!.]*"):
        if str(path.relative_to(run)) not in named:
            yield f"{path.parent.name}/{path.name} is a checkpoint that no report names"


def _left_over(run: Path) -> Iterable[str]:
    for path in run.rglob(".*"):
        if path.name.partition("-")[0] != LOCK:
            yield f"the temporary file {path.relative_to(run)} is left over"


def _anomalies(events: list[Event]) -> Iterable[str]:
    for event in events:
        if event["event"] == "anomaly":
            yield f"anomaly: {event['what']}"


def _status(run: Path, journal_bytes: int) -> Iterable[str]:
    state = json.loads((run / "status.json").read_text())["state"]
    if state != "finished":
        yield f"status.json says {state}"
    for name in ("trials", "reports", "lineage"):
        metadata = pq.read_schema(run / f"{name}.parquet").metadata
        if int(metadata[b"journal_bytes"]) != journal_bytes:
            yield f"{name}.parquet is not of the end of the journal"


def _differences_of_a_replay(run: Path) -> Iterable[str]:
    """Decisions that do not come out of the reports once more."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / run.name
        shutil.copytree(run, copy)
        before = (copy / JOURNAL).stat().st_size
        try:
            with RunDirectory.reopen(copy) as reopened:
                recorder_of(reopened, lambda _event: None)
        except RaytunePipeError as error:
            yield f"the journal cannot be replayed: {error}"
        added = events_of((copy / JOURNAL).read_bytes()[before:])
        yield from (f"replay: {event}" for event in added if event["event"] != "resume")
