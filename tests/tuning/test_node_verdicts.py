from typing import Any

import pytest

from raytune_pipe.tuning import node_verdicts
from raytune_pipe.tuning.doctor_check import Check, merged

GIB = 2**30
HERE = {"Python": "3.11.7", "ray": "2.60.0", "torch": "2.13.0", "raytune-pipe": "0.1.0"}


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("there", ["0.0.1", None])
def test_a_node_of_another_version_fails(name: str, there: str | None) -> None:
    assert node_verdicts.versions(HERE, HERE).verdict == "ok"
    check = node_verdicts.versions(HERE | {name: there}, HERE)
    assert check.verdict == "fail"
    assert f"{name} {there or 'missing'} (driver: {HERE[name]})" in check.found
    assert "torch==2.13.0" in check.mend


def gpu_facts(models: int, torch_gpus: int | None, cuda: str | None = "12.8") -> dict[str, Any]:
    torch = {"gpus": torch_gpus, "cuda": cuda} if torch_gpus is not None else {"error": "no"}
    return {"gpus": ["A100"] * models, "driver": "570.1" if models else None, "torch": torch}


@pytest.mark.parametrize(
    ("facts", "counted", "verdict"),
    [
        (gpu_facts(0, 0), 0, "ok"),
        (gpu_facts(2, 2), 2, "ok"),
        (gpu_facts(2, 2), 1, "warn"),
        (gpu_facts(2, 2), 3, "fail"),
        (gpu_facts(2, 0, cuda=None), 2, "fail"),
        (gpu_facts(2, None), 2, "fail"),
        (gpu_facts(0, 0), 4, "fail"),
    ],
)
def test_gpus_must_be_there_counted_and_usable(
    facts: dict[str, Any], counted: float, verdict: str
) -> None:
    check = node_verdicts.graphics(facts, counted)
    assert check.verdict == verdict
    assert bool(check.mend) == (verdict != "ok")


@pytest.mark.parametrize(
    ("check", "verdict"),
    [
        (node_verdicts.room("/x", GIB // 2, 100 * GIB), "fail"),
        (node_verdicts.room("/x", 5 * GIB, 50 * GIB), "warn"),
        (node_verdicts.room("/x", 40 * GIB, 1000 * GIB), "warn"),
        (node_verdicts.room("/x", 40 * GIB, 100 * GIB), "ok"),
        (node_verdicts.shared_memory(None), "warn"),
        (node_verdicts.shared_memory([2**26, 2**26]), "warn"),
        (node_verdicts.shared_memory([GIB, 8 * GIB]), "ok"),
        (node_verdicts.memory(None), "warn"),
        (node_verdicts.memory([GIB // 2, 8 * GIB]), "warn"),
        (node_verdicts.memory([4 * GIB, 8 * GIB]), "ok"),
        (node_verdicts.open_files(256), "fail"),
        (node_verdicts.open_files(1024), "warn"),
        (node_verdicts.open_files(65536), "ok"),
        (node_verdicts.open_files(-1), "ok"),
        (node_verdicts.network("192.0.2.7", None), "warn"),
        (node_verdicts.network("192.0.2.7", "eth0"), "ok"),
        (node_verdicts.clock(0.3, 0.01), "ok"),
        (node_verdicts.clock(-3.0, 2.5), "ok"),  # the answer took so long that it may be equal
        (node_verdicts.clock(-3.0, 0.01), "warn"),
        (node_verdicts.clock(90.0, 1.0), "fail"),
    ],
)
def test_each_limit(check: Check, verdict: str) -> None:
    assert check.verdict == verdict
    assert bool(check.mend) == (verdict != "ok")


@pytest.mark.parametrize(
    ("listens", "demands_token", "verdict"),
    [
        (["127.0.0.1:1", "[::1]:2"], True, "ok"),
        (["0.0.0.0:1"], True, "ok"),
        (["127.0.0.1:1", "[::1]:2"], False, "warn"),
        (["127.0.0.1:1", "[::]:2"], False, "fail"),
        (["192.0.2.7:1"], False, "fail"),
    ],
)
def test_an_open_cluster_fails_where_others_reach_it(
    listens: list[str], demands_token: bool, verdict: str
) -> None:
    (check,) = node_verdicts.authentication([("n", listens)], demands_token=demands_token)
    assert check.verdict == verdict


def test_what_is_the_same_on_all_nodes_is_one_line() -> None:
    found = [
        Check("gpus", "ok", "none", nodes=("a",)),
        Check("disk", "ok", "1", nodes=("a",)),
        Check("gpus", "ok", "none", nodes=("b",)),
        Check("disk", "fail", "2", "free some", nodes=("b",)),
    ]
    assert merged(found) == [
        Check("gpus", "ok", "none", nodes=("a", "b")),
        Check("disk", "ok", "1", nodes=("a",)),
        Check("disk", "fail", "2", "free some", nodes=("b",)),
    ]
