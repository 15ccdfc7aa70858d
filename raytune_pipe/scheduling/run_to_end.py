"""No early stopping: every trial runs to the end of its budget."""

import math

from raytune_pipe.scheduling.decisions import Decision, Report, TrialId


class RunToEnd:
    """Lets every trial use its budget; only a diverged one is stopped."""

    def on_report(self, report: Report) -> list[Decision]:
        """Go on, or stop as diverged where the score is not a finite number."""
        if math.isfinite(report.score):
            return [Decision(report.trial, "go_on")]
        return [Decision(report.trial, "stop", diverged=True)]

    def on_end(self, trial: TrialId) -> list[Decision]:
        """Nothing: no trial waits for another."""
        return []

    def donors(self) -> list[Report]:
        """None: no trial ever starts from another's checkpoint."""
        return []
