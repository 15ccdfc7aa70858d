"""Lineages that are known: which hyperparameters the best weights were trained under."""

import pytest

from raytune_pipe.analysis.best import best_trial
from raytune_pipe.analysis.lineage_schedule import LineageSchedule, Stage, lineage_schedule
from raytune_pipe.base import ConfigError, ResultsError
from raytune_pipe.results.reading import Results
from tests.analysis.lineages import epochs_of, population

A, B, C, D = (0.1, 32), (0.2, 64), (0.4, 64), (0.8, 128)


def found(results: Results) -> LineageSchedule:
    return lineage_schedule(results, best_trial(results))


def values(learned: LineageSchedule) -> list[tuple[object, ...]]:
    return [(one.trial_id, *one.values.values()) for one in learned.epochs]


def test_a_trial_that_copied_nobody_is_its_own_lineage() -> None:
    learned = found(population(epochs_of("00000", (1, 2, 3), A, A, A)))
    assert learned.founder == "00000"
    assert learned.stages == (Stage(0, {"optimizer.lr": 0.1, "batch_size": 32}),)
    assert learned.changed == ()


def test_the_copy_of_a_copy_is_followed_to_the_first() -> None:
    reports = [
        *epochs_of("00000", (1, 2, 3, 4, 5, 6), D, D, D, D, C, C),
        *epochs_of("00001", (1, 2, 3, 4, 5, 6), D, D, B, B, B, B),
        *epochs_of("00002", (1, 2, 3, 4, 5, 6), A, A, A, A, A, A),
    ]
    copies = [("00001", 2, "00002", 2), ("00000", 4, "00001", 4)]
    learned = found(population(reports, copies))
    assert values(learned) == [
        ("00002", *A), ("00002", *A), ("00001", *B), ("00001", *B), ("00000", *C), ("00000", *C),
    ]  # fmt: skip
    assert learned.founder == "00002"
    assert learned.course("optimizer.lr") == {0: 0.1, 2: 0.2, 4: 0.4}
    assert learned.course("batch_size") == {0: 32, 2: 64}
    assert [stage.from_epoch for stage in learned.stages] == [0, 2, 4]


def test_copies_before_and_after_the_donor_was_copied_do_not_count() -> None:
    """Of two members that swap roles, each of its stretches ends where it was copied."""
    reports = [
        *epochs_of("00000", (1, 2, 3, 4, 5, 6), A, A, A, A, C, C),
        *epochs_of("00001", (1, 2, 3, 4, 5, 6), D, D, B, B, D, D),
    ]
    copies = [
        ("00001", 2, "00000", 2),
        ("00000", 4, "00001", 4),
        ("00001", 4, "00000", 4),  # at the same barrier: what it was copied from is before it
    ]
    learned = found(population(reports, copies))
    assert [one[0] for one in values(learned)] == ["00000"] * 2 + ["00001"] * 2 + ["00000"] * 2
    assert learned.course("optimizer.lr") == {0: 0.1, 2: 0.2, 4: 0.4}


def test_a_copy_that_changes_nothing_begins_no_stage() -> None:
    reports = [
        *epochs_of("00000", (1, 2, 3, 4), D, D, A, A),
        *epochs_of("00001", (1, 2, 3, 4), A, A, A, A),
    ]
    learned = found(population(reports, [("00000", 2, "00001", 2)]))
    assert learned.changed == ()
    assert len(learned.stages) == 1
    assert learned.founder == "00001"


def test_values_that_come_back_begin_a_stage_each() -> None:
    reports = [
        *epochs_of("00000", (1, 2, 3), D, B, B),
        *epochs_of("00001", (1, 2, 3), A, D, A),
    ]
    copies = [("00000", 1, "00001", 1), ("00001", 2, "00000", 2)]
    learned = found(population(reports, copies, best="00001"))
    assert learned.course("optimizer.lr") == {0: 0.1, 1: 0.2, 2: 0.1}


def test_ages_of_the_weights_count_and_not_the_numbers_of_reports() -> None:
    """Asynchronous: a member at its fourth report copies weights of two epochs."""
    reports = [
        *epochs_of("00000", (1, 2, 3, 4, 3, 4), D, D, D, D, B, B),
        *epochs_of("00001", (1, 2), A, A),
    ]
    learned = found(population(reports, [("00000", 4, "00001", 2)]))
    assert [one[0] for one in values(learned)] == ["00001"] * 2 + ["00000"] * 2
    assert learned.course("optimizer.lr") == {0: 0.1, 2: 0.2}


def test_a_lineage_with_a_gap_is_refused() -> None:
    reports = epochs_of("00000", (1, 3, 4), A, A, A)
    with pytest.raises(ResultsError, match="but that of epoch 2 is missing"):
        found(population(reports))


def test_a_donor_without_reports_is_a_gap() -> None:
    reports = epochs_of("00000", (1, 2, 3, 4), D, D, A, A)
    with pytest.raises(ResultsError, match="but that of epoch 1 is missing"):
        found(population(reports, [("00000", 2, "00001", 2)]))


def test_a_run_that_is_no_population_has_no_such_schedule() -> None:
    with pytest.raises(
        ConfigError, match=r"must be a run of a population .* its scheduler is asha"
    ):
        found(population(epochs_of("00000", (1,), A), scheduler="asha"))


def test_a_run_that_was_trained_elsewhere_is_refused() -> None:
    results = population(epochs_of("00000", (1,), A))
    results.experiment.pop("trial")
    results.experiment["imported_from"] = "Ray Tune's folder x"
    with pytest.raises(ConfigError, match="but it is made from Ray Tune's folder x"):
        found(results)


def test_as_json() -> None:
    learned = found(population(epochs_of("00000", (1, 2), A, B)))
    assert learned.to_mapping() == {
        "epochs": 2,
        "founder": "00000",
        "stages": [
            {"from_epoch": 0, "values": {"optimizer.lr": 0.1, "batch_size": 32}},
            {"from_epoch": 1, "values": {"optimizer.lr": 0.2, "batch_size": 64}},
        ],
    }
