"""The events of the journal, as they stand in it: all else in a run directory follows."""

from typing import Any, Literal, NotRequired, TypedDict

from raytune_pipe.base import Value

Status = Literal[
    "running",
    "completed",
    "stopped_early",
    "diverged",
    "failed",
    "out_of_memory",
    "timed_out",
    "interrupted",
]
FailureKind = Literal[
    "exception", "worker_died", "out_of_memory", "timed_out", "node_lost", "checkpoint_lost"
]
"""Why a trial could not go on. The last two are no fault of its own."""

WarningKind = Literal["loss_terms_apart", "more_parameters_than_samples"]
"""What a trial can be warned of: weighted terms of its loss two decades apart; a large model."""

SCHEMA_VERSION = 1
"""Rises when a reader of an older version could misread the events or the tables."""

ColumnType = Literal["bool", "int64", "float64", "string"]


class ExperimentEvent(TypedDict):
    """The first event: what is run, with every default resolved.

    Once more where the run is extended: it counts for what follows.
    """

    event: Literal["experiment"]
    schema_version: int
    package_version: str
    experiment: dict[str, Any]
    """The resolved experiment, plain values."""
    space: list[dict[str, Any]]
    """`SearchSpace.to_mappings()`."""
    columns: dict[str, ColumnType]
    """Every scalar leaf of `trial` over all planned configurations, by dotted name."""
    objective: dict[str, str]
    """metric, mode (min or max), at (last or best)."""
    job: NotRequired[str]
    """The Ray job that ran it; absent where none did."""
    time: float
    """Seconds since the epoch, UTC."""


class PlanEvent(TypedDict):
    """One planned trial; all are written before the first one starts."""

    event: Literal["plan"]
    trial_id: str
    leaves: dict[str, Value]
    """Every scalar leaf of the trial's configuration; absent or null where it does not apply."""
    values: dict[str, Value]
    """The searched hyperparameters among them."""


class StartEvent(TypedDict):
    """A trial begins, or begins again: on a worker, from a checkpoint or from nothing."""

    event: Literal["start"]
    trial_id: str
    attempt: int
    """0 for the first; each restart after a failure adds one."""
    start_from: str | None
    time: float


class CheckpointReference(TypedDict):
    """A checkpoint file, complete before the report that names it."""

    path: str
    """Relative to the run directory."""
    sha256: str
    bytes: int


class ReportEvent(TypedDict):
    """One report of one trial, on disk before anything is decided on it."""

    event: Literal["report"]
    trial_id: str
    report: int
    """From 1, never goes back."""
    attempt: int
    segment: int
    """From 0; rises at each exploit or change of hyperparameters."""
    epoch: float
    step: int
    time_s: float
    """Seconds this trial has trained, all its segments together."""
    score: float
    """The objective, lower is better; NaN when diverged."""
    metrics: dict[str, float]
    """By bare name: val_loss, val_accuracy, train_loss, lr, grad_norm, ... and the user's own."""
    values: dict[str, Value]
    """The searched hyperparameters read back from the live trial."""
    checkpoint: CheckpointReference | None
    verdict: str | None
    """Why a stop rule wants the trial to end: not_a_number, divergence, patience; else null."""
    time: float


class DecisionRecord(TypedDict):
    """One decision, `dataclasses.asdict` of a `scheduling.decisions.Decision`."""

    trial: str
    action: Literal["go_on", "stop", "wait", "exploit"]
    diverged: bool
    rung: float | None
    bracket: int | None
    cutoff: float | None
    donor: str | None
    donor_report: int | None
    checkpoint: dict[str, str] | None
    values: dict[str, Value] | None
    changes: list[list[Any]]
    """name, operation (copy, perturb, resample), before, after."""


class DecisionEvent(TypedDict):
    """The decisions that one report or one end brought about, on disk before they are applied.

    Written only where something was decided: a plain "go on" between rungs leaves no event.
    """

    event: Literal["decision"]
    trial_id: str
    """The trial whose report or end this answers."""
    report: int | None
    """The number of that report; null when it answers an end."""
    decisions: list[DecisionRecord]


class RetryEvent(TypedDict):
    """An attempt of a trial has failed; it starts again, from its last whole checkpoint."""

    event: Literal["retry"]
    trial_id: str
    attempt: int
    """The one that failed."""
    kind: FailureKind
    reason: str
    """One line."""
    error: str | None
    """The traceback, where there is one."""
    time: float


class EndEvent(TypedDict):
    """A trial has ended; written once per trial."""

    event: Literal["end"]
    trial_id: str
    status: Status
    reason: str | None
    """One line: budget, patience, rung 9, the error's last line, ..."""
    error: str | None
    """The traceback, where there is one."""
    time: float


class FileEvent(TypedDict):
    """The hash of a file of the run directory other than the journal and the tables."""

    event: Literal["file"]
    path: str
    sha256: str
    bytes: int


class ResumeEvent(TypedDict):
    """The run is gone on with by another process; trials that had not ended run on."""

    event: Literal["resume"]
    package_version: str
    took_over: NotRequired[str]
    """Who held the run before, and why it counts as gone; absent where it had let it go."""
    job: NotRequired[str]
    """The Ray job that goes on with it; absent where none does."""
    window: NotRequired[str]
    """What was lost with the disk of the driver before; absent where nothing was."""
    time: float


class GrantEvent(TypedDict):
    """What each trial is given from here on, and how many run at once to begin with."""

    event: Literal["grant"]
    bundles: list[dict[str, float]]
    """Resources by name of each of its workers."""
    strategy: str
    """Of their placement: PACK, SPREAD, STRICT_PACK or STRICT_SPREAD."""
    slots: int
    how: str
    """How `gpus: auto` came to that; empty where nothing was measured."""
    time: float


class AnomalyEvent(TypedDict):
    """Something that must not happen was seen; the run went on."""

    event: Literal["anomaly"]
    what: str
    trial_id: NotRequired[str]
    time: float


class WarningEvent(TypedDict):
    """A trial trains in a way that it most likely should not; it goes on. Once a trial and kind."""

    event: Literal["warning"]
    trial_id: str
    kind: WarningKind
    what: str
    """One line, with what to do."""
    time: float


class FinishEvent(TypedDict):
    """The launch is over: finished, interrupted or failed."""

    event: Literal["finish"]
    state: Literal["finished", "interrupted", "failed"]
    exit_code: int
    error: str | None
    time: float


Event = (
    ExperimentEvent
    | PlanEvent
    | StartEvent
    | ReportEvent
    | DecisionEvent
    | RetryEvent
    | EndEvent
    | FileEvent
    | ResumeEvent
    | GrantEvent
    | AnomalyEvent
    | WarningEvent
    | FinishEvent
)
