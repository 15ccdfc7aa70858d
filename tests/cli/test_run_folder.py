"""Commands that are told a run by its URI."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from raytune_pipe import read_results
from raytune_pipe.results.object_store import ObjectStore
from raytune_pipe.results.run_directory import RunDirectory
from tests.results.conftest import SGD, end, experiment, plan, report, start

Command = Callable[..., Result]


@pytest.fixture
def uri(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run in a bucket that another machine has made."""
    planned = plan("00000", SGD)
    planned["leaves"]["epochs"] = 3  # type: ignore[typeddict-item]  # it is a plan
    with RunDirectory.claim(bucket, "small") as run:
        run.journal.append(experiment("last"), planned, start("00000"))
        run.journal.append(report("00000", 1, 0.5, SGD, checkpoint=None))
        run.journal.append(end("00000", "completed", "budget"))
        run.rebuild()
        run.begin_copying(3600)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    return f"{bucket}/small"


def test_a_run_is_looked_at_through_a_copy_that_is_gone_afterwards(
    command: Command, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    found = command("status", uri, "--json")
    assert (found.exit_code, json.loads(found.stdout)["path"]) == (0, uri)
    found = command("verify", uri)
    assert (found.exit_code, found.stdout[:4]) == (0, "ok: ")
    assert found.stdout.endswith(f"next: raytune-pipe analyze {uri}\n")
    assert command("logs", uri).stdout.endswith(f"next: raytune-pipe status {uri}\n")
    assert not list(scratch.iterdir())
    assert not (tmp_path / "elsewhere").exists()


def test_results_are_read_by_their_uri(uri: str) -> None:
    assert read_results(uri).reports["val_loss"].tolist() == [0.5]


def test_verify_names_each_damaged_object(command: Command, uri: str) -> None:
    store = ObjectStore(uri)
    (segment,) = store.keys("journal")
    (status,) = (key for key in store.keys("files") if key.endswith("status.json"))
    store.put(segment, b"other")
    store.delete(status)
    found = command("verify", uri)
    assert found.exit_code == 5
    assert f"damaged: {segment}: must have the SHA-256 " in found.stdout
    assert f"damaged: {status}: must have the SHA-256 " in found.stdout
    assert "\n2 problems: " in found.stdout


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("ftp://host/run", "must be a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX"),
        ("s3://key:secret@bucket/run", "without credentials or options"),
        ("s3://bucket/run?region=x", "without credentials or options"),
    ],
)
def test_a_location_that_is_none_is_refused(command: Command, location: str, says: str) -> None:
    found = command("status", location)
    assert found.exit_code == 2
    assert says in found.stderr
