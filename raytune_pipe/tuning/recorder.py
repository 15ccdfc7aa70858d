"""The driver's memory: every event is on disk before anything is done about it.

It folds events into the state of each trial and asks the decision maker; it knows nothing of Ray,
so tests drive it directly and a replay of the journal can rebuild it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from raytune_pipe.base import ResultsError
from raytune_pipe.experiment import Experiment, PlannedTrial
from raytune_pipe.results.events import (
    EndEvent,
    Event,
    FailureKind,
    ReportEvent,
    RetryEvent,
    Status,
    WarningKind,
)
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.scheduling.decisions import Decision, DecisionMaker
from raytune_pipe.tuning.assignment import Answer, Assignment, Failure
from raytune_pipe.tuning.journal_events import (
    anomaly_event,
    decision_event,
    end_event,
    plan_event,
    report_event,
    report_of,
    retry_event,
    start_event,
    warning_event,
)
from raytune_pipe.tuning.progress import TrialProgress
from raytune_pipe.tuning.replay import Replay

STATUS_OF: dict[FailureKind, Status] = {
    "exception": "failed",
    "worker_died": "failed",
    "out_of_memory": "out_of_memory",
    "timed_out": "timed_out",
    "node_lost": "failed",
    "checkpoint_lost": "failed",
}
"""How a trial ends that does not start again."""

RETRIES_WITHOUT_FAULT = 20
"""How often a trial starts again after what is no fault of its own; then it may be after all."""


def _nobody(_event: Event) -> None:
    """Hears nothing."""


@dataclass
class Recorder:
    """Journals what trials do, asks for decisions, journals those, and hands them on."""

    experiment: Experiment
    run: RunDirectory
    maker: DecisionMaker
    device: str = "cpu"
    gpu_memory_gib: float | None = None
    """What a trial may take of a GPU; None is no limit."""
    listener: Callable[[Event], None] = _nobody
    trials: dict[str, TrialProgress] = field(default_factory=dict)
    replay: Replay | None = None
    """While a run is gone on with: what its journal holds."""
    warned: set[tuple[str, WarningKind]] = field(default_factory=set)
    """Trials, and what each has been warned of."""

    def add_plan(self, plan: Sequence[PlannedTrial], recorded: int = 0) -> None:
        """Journal every planned trial, in one flush, before the first one starts.

        The first ``recorded`` ones the journal has already.
        """
        for planned in plan:
            state = TrialProgress(dict(planned.values), planned.trial.epochs)
            self.trials[planned.trial_id] = state
        self.write(*map(plan_event, plan[recorded:]))

    def plan_next(self) -> str | None:
        """Draw another trial from the results so far, and journal it; None where all are planned.

        It follows from the seed and from where the others stand. A resume takes it from the
        journal, and so never draws it again.
        """
        if self.are_all_planned:
            return None
        at_best = self.experiment.objective.at == "best"
        past = [state.past(at_best=at_best) for state in self.trials.values()]
        planned = self.experiment.draw_next(past)
        self.add_plan([planned])
        return planned.trial_id

    @property
    def are_all_planned(self) -> bool:
        """Whether no trial is left to be drawn from results."""
        return len(self.trials) >= self.experiment.trials

    @property
    def is_finished(self) -> bool:
        """Whether every trial is planned and has ended."""
        return self.are_all_planned and all(trial.has_ended for trial in self.trials.values())

    @property
    def has_begun(self) -> bool:
        """Whether any trial has started."""
        return any(trial.status for trial in self.trials.values())

    @property
    def reports(self) -> int:
        """How many reports all trials have made."""
        return sum(trial.reports for trial in self.trials.values())

    def assign(self, trial_id: str) -> Assignment:
        """What the worker that gets this trial is told."""
        state = self.trials[trial_id]
        trial = self.experiment.trial_with(state.values, trial_id)
        return Assignment(
            trial_id=trial_id,
            trial=trial.model_dump(mode="json"),
            directory=self.run.location,
            reports=state.start_report,
            milestones=self._checkpoint_epochs(trial.epochs),
            checkpoint_seconds=self.experiment.checkpoint_seconds,
            start_from=state.start_from,
            attempt=state.attempt,
            device=self.device,
            gpu_memory_gib=self.gpu_memory_gib,
            threads=max(1, int(self.experiment.resources.cpus)),
            timeout_s=self.experiment.trial_timeout_s,
            workers=self.experiment.resources.workers,
        )

    def _checkpoint_epochs(self, epochs: int) -> tuple[int, ...]:
        """Where decisions are possible; every epoch where any of them may be the best one."""
        if self.experiment.objective.at == "best":
            return tuple(range(1, epochs + 1))
        return self.experiment.scheduler.milestones(epochs)

    def on_start(self, trial_id: str) -> None:
        """Note that a worker has taken the trial up: for the first time, or after another died."""
        state = self.trials[trial_id]
        if not state.start_due:
            return
        state.status, state.start_due = "running", False
        self.write(start_event(trial_id, state))

    def on_answer(self, trial_id: str, answer: Answer) -> list[Decision]:
        """Journal one epoch, decide, journal the decisions, and return them to be applied.

        The trial itself goes on where no decision names it.
        """
        state = self.trials[trial_id]
        if state.has_ended:
            return []
        if answer.failure:
            return self.on_failure(trial_id, answer.failure)
        if self.experiment.objective.metric not in (answer.metrics or {}):
            return self.on_failure(trial_id, _unknown_objective(self.experiment, answer))
        mismatch = answer.mismatch(state.values)
        if mismatch:
            self.write_anomaly(mismatch, trial_id)
            return self.on_failure(trial_id, Failure("exception", mismatch, error=""))
        for kind, what in answer.warnings.items():
            self._warn(trial_id, kind, what)
        event = report_event(trial_id, state, answer, self.experiment.objective)
        decisions = self.on_report(event)
        for what in self.run.troubles():
            self.write_anomaly(what)
        if event["checkpoint"]:
            self._collect_garbage()
        return decisions

    def on_report(self, event: ReportEvent) -> list[Decision]:
        """Journal a report and all that follows from it.

        What was decided on a report stands when it is made again after a crash.
        """
        trial_id = event["trial_id"]
        state = self.trials[trial_id]
        is_new = event["report"] > state.reports
        self.write(event)
        state.take_report(event)
        if not is_new:
            held = state.waiting and event["report"] == state.reports
            return [Decision(trial_id, "wait")] if held else []
        if event["verdict"] == "patience":
            return self.end(trial_id, "completed", "patience")
        decisions = self._settle(trial_id, event["report"], self.maker.on_report(report_of(event)))
        if event["epoch"] < state.epochs or _is_decided(trial_id, decisions):
            return decisions
        if math.isnan(event["score"]):
            return decisions + self.end(trial_id, "diverged", event["verdict"] or "not_a_number")
        return decisions + self.end(trial_id, "completed", "budget")

    def on_failure(self, trial_id: str, failure: Failure) -> list[Decision]:
        """Have a trial that cannot go on start again, or end it.

        It starts again where it is `start_due` afterwards. Returns the decisions on those that its
        end releases.

        Raises:
            ResultsError: a worker could not write into the run directory.
        """
        state = self.trials[trial_id]
        if state.has_ended:
            return []
        if state.start_due:  # it failed before Ray could tell of its start
            self.on_start(trial_id)
        if failure.kind == "storage":
            raise ResultsError(failure.reason)
        reason, error = failure.reason, failure.error or None
        if state.failures[failure.kind] >= self._retries(failure.kind):
            return self.end(trial_id, STATUS_OF[failure.kind], reason, error)
        self.retry(retry_event(trial_id, state.attempt, failure.kind, reason, error))
        return []

    def _retries(self, kind: FailureKind) -> int:
        limits: dict[str, int] = self.experiment.retries.model_dump()
        return limits.get(kind, RETRIES_WITHOUT_FAULT)

    def retry(self, event: RetryEvent) -> None:
        """Journal that a trial starts again, and find the checkpoint it can start from."""
        trial_id = event["trial_id"]
        state = self.trials[trial_id]
        self.write(event)
        state.take_retry(event)
        if self.replay is None:
            for broken in state.fall_back(self.run.has_checkpoint):
                self.write_anomaly(broken, trial_id)

    def publish(self) -> None:
        """Bring the tables up to date, and delete checkpoints that nothing refers to any more."""
        self.run.publish()
        self._collect_garbage()

    def _collect_garbage(self) -> None:
        donors = [report.checkpoint for report in self.maker.donors() if report.checkpoint]
        self.run.collect_garbage(keep=[checkpoint.path for checkpoint in donors])

    def end(
        self, trial_id: str, status: Status, reason: str, error: str | None = None
    ) -> list[Decision]:
        """End a trial for a reason that is not the decision maker's; it may release others."""
        self.write(self._ended(trial_id, status, reason, error))
        released = self._settle(trial_id, None, self.maker.on_end(trial_id))
        return [Decision(trial_id, "stop"), *released]

    def _settle(
        self, trial_id: str, number: int | None, decisions: Sequence[Decision]
    ) -> list[Decision]:
        """Journal decisions and the ends they mean in one flush, then fold them into the state.

        A trial that goes on between rungs needs no line, and no word.
        """
        decisions = [d for d in decisions if d.action != "go_on" or d.rung is not None]
        if self.replay:
            decisions = self.replay.decisions(trial_id, number, decisions)
        if not decisions:
            return []
        ends = [self._stopped(decision) for decision in decisions if decision.action == "stop"]
        self.write(decision_event(trial_id, number, decisions), *ends)
        for decision in decisions:
            self.trials[decision.trial].take_decision(decision)
        return decisions

    def _stopped(self, decision: Decision) -> EndEvent:
        """The end that a decision to stop means."""
        if not decision.diverged:
            return self._ended(decision.trial, "stopped_early", f"rung {decision.rung:g}")
        verdict = self.trials[decision.trial].verdict
        return self._ended(decision.trial, "diverged", verdict or "not_a_number")

    def _ended(
        self, trial_id: str, status: Status, reason: str, error: str | None = None
    ) -> EndEvent:
        self.trials[trial_id].status = status
        self.trials[trial_id].reason = reason
        return end_event(trial_id, status, reason, error)

    def _warn(self, trial_id: str, kind: WarningKind, what: str) -> None:
        """Journal a warning once, whatever attempts come to it; none that the file ignores."""
        is_ignored = kind in self.experiment.ignore
        if not is_ignored and (trial_id, kind) not in self.warned:
            self.warned.add((trial_id, kind))
            self.write(warning_event(trial_id, kind, what))

    def write_anomaly(self, what: str, trial_id: str | None = None) -> None:
        """Journal something that must not happen, and go on."""
        self.write(anomaly_event(what, trial_id))

    def write(self, *events: Event) -> None:
        """Journal events in one flush; then let the listener hear of them.

        A listener that fails, say because its terminal is gone, is not asked again.
        """
        if self.replay:
            events = tuple(self.replay.match(events))
        if not events:
            return
        self.run.journal.append(*events)
        try:
            for event in events:
                self.listener(event)
        except (Exception, SystemExit) as error:
            self.listener = _nobody
            self.write_anomaly(f"the listener failed: {type(error).__name__}: {error}")


def _unknown_objective(experiment: Experiment, answer: Answer) -> Failure:
    known = ", ".join(sorted(answer.metrics or {}))
    reason = (
        f"objective.metric: must be a metric that the trial reports ({known}), "
        f"but got {experiment.objective.metric}"
    )
    return Failure("exception", reason, error="")


def _is_decided(trial_id: str, decisions: Sequence[Decision]) -> bool:
    """Whether the decision maker has its own plans with the trial."""
    return any(d.trial == trial_id and d.action != "go_on" for d in decisions)
