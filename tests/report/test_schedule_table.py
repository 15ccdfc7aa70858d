"""The schedule of a lineage, as it is shown."""

from io import StringIO

from rich.console import Console

from raytune_pipe.analysis.scheduled_experiment import ScheduledExperiment, course_in_words
from raytune_pipe.report.schedule_table import schedule_parts
from tests.analysis.test_scheduled_experiment import scheduled


def shown(alone: ScheduledExperiment) -> str:
    file = StringIO()
    Console(file=file, width=80, color_system=None).print(*schedule_parts(alone), sep="\n")
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def test_each_hyperparameter_that_changed_has_a_line() -> None:
    text = shown(scheduled({"kind": "constant"}, sizes=(32, 64, 64, 128)))
    assert "optimizer.lr  0.1, 0.3 after epoch 2\n" in text
    assert "batch_size    32, 64 after epoch 1, 128 after epoch 3\n" in text
    assert "No schedule can change batch_size: here the last value holds" in text


def test_where_nothing_changed_it_says_so() -> None:
    text = shown(scheduled({"kind": "constant"}, rates=[0.1] * 4))
    assert text.strip() == "The lineage changed no hyperparameter."


def test_a_course_in_words() -> None:
    assert course_in_words({0: 1e-5, 3: 0.123456789, 7: 64}) == (
        "1e-05, 0.123457 after epoch 3, 64 after epoch 7"
    )
