"""A full factorial of real trainings on digits: its 1,024 cells, each trained with two seeds.

The table of validation losses is the ground truth that `benchmarks.importance.factorial` compares
rankings with; training it takes some minutes on two cores, and it can go on where it was left.
"""

import itertools
import json
import math
import multiprocessing
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from raytune_pipe.experiment import Experiment

Array = NDArray[np.float64]

GRID: dict[str, tuple[float, ...]] = {
    "optimizer.lr": tuple(float(f"{3e-4 * 10 ** (4 * i / 15):.3g}") for i in range(16)),
    "batch_size": (16, 32, 64, 128),
    "optimizer.weight_decay": (1e-5, 1e-4, 1e-3, 1e-2),
    "optimizer.momentum": (0.0, 0.5, 0.9, 0.97),
}
"""The values of each hyperparameter, in the order of the table's cells."""
SHAPE = tuple(map(len, GRID.values()))
SEEDS = 2
EPOCHS = 27
FIFO = {"kind": "fifo"}
COLUMNS = ("seed", "epoch", "val_loss")
"""After the hyperparameters; ``val_loss`` is null where training had diverged before."""


def experiment(
    scheduler: Mapping[str, str | float] = FIFO, trials: int = math.prod(SHAPE) * SEEDS
) -> Experiment:
    """What a search over the grid would be launched with."""
    plain = {
        "name": "factorial",
        "trial": {
            "dataset": {"kind": "digits"},
            "model": {"kind": "mlp", "widths": [32, 32]},
            "initializer": {"kind": "he_normal"},
            "loss": {"kind": "cross_entropy"},
            "optimizer": {"kind": "sgd", "lr": 0.1},
            "schedule": {"kind": "cosine"},
            "epochs": EPOCHS,
        },
        "search_space": {
            name: {"kind": "choice", "options": options} for name, options in GRID.items()
        },
        "scheduler": scheduler,
        "trials": trials,
    }
    return Experiment.model_validate_json(json.dumps(plain))


def cells() -> list[dict[str, float]]:
    """The values of each cell, the last hyperparameter's changing fastest."""
    return [dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())]


def trial_id(cell: int, seed: int) -> str:
    """The id of one training: its seed follows from it."""
    return f"{cell * SEEDS + seed:05d}"


def train_all(folder: Path) -> None:
    """Train every cell with every seed by two processes; each part is kept once it is done."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [(folder, lr, seed) for seed in range(SEEDS) for lr in range(SHAPE[0])]
    with multiprocessing.get_context("spawn").Pool(2, os.nice, (10,)) as pool:
        for done, path in enumerate(pool.imap_unordered(_train_part, parts), 1):
            print(f"{done} of {len(parts)} parts: {path.name}", flush=True)
    tables = [pq.read_table(path) for path in sorted(folder.glob("part-*.parquet"))]
    write_table(pa.concat_tables(tables), folder / "factorial.parquet")


def write_table(table: pa.Table, path: Path) -> None:
    """Write the losses so that they take little space: 4 bytes each, less what zstd finds."""
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=[name for name in table.column_names if name != "val_loss"],
        column_encoding={"val_loss": "BYTE_STREAM_SPLIT"},
    )


def read_losses(path: Path) -> Array:
    """Validation losses ``[cells, seeds, epochs]``; NaN from where training diverged on."""
    table = pd.read_parquet(path).sort_values([*GRID, "seed", "epoch"])
    return table["val_loss"].to_numpy(dtype=float).reshape(-1, SEEDS, EPOCHS)


def _train_part(part: tuple[Path, int, int]) -> Path:
    """Train all cells of one learning rate with one seed, unless that was done."""
    folder, lr, seed = part
    path = folder / f"part-{lr:02d}-{seed}.parquet"
    if path.exists():
        return path
    width = math.prod(SHAPE[1:])
    rows = [
        {**cells()[cell], "seed": seed, "epoch": epoch, "val_loss": loss}
        for cell in range(lr * width, (lr + 1) * width)
        for epoch, loss in enumerate(train_cell(cell, seed), 1)
    ]
    types = {"batch_size": pa.int16(), "seed": pa.int8(), "epoch": pa.int8()}
    names = [*GRID, *COLUMNS]
    schema = pa.schema([(name, types.get(name, pa.float32())) for name in names])
    hidden = path.with_name(f".{path.name}")
    write_table(pa.Table.from_pylist(rows, schema), hidden)
    hidden.replace(path)
    return path


def train_cell(cell: int, seed: int, epochs: int = EPOCHS) -> list[float | None]:
    """The validation loss after each epoch; None from where it is not finite any more."""
    from raytune_pipe.training.trainer import Trainer

    trial = experiment().trial_with(cells()[cell], trial_id(cell, seed))
    trainer, losses = Trainer(trial), list[float | None]()
    while len(losses) < epochs:
        loss = trainer.train_epoch().metrics["val_loss"]
        if not math.isfinite(loss):
            break
        losses.append(loss)
    return losses + [None] * (epochs - len(losses))
