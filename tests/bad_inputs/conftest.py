"""How the cases of bad_inputs.yaml are made: an experiment file, a run, and what is done to them.

A run here is a real folder with real events; only the training is left out, its scores are given.
"""

import math
import os
import shutil
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raytune_pipe.base import to_json, unit_draw
from raytune_pipe.experiment import Experiment, PlannedTrial
from raytune_pipe.experiment_file import load_experiment
from raytune_pipe.results.events import Event
from raytune_pipe.results.journal import Journal, read_events
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.tuning.runner import prepare

EXPERIMENT: dict[str, str | None] = {
    "name": "small",
    "trial.dataset": "{kind: digits}",
    "trial.model": "{kind: mlp, widths: [8]}",
    "trial.loss": "{kind: cross_entropy}",
    "trial.optimizer": "{kind: sgd, lr: 0.1}",
    "trial.epochs": "2",
    "search_space": "{optimizer.lr: {kind: log_uniform, low: 1e-4, high: 1.0}}",
    "trials": "4",
}
"""The lines of a valid experiment file, by their path; a case changes some of them."""


def experiment_text(change: Mapping[str, str | None]) -> str:
    """The file with these lines changed, or left out where they are None."""
    lines = {**EXPERIMENT, **change}
    inside = {path: text for path, text in lines.items() if path.startswith("trial.")}
    within = [f"  {path[6:]}: {text}" for path, text in inside.items() if text is not None]
    top = [
        f"{path}: {text}" for path, text in lines.items() if path not in inside and text is not None
    ]
    return "\n".join([*top, *([] if "trial" in change else ["trial:", *within])]) + "\n"


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any, Path], None]:
    """Makes what a case asks for in a folder, which is the current one."""
    runs: dict[str, Path] = {}

    def make_case(case: Any, folder: Path) -> None:
        file = folder / "bad.yaml"
        if case.text is not None:
            file.write_text(case.text, encoding="utf-8", newline="")
        elif case.bytes is not None:
            file.write_bytes(bytes.fromhex(case.bytes))
        else:
            file.write_text(experiment_text(case.change or {}), encoding="utf-8")
        if case.run is not None:
            key = to_json([case.run, case.change])
            if key not in runs:
                runs[key] = tmp_path_factory.mktemp("run")
                make_run(runs[key], case.run, case.change or {})
            shutil.copytree(runs[key] / "results", folder / "results")
        for verb, *arguments in case.made:
            STEPS[verb](*arguments)

    return make_case


def make_run(folder: Path, spec: Mapping[str, Any], change: Mapping[str, str | None]) -> None:
    """A finished run in results/small beneath the folder.

    Its trials' losses follow their first hyperparameter, or are the constant ``loss``; ``but``
    gives single trials a loss of their own, or a status.
    """
    file = folder / "experiment.yaml"
    text = experiment_text({**change, "trials": str(spec["trials"])})
    file.write_text(text + f"storage: {folder / 'results'}\n", encoding="utf-8")
    experiment = load_experiment(file, allow_imports=["nets"])
    plan = experiment.plan()
    with RunDirectory.claim(folder / "results", "small") as run:
        prepare(experiment, plan, run, lambda _event: None)
        for planned in plan[: spec.get("begun", len(plan))]:
            how = (spec.get("but") or {}).get(int(planned.trial_id), spec.get("loss"))
            run.journal.append(*trial_events(experiment, planned, how))
        if spec.get("finished", True):
            run.journal.append(
                {"event": "finish", "state": "finished", "exit_code": 0, "error": None, "time": 9.0}
            )
            run.rebuild()


def trial_events(
    experiment: Experiment, planned: PlannedTrial, how: float | str | None
) -> Iterator[Event]:
    trial_id = planned.trial_id
    yield {
        "event": "start",
        "trial_id": trial_id,
        "attempt": 0,
        "start_from": None,
        "time": 1.0,
    }
    if not isinstance(how, str):
        loss = loss_of(experiment, planned) if how is None else how
        yield {
            "event": "report",
            "trial_id": trial_id,
            "report": 1,
            "attempt": 0,
            "segment": 0,
            "epoch": 2.0,
            "step": 10,
            "time_s": 1.0,
            "score": loss if math.isfinite(loss) else math.nan,
            "metrics": {"val_loss": loss, "train_loss": loss, "val_accuracy": 0.5},
            "values": dict(planned.values),
            "checkpoint": None,
            "verdict": None,
            "time": 2.0,
        }
    yield {
        "event": "end",
        "trial_id": trial_id,
        "status": how if isinstance(how, str) else "completed",  # type: ignore[typeddict-item]  # any word
        "reason": "budget",
        "error": None,
        "time": 3.0,
    }


def loss_of(experiment: Experiment, planned: PlannedTrial) -> float:
    units = experiment.space().to_units(planned.values)
    noise = 0.01 * unit_draw("noise", planned.trial_id)
    return 0.1 + (next(iter(units.values()), 0.5) - 0.6) ** 2 + noise


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, encoding="utf-8", newline="")


def repeat(path: str, text: str, times: int, before: str = "") -> None:
    """A file of one text many times, with ``{}`` as its number."""
    write(path, before + "".join(text.replace("{}", str(number)) for number in range(times)))


def zeros(path: str, size: int) -> None:
    """A file of that many NULs, which takes no room on the disk."""
    with Path(path).open("wb") as file:
        file.truncate(size)


def cut(path: str, size: int) -> None:
    """Only the first bytes of a file, or all but the last ones where it is below 0."""
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[:size])


def flip(path: str, place: int) -> None:
    """Another byte in one place."""
    data = bytearray(Path(path).read_bytes())
    data[place] ^= 0x01
    Path(path).write_bytes(data)


def rewrite_journal(folder: str, changes: Mapping[str, Any], event: str = "experiment") -> None:
    """The journal with fields of one kind of event changed, its checksums in order."""
    path = Path(folder) / "journal.jsonl"
    events: list[Any] = list(read_events(path))
    path.unlink()
    with closing(Journal.create(path)) as journal:
        for one in events:
            changed: Any = {**one, **changes} if one["event"] == event else one
            journal.append(changed)


def newer(folder: str, *, tables: bool = False) -> None:
    """A run as a later version would write it: journal or tables of schema version 2."""
    if not tables:
        rewrite_journal(folder, {"schema_version": 2})
        return
    import pyarrow.parquet as pq

    for path in Path(folder).glob("*.parquet"):
        table = pq.read_table(path)
        metadata = {
            key: value.replace(b'"schema_version":1', b'"schema_version":2')
            for key, value in table.schema.metadata.items()
        }
        pq.write_table(table.replace_schema_metadata(metadata), path)


def foreign_tables(folder: str) -> None:
    """Parquet tables under our names that another program wrote."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    Path(folder).mkdir(parents=True)
    for name in ("trials", "reports", "lineage"):
        pq.write_table(pa.table({"x": [1, 2]}), Path(folder) / f"{name}.parquet")


def arrays(path: str, kind: str) -> None:
    """An .npz file of one shape or flaw."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 4)), np.arange(60) % 3
    found: dict[str, dict[str, Any]] = {
        "classes": {"x": x, "y": y},
        "numbers": {"x": x, "y": x[:, 0]},
        "other names": {"inputs": x, "labels": y},
        "unequal": {"x": x, "y": y[:50]},
        "not finite": {"x": np.where(x > 2, np.nan, x), "y": y},
        "text": {"x": x.astype(str), "y": y},
        "flat": {"x": x[:, 0], "y": y},
        "negative classes": {"x": x, "y": y - 1},
        "three": {"x": x[:3], "y": y[:3]},
        "deep targets": {"x": x, "y": x.reshape(60, 2, 2)},
        "empty": {"x": x[:0], "y": y[:0]},
        "huge classes": {"x": x, "y": np.where(y == 2, 2**40, y)},
        "objects": {"x": np.array([{}, None], dtype=object), "y": y[:2]},
    }
    np.savez(path, **found[kind])


def lying_arrays(path: str) -> None:
    """An .npz file of 300 bytes whose header tells of 8 TB."""
    import zipfile

    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
    header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
    magic = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", magic + header)
        archive.writestr("y.npy", magic + header)


STEPS: dict[str, Callable[..., object]] = {
    "write": write,
    "repeat": repeat,
    "zeros": zeros,
    "cut": cut,
    "flip": flip,
    "rewrite journal": rewrite_journal,
    "newer": newer,
    "newer tables": lambda folder: newer(folder, tables=True),
    "foreign tables": foreign_tables,
    "arrays": arrays,
    "lying arrays": lying_arrays,
    "fifo": lambda path: os.mkfifo(path),
    "folder": lambda path: Path(path).mkdir(parents=True),
    "link": lambda path, target: Path(path).symlink_to(target),
    "move": lambda path, target: shutil.move(path, target),
    "remove": lambda path: Path(path).unlink(),
    "mode": lambda path, mode: Path(path).chmod(mode),
}
"""By the word that begins a step of `made`."""
