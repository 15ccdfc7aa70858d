from raytune_pipe.results.events import Event
from raytune_pipe.results.tables import TableFold


def test_one_row_for_each_changed_hyperparameter_or_one_for_a_decision_without(
    small_run: list[Event],
) -> None:
    fold = TableFold()
    for event in small_run:
        fold.add(event)
    rows = fold.tables(0).lineage.to_pylist()
    told = [(row["trial_id"], row["operation"], row["hyperparameter"]) for row in rows]
    assert told == [
        ("00001", "go_on", None),
        ("00000", "copy", "optimizer.kind"),
        ("00000", "perturb", "optimizer.lr"),
        ("00000", "copy", "optimizer.momentum"),
        ("00002", "stop", None),
    ]
    perturbed = rows[2]
    assert perturbed["report"] == 1
    assert (perturbed["donor"], perturbed["donor_report"]) == ("00001", 1)
    assert perturbed["checkpoint_sha256"] == "ab"
    assert (perturbed["score"], perturbed["cutoff"], perturbed["rung"]) == (2.0, 1.5, 1.0)
    assert (perturbed["before"], perturbed["after"]) == ("0.01", "0.125")
    assert abs(perturbed["before_unit"] - 0.5) < 1e-12
    assert rows[3]["after"] is None
    assert rows[3]["after_unit"] is None
    assert [row["diverged"] for row in rows] == [False, False, False, False, True]
