"""Which trials hold a worker."""

import time

from raytune_pipe.scheduling.decisions import TrialId


class Slots:
    """How many trials may hold a worker at once, and which do."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.taken: dict[TrialId, float] = {}
        """Who holds a worker, and when it was last heard of (`time.monotonic`)."""
        self.closed = False
        """Whether nobody gets one any more, as the run is to end."""

    @property
    def is_free(self) -> bool:
        """Whether another trial may start."""
        return not self.closed and len(self.taken) < self.count

    def hear_of(self, trial_id: TrialId) -> None:
        """Note that a trial holds a worker and shows signs of life."""
        self.taken[trial_id] = time.monotonic()

    def free(self, trial_id: TrialId) -> None:
        """Note that a trial holds none."""
        self.taken.pop(trial_id, None)

    def silent_for(self, seconds: float) -> list[TrialId]:
        """Those that have not been heard of for so long."""
        since = time.monotonic() - seconds
        return [trial_id for trial_id, heard in self.taken.items() if heard < since]
