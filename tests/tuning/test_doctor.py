"""A real cluster of one node, looked over: the embedded Ray of the tests."""

import os
import time
from pathlib import Path

import pytest

from raytune_pipe.base import ResultsError
from raytune_pipe.experiment import Experiment
from raytune_pipe.tuning.doctor import imported_targets, run_checks
from raytune_pipe.tuning.doctor_check import Check
from raytune_pipe.tuning.node_tasks import on_each, reason
from raytune_pipe.tuning.shared_storage import check_shared


def experiment(storage: Path, target: str) -> Experiment:
    plain = {
        "name": "x",
        "trial": {
            "dataset": {"kind": "digits"},
            "model": {"kind": "imported", "target": target},
            "loss": {"kind": "cross_entropy"},
            "optimizer": {"kind": "sgd", "lr": 0.1},
            "epochs": 1,
        },
        "trials": 1,
        "storage": str(storage),
    }
    return Experiment.model_validate(plain, strict=False)


def named(checks: list[Check], name: str) -> Check:
    (check,) = [check for check in checks if check.name == name]
    return check


def test_targets_are_found_in_the_search_space_too(tmp_path: Path) -> None:
    plain = experiment(tmp_path, "a.b:C").resolved()
    plain["search_space"] = {
        "dataset": {"kind": "choice", "options": [{"kind": "imported", "target": "d:E"}]}
    }
    assert sorted(imported_targets(plain)) == ["a.b:C", "d:E"]


def test_variables_that_are_not_set_fail_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOKEN_ELSEWHERE", raising=False)
    passing = experiment(tmp_path, "a:B").model_copy(
        update={"env_passthrough": ("TOKEN_ELSEWHERE",)}
    )
    (check,) = run_checks(None, passing)
    assert (check.name, check.verdict) == ("variables", "fail")
    assert "TOKEN_ELSEWHERE must be set" in check.found


def test_an_address_where_nothing_answers_fails() -> None:
    (check,) = run_checks("127.0.0.1:1")
    assert (check.name, check.verdict) == ("head", "fail")


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
class TestOnAnEmbeddedRay:
    def test_every_check_has_its_line(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "my_nets.py").write_text("class Wide: pass\n")
        storage = tmp_path / "results"
        checks = run_checks(None, experiment(storage, "my_nets:Wide"))
        assert [check.name for check in checks] == [
            *("head", "versions", "gpus", "disk", "disk", "/dev/shm", "memory", "open files"),
            *("network", "clock", "authentication", "shared storage", "imports", "resources"),
        ]
        assert named(checks, "authentication").found == (
            "token demanded, listens on the loopback interface"
        )
        for name in ("head", "versions", "clock", "shared storage", "imports", "resources"):
            assert named(checks, name).verdict == "ok", named(checks, name)
        assert not storage.exists()  # nothing is left of what was written there

    def test_code_that_no_worker_can_import_fails(self, tmp_path: Path) -> None:
        check = named(run_checks(None, experiment(tmp_path, "not_there:Wide")), "imports")
        assert check.verdict == "fail"
        assert "not_there:Wide: ModuleNotFoundError" in check.found
        assert len(check.nodes) == 1

    def test_a_storage_that_the_workers_do_not_see_fails(self, tmp_path: Path) -> None:
        """A path through an open file of the driver's leads somewhere for the driver alone."""
        descriptor = os.open(tmp_path, os.O_RDONLY)
        try:
            storage = Path(f"/proc/self/fd/{descriptor}/results")
            check = named(run_checks(None, experiment(storage, "os:path")), "shared storage")
        finally:
            os.close(descriptor)
        assert check.verdict == "fail"
        assert "does not see there what the driver has just written" in check.found
        assert not list(tmp_path.iterdir())

    def test_a_storage_that_cannot_be_written_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(ResultsError, match="must be writable, but got: Not a directory"):
            check_shared(str(tmp_path / "file" / "results"), [])

    def test_a_node_that_does_not_answer_is_no_hang(self) -> None:
        import ray

        (node,) = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
        assert on_each([node], lambda: 7, limit_s=60) == {node: 7}
        told = on_each([node], lambda: time.sleep(3600), limit_s=0.5)[node]
        assert isinstance(told, TimeoutError)
        told = on_each([node], lambda: Path("/not/there").read_text(), limit_s=60)[node]
        assert reason(told).startswith("FileNotFoundError: [Errno 2] No such file or directory")
        nobody = "0" * 56
        told = on_each([nobody], lambda: 7, limit_s=60)[nobody]
        assert reason(told) == "it is gone: its Ray does not answer its head"
