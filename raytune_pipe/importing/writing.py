"""Write a run that another program made as a run directory of ours."""

import time
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from raytune_pipe.base import ConfigError, Value
from raytune_pipe.importing.imported_run import ImportedReport, ImportedRun, ImportedTrial
from raytune_pipe.results.column_types import column_types
from raytune_pipe.results.events import (
    SCHEMA_VERSION,
    Event,
    ExperimentEvent,
    ReportEvent,
    Status,
)
from raytune_pipe.results.run_directory import RunDirectory

UNENDED: tuple[Status, ...] = ("running", "interrupted")


def write_run(run: ImportedRun, storage: Path, name: str, *, new: bool = False) -> Path:
    """Write a run directory of ours; the folder of the run.

    Raises:
        ConfigError: the name is not fit for a folder, or there is no trial.
        NameTakenError: the name is taken.
        ResultsError: the storage cannot be written; nothing is left there.
    """
    if not run.trials:
        raise ConfigError(f"{run.source}: must have a trial at least, but has none")
    experiment = _experiment(run, name)
    events = list(_events(run))  # before anything is claimed
    with RunDirectory.claim(storage, name, new=new, launched=False) as directory:
        try:
            if new:
                experiment["experiment"]["name"] = directory.path.name
            directory.journal.append(experiment)
            directory.write_file("experiment.yaml", _to_yaml(experiment["experiment"]))
            directory.journal.append(*events)
            directory.publish()
            directory.write_status("finished", exit_code=0)
        except BaseException:
            directory.discard()
            raise
        return directory.path


def _experiment(run: ImportedRun, name: str) -> ExperimentEvent:
    mappings = run.space.to_mappings()
    for one in mappings:
        if one["distribution"].get("role") is None:
            one["distribution"].pop("role", None)
    space = {
        one["name"]: {**one["distribution"], **({"when": one["when"]} if "when" in one else {})}
        for one in mappings
    }
    return {
        "event": "experiment",
        "schema_version": SCHEMA_VERSION,
        "package_version": version("raytune-pipe"),
        "experiment": {
            "name": name,
            "imported_from": run.source,
            "notes": list(run.notes),
            "search_space": space,
            "objective": dict(run.objective),
            "scheduler": dict(run.scheduler),
            "trials": len(run.trials),
        },
        "space": run.space.to_mappings(),
        "columns": column_types(_known_values(run), run.space),
        "objective": dict(run.objective),
        "time": time.time(),
    }


def _known_values(run: ImportedRun) -> Iterator[Mapping[str, Value]]:
    for trial in run.trials:
        yield trial.leaves
        yield from (report.values for report in trial.reports)


def _events(run: ImportedRun) -> Iterator[Event]:
    for trial in run.trials:
        values = {one.name: trial.leaves.get(one.name) for one in run.space}
        leaves = dict(trial.leaves)
        yield {"event": "plan", "trial_id": trial.trial_id, "leaves": leaves, "values": values}
    for trial in run.trials:
        yield from _trial_events(trial)
    is_over = all(trial.status not in UNENDED for trial in run.trials)
    yield {
        "event": "finish",
        "state": "finished" if is_over else "interrupted",
        "exit_code": 0,
        "error": None,
        "time": _last_time(run.trials),
    }


def _trial_events(trial: ImportedTrial) -> Iterator[Event]:
    name, reports = trial.trial_id, trial.reports
    began = reports[0].time - reports[0].time_s if reports else 0.0
    yield {"event": "start", "trial_id": name, "attempt": 0, "start_from": None, "time": began}
    for before, report in zip((None, *reports), reports, strict=False):
        if report.before and before:
            decisions = [report.before]
            yield {
                "event": "decision",
                "trial_id": name,
                "report": before.number,
                "decisions": decisions,
            }
        yield _report_event(name, report)
    if trial.status not in UNENDED:
        yield {
            "event": "end",
            "trial_id": name,
            "status": trial.status,
            "reason": trial.reason,
            "error": trial.error,
            "time": _last_time([trial]),
        }


def _report_event(name: str, report: ImportedReport) -> ReportEvent:
    return {
        "event": "report",
        "trial_id": name,
        "report": report.number,
        "attempt": 0,
        "segment": report.segment,
        "epoch": report.epoch,
        "step": 0,
        "time_s": report.time_s,
        "score": report.score,
        "metrics": dict(report.metrics),
        "values": dict(report.values),
        "checkpoint": None,
        "verdict": None,
        "time": report.time,
    }


def _last_time(trials: Iterable[ImportedTrial]) -> float:
    return max((one.time for trial in trials for one in trial.reports), default=0.0)


def _to_yaml(experiment: Mapping[str, Any]) -> str:
    text = StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.dump(experiment, text)
    return text.getvalue()
