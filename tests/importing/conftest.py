"""A folder as Ray Tune leaves it, written by hand, and a small study of Optuna's form."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

MakeTrial = Callable[..., Path]


@pytest.fixture
def ray_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "ray" / "exp"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def ray_trial(ray_folder: Path) -> MakeTrial:
    """Writes the files of a trial: rows are (iteration, val_loss, lr)."""

    def make(number: int, rows: Sequence[tuple[int, float, float]], lr: float = 0.1) -> Path:
        folder = ray_folder / f"train_943ed_{number:05d}_{number}_lr=0.1_2026-11-21_05-08-26"
        folder.mkdir()
        lr = rows[-1][2] if rows else lr
        (folder / "params.json").write_text(json.dumps(_config(lr)))
        (folder / "params.pkl").write_bytes(b"never read")
        lines = [json.dumps(_row(number, *row)) for row in rows]
        (folder / "result.json").write_text("".join(f"{line}\n" for line in lines))
        return folder

    return make


def _config(lr: float) -> Mapping[str, Any]:
    return {"optimizer": {"lr": lr, "name": "sgd"}, "batch_size": 32}


def _row(number: int, iteration: int, loss: float, lr: float) -> Mapping[str, Any]:
    return {
        "val_loss": loss,
        "nested": {"acc": 0.5},
        "epoch": iteration,
        "training_iteration": iteration,
        "trial_id": f"943ed_{number:05d}",
        "timestamp": 1795237709 + iteration,
        "time_total_s": 2.0 * iteration,
        "config": _config(lr),
        "done": False,
    }
