"""The schedule that a population found, as a terminal shows it."""

from rich.table import Table

from raytune_pipe.analysis.scheduled_experiment import ScheduledExperiment, course_in_words


def schedule_parts(scheduled: ScheduledExperiment) -> tuple[Table | str, ...]:
    """What each hyperparameter was from which epoch on, then what is not as it was."""
    table = Table.grid("", "", padding=(0, 2))
    for name in scheduled.lineage.changed:
        table.add_row(name, course_in_words(scheduled.lineage.course(name)))
    return "", table, *scheduled.notes
