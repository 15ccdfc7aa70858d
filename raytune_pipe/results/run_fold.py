"""All that follows from the events of a run: its tables, its checkpoints, its errors, its end."""

from dataclasses import dataclass, field

from raytune_pipe.results.checkpoints import CheckpointFold
from raytune_pipe.results.error_files import ErrorFold
from raytune_pipe.results.events import Event, FinishEvent
from raytune_pipe.results.tables import TableFold


@dataclass
class RunFold:
    """Takes the events of a run in order: while it is written, and from its journal."""

    tables: TableFold = field(default_factory=TableFold)
    """Its ``number`` counts the events that were taken as a whole."""
    checkpoints: CheckpointFold = field(default_factory=CheckpointFold)
    errors: ErrorFold = field(default_factory=ErrorFold)
    finish: FinishEvent | None = None
    """How the run ended; None where it did not, or was gone on with."""

    def add(self, event: Event) -> None:
        """Take the next event."""
        if event["event"] == "finish":
            self.finish = event
        elif event["event"] == "resume":
            self.finish = None
        self.checkpoints.add(event)
        self.errors.add(event)
        self.tables.add(event)  # last: an interrupt before leaves the event uncounted
