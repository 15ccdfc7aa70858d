"""The columns of the tables: their names, roles and types, the same for every run.

Between them stand the hyperparameters of the experiment (dotted names) and the metrics (bare
names), see `schema`.
"""

from typing import Literal, NamedTuple

from raytune_pipe.results.events import ColumnType

Role = Literal["identity", "state", "hyperparameter", "metric"]


class Column(NamedTuple):
    """One column that every run has."""

    name: str
    type: ColumnType | Literal["time"]
    role: Role = "state"


TRIALS_HEAD = (
    Column("trial_id", "string", "identity"),
    Column("status", "string"),
    Column("reason", "string"),
    Column("error", "string"),
    Column("score", "float64"),
)
TRIALS_TAIL = (
    Column("reports", "int64"),
    Column("best_report", "int64"),
    Column("epoch", "float64"),  # as score, metrics and hyperparameters: at the scored report
    Column("step", "int64"),  # likewise
    Column("segments", "int64"),
    Column("attempts", "int64"),
    Column("warnings", "string"),
    Column("rung", "float64"),
    Column("bracket", "int64"),
    Column("time_s", "float64"),
    Column("checkpoint", "string"),
    Column("checkpoint_sha256", "string"),
    Column("started_at", "time"),
    Column("ended_at", "time"),
)

REPORTS_HEAD = (
    Column("trial_id", "string", "identity"),
    Column("report", "int64", "identity"),
    Column("attempt", "int64"),
    Column("segment", "int64"),
    Column("epoch", "float64"),
    Column("step", "int64"),
    Column("time_s", "float64"),
    Column("score", "float64"),
)
REPORTS_TAIL = (
    Column("verdict", "string"),
    Column("checkpoint", "string"),
    Column("checkpoint_sha256", "string"),
    Column("reported_at", "time"),
)

LINEAGE = (
    Column("trial_id", "string", "identity"),
    Column("report", "int64", "identity"),
    Column("epoch", "float64"),
    Column("segment", "int64"),
    Column("operation", "string"),
    Column("diverged", "bool"),
    Column("rung", "float64"),
    Column("bracket", "int64"),
    Column("cutoff", "float64"),
    Column("score", "float64"),
    Column("donor", "string"),
    Column("donor_report", "int64"),
    Column("checkpoint", "string"),
    Column("checkpoint_sha256", "string"),
    Column("hyperparameter", "string", "identity"),
    Column("before", "string"),
    Column("after", "string"),
    Column("before_unit", "float64"),
    Column("after_unit", "float64"),
)

STANDARD_METRICS = (
    "train_loss",
    "val_loss",
    "val_accuracy",
    "lr",
    "grad_norm",
    "update_ratio",
    "samples_per_s",
    "epoch_s",
)
"""The metrics that every run has a column for; the user's own follow, by name."""

RESERVED = frozenset(
    column.name for column in (*TRIALS_HEAD, *TRIALS_TAIL, *REPORTS_HEAD, *REPORTS_TAIL)
)
"""Names that a metric must not have."""
