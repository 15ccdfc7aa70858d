"""Learning curves of the shipped search space, recorded with our own trainer.

    nice -n 10 python -m benchmarks.scale_curves          # about 10 minutes of one core

Each of 2,048 configurations drawn from the search space of experiments/asha_mlp.yaml is trained to
its 27th epoch once. What is kept are its validation losses and the median CPU time of its epochs,
which neighbors on the machine do not change. Searches over the table need no more training.
"""

import math
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from raytune_pipe import load_experiment
from raytune_pipe.base import Value
from raytune_pipe.experiment import PlannedTrial

Array = NDArray[np.float64]

EXPERIMENT = Path("experiments/asha_mlp.yaml")
TABLE = Path(__file__).with_name("data") / "asha_mlp_curves.parquet"
CONFIGURATIONS = 2048
LOSSES, PACE = "val_loss", "epoch_cpu_s"
"""Columns after the hyperparameters: a list a configuration, and seconds an epoch."""


@dataclass(frozen=True)
class Curves:
    """Recorded trainings."""

    values: Sequence[dict[str, Value]]
    """The searched hyperparameters of each configuration."""
    losses: Array
    """Validation losses ``[configurations, epochs]``, NaN from where training diverged."""
    epoch_s: Array
    """CPU seconds of an epoch ``[configurations]``."""

    @property
    def epochs(self) -> int:
        """The budget of a training."""
        return int(self.losses.shape[1])

    @cached_property
    def finals(self) -> Array:
        """Validation losses at the end, sorted; infinite where training diverged."""
        return np.sort(np.nan_to_num(self.losses[:, -1], nan=math.inf))

    @property
    def training_s(self) -> float:
        """Seconds of a whole training, on average."""
        return float(self.epoch_s.mean()) * self.epochs

    def target(self, best: int) -> float:
        """The loss at the end of that many best configurations, or less."""
        return float(self.finals[best - 1])


def read_curves(path: Path = TABLE) -> Curves:
    """The curves as they were recorded."""
    table = pq.read_table(path)
    losses = np.array(table[LOSSES].to_pylist(), dtype=float)
    pace = table[PACE].to_numpy().astype(float)
    return Curves(table.drop_columns([LOSSES, PACE]).to_pylist(), losses, pace)


def train(planned: PlannedTrial) -> tuple[list[float | None], float]:
    """Validation losses, None from where they are not finite; median CPU seconds of an epoch."""
    from raytune_pipe.training.trainer import Trainer

    trainer = Trainer(planned.trial)
    losses, seconds = list[float | None](), list[float]()
    while not trainer.done:
        started = time.process_time()
        loss = trainer.train_epoch().metrics["val_loss"]
        seconds.append(time.process_time() - started)
        if not math.isfinite(loss):
            break
        losses.append(loss)
    missing = planned.trial.epochs - len(losses)
    return losses + [None] * missing, statistics.median(seconds)


def record(configurations: int) -> pa.Table:
    """Train so many configurations, one after the other."""
    plan = load_experiment(EXPERIMENT, [f"trials={configurations}"]).plan()
    train(plan[0])  # the first one also loads torch and the data
    rows = []
    for number, planned in enumerate(plan, 1):
        losses, pace = train(planned)
        rows.append({**planned.values, LOSSES: losses, PACE: pace})
        if number % 64 == 0:
            print(f"{number} of {configurations}", file=sys.stderr, flush=True)
    return _typed(pa.Table.from_pylist(rows))


def _typed(table: pa.Table) -> pa.Table:
    """Hyperparameters as they are, the rest as 4-byte numbers; how it was made beside them."""
    types = {LOSSES: pa.list_(pa.float32()), PACE: pa.float32()}
    fields = [field.with_type(types.get(field.name, field.type)) for field in table.schema]
    made = {
        "experiment": str(EXPERIMENT),
        "made_by": "python -m benchmarks.scale_curves",
        "versions": ", ".join(f"{name} {version(name)}" for name in ("raytune-pipe", "torch")),
    }
    return table.cast(pa.schema(fields, metadata=made))


def write_curves(table: pa.Table, path: Path) -> None:
    """Write the curves so that they take little space."""
    leaf = f"{LOSSES}.list.element"
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=[name for name in table.column_names if name not in (LOSSES, PACE)],
        column_encoding={leaf: "BYTE_STREAM_SPLIT"},
    )


@click.command()
@click.option("--configurations", default=CONFIGURATIONS, show_default=True)
@click.option("--to", "path", type=click.Path(path_type=Path), default=TABLE, show_default=True)
def main(configurations: int, path: Path) -> None:
    """Record the curves."""
    write_curves(record(configurations), path)
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
