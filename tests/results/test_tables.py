import json
import math
from datetime import UTC, datetime

import pytest

from raytune_pipe.base import ResultsError
from raytune_pipe.results.encoding import decode, encode
from raytune_pipe.results.events import Event
from raytune_pipe.results.tables import TableFold, Tables


def fold(events: list[Event]) -> Tables:
    taken = TableFold()
    for event in events:
        taken.add(event)
    return taken.tables(0)


def test_a_fold_that_published_on_the_way_ends_with_the_same_tables(
    small_run: list[Event],
) -> None:
    live = TableFold()
    for event in small_run:
        live.add(event)
        live.tables(0)
    rebuilt = fold([decode(encode(event)) for event in small_run])
    for now, again in zip(live.tables(0), rebuilt, strict=True):
        assert now.schema.equals(again.schema, check_metadata=True)
        assert repr(now.to_pylist()) == repr(again.to_pylist())


def test_one_row_a_trial_that_has_begun(small_run: list[Event]) -> None:
    copy, restarted, diverged = fold(small_run).trials.to_pylist()
    assert (copy["status"], copy["reports"], copy["segments"]) == ("running", 2, 2)
    assert (copy["optimizer.kind"], copy["optimizer.lr"]) == ("adamw", 0.125)
    assert (copy["score"], copy["val_loss"], copy["my_f1"]) == (0.75, 0.75, None)
    assert copy["ended_at"] is None
    assert (restarted["status"], restarted["reason"]) == ("completed", "budget")
    assert (restarted["attempts"], restarted["reports"]) == (2, 3)
    assert restarted["checkpoint"] == "checkpoints/00001/2.pt"
    assert restarted["started_at"] == datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=UTC)
    assert (diverged["status"], diverged["rung"]) == ("diverged", 1.0)


def test_nan_is_not_null(small_run: list[Event]) -> None:
    diverged = fold(small_run).trials.to_pylist()[2]
    assert math.isnan(diverged["score"])
    assert math.isinf(diverged["val_loss"])
    assert diverged["train_loss"] is None
    assert diverged["best_report"] is None
    assert diverged["optimizer.nesterov"] is None


def test_score_and_metrics_are_of_the_last_or_of_the_best_report(
    small_run: list[Event], small_run_at_best: list[Event]
) -> None:
    before_restart = slice(None, -3)
    last = fold(small_run[before_restart]).trials.to_pylist()[1]
    best = fold(small_run_at_best[before_restart]).trials.to_pylist()[1]
    assert (last["best_report"], last["score"], last["val_loss"]) == (2, 0.5, 0.5)
    assert (best["best_report"], best["score"], best["val_loss"]) == (2, 0.25, 0.25)


def test_score_and_hyperparameters_of_a_trial_are_those_of_one_report(
    small_run: list[Event], small_run_at_best: list[Event]
) -> None:
    together = ("score", "val_loss", "epoch", "step", "optimizer.lr", "optimizer.momentum")
    of_all = ("reports", "segments", "time_s")
    for events, scored in ((small_run, 2), (small_run_at_best, 1)):
        worse: list[Event] = [
            {**event, "score": 3.0, "metrics": {"val_loss": 3.0}}
            if event["event"] == "report" and (event["trial_id"], event["report"]) == ("00000", 2)
            else event
            for event in events
        ]
        tables = fold(worse)
        trial = tables.trials.to_pylist()[0]
        reports = [row for row in tables.reports.to_pylist() if row["trial_id"] == "00000"]
        assert [trial[name] for name in together] == [
            reports[scored - 1][name] for name in together
        ]
        assert [trial[name] for name in of_all] == [2, 2, 1.0]


def test_a_trial_without_a_report_has_the_hyperparameters_it_was_planned_with(
    small_run: list[Event],
) -> None:
    first = next(event for event in small_run if event["event"] == "report")
    trial = fold(small_run[: small_run.index(first)]).trials.to_pylist()[0]
    assert (trial["optimizer.lr"], trial["model.widths"]) == (0.01, "[32,16]")
    assert [trial[name] for name in ("score", "val_loss", "epoch", "step")] == [None] * 4


def test_the_highest_attempt_wins(small_run: list[Event]) -> None:
    lower = [event for event in small_run if event["event"] == "report"][-2]
    late: list[Event] = [
        *small_run[:-1],
        {**lower, "report": 2},
    ]  # an answer too late
    for events in (small_run, late):
        reports = fold(events).reports.to_pylist()
        keys = [(row["trial_id"], row["report"]) for row in reports]
        assert len(set(keys)) == len(keys)
        again = next(row for row in reports if (row["trial_id"], row["report"]) == ("00001", 2))
        assert (again["attempt"], again["score"]) == (1, 0.375)


def test_reports_carry_the_hyperparameters_in_force(small_run: list[Event]) -> None:
    rows = [row for row in fold(small_run).reports.to_pylist() if row["trial_id"] == "00000"]
    assert [row["optimizer.lr"] for row in rows] == [0.01, 0.125]
    assert [row["optimizer.momentum"] for row in rows] == [0.5, None]
    assert [row["model.widths"] for row in rows] == ["[32,16]", "[32,16]"]
    assert [row["my_f1"] for row in rows] == [0.25, None]


def test_columns_say_what_they_are(small_run: list[Event]) -> None:
    schema = fold(small_run).trials.schema
    roles = {column.name: column.metadata[b"role"].decode() for column in schema}
    assert roles["trial_id"] == "identity"
    assert roles["status"] == "state"
    assert roles["my_f1"] == roles["val_accuracy"] == "metric"
    rate = schema.field("optimizer.lr").metadata
    assert (rate[b"role"], rate[b"searched"]) == (b"hyperparameter", b"true")
    assert json.loads(rate[b"distribution"])["kind"] == "log_uniform"
    momentum = schema.field("optimizer.momentum").metadata
    assert json.loads(momentum[b"when"]) == {"optimizer.kind": ["sgd"]}
    assert schema.field("batch_size").metadata[b"searched"] == b"false"


def test_the_file_says_whose_run_it_is(small_run: list[Event]) -> None:
    for table in fold(small_run):
        about = json.loads(table.schema.metadata[b"PANDAS_ATTRS"])
        assert about["schema_version"] == 1
        assert about["experiment"]["name"] == "small"
        assert about["journal_number"] == len(small_run)
        assert json.loads(table.schema.metadata[b"objective"]) == about["objective"]


def test_columns_are_there_before_anything_is_reported(small_run: list[Event]) -> None:
    whole, empty = fold(small_run), fold(small_run[:1])
    assert [len(table) for table in empty] == [0, 0, 0]
    for now, later in zip(empty, whole, strict=True):
        names = [name for name in later.schema.names if name != "my_f1"]
        assert now.schema.names == names


def test_many_reports_are_packed_in_order(small_run: list[Event]) -> None:
    first = next(event for event in small_run if event["event"] == "report")
    start = small_run[: small_run.index(first)]
    events: list[Event] = [{**first, "report": n, "score": float(n)} for n in range(1, 5_002)]
    reports = fold(start + events).reports
    assert reports.column("report").to_pylist() == list(range(1, 5_002))
    assert fold(start + events).trials.to_pylist()[0]["score"] == 5_001.0


def test_a_journal_without_an_experiment_has_no_tables() -> None:
    with pytest.raises(ResultsError, match="must begin with its experiment"):
        TableFold().tables(0)


def test_a_trial_must_be_planned(small_run: list[Event]) -> None:
    taken = TableFold()
    taken.add(small_run[0])
    with pytest.raises(ResultsError, match=r"event 2 must be about a planned trial.*'00000'"):
        taken.add(small_run[5])


def test_trials_are_counted_by_status(small_run: list[Event]) -> None:
    taken = TableFold()
    for event in small_run:
        taken.add(event)
    assert taken.counts() == {"running": 1, "completed": 1, "diverged": 1, "not_started": 1}
