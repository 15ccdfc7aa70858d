"""Trials trained by one, two and three ranks come to the same, to float tolerance."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from raytune_pipe.training.world import ALONE, World
from tests.training.ranks import CASES, EPOCHS, SHAPES, make_trainer, norms, told

SIZES = [2, 3]
ROOT = Path(__file__).parents[2]


def near(expected: Any, rel: float = 2e-4) -> Any:
    """Equal to float tolerance: sums are taken in another order."""
    return pytest.approx(expected, rel=rel, abs=2e-6, nan_ok=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the ranks have left what they came to."""
    folder = tmp_path_factory.mktemp("ranks")
    for name in ("alone", "2", "3"):
        (folder / name).mkdir()
    trainer = make_trainer(CASES["batch norm"])
    trainer.train_epoch()
    trainer.save(folder / "alone" / "checkpoints" / "trial" / "1.pt")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-m", "tests.training.ranks"]
    processes = [
        subprocess.Popen([*command, str(rank), str(folder)], cwd=ROOT, env=environment)
        for rank in range(3)
    ]
    try:
        assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
        yield folder
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def alone() -> dict[str, tuple[list[dict[str, Any]], dict[str, Tensor]]]:
    """What one worker comes to: reports and state by case."""
    found = {}
    for name, case in CASES.items():
        trainer = make_trainer(case)
        found[name] = (
            [told(trainer.train_epoch()) for _ in range(EPOCHS)],
            trainer.model.state_dict() | trainer.loss.state_dict(),
        )
    return found


def left_by(folder: Path, size: int, rank: int, name: str) -> tuple[list[dict[str, Any]], Any]:
    number = list(CASES).index(name)
    recorded, reports, state = torch.load(folder / f"{size} {rank} {number}.pt")
    assert recorded == name
    return reports, state


def assert_near(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", CASES)
def test_several_ranks_come_to_what_one_does(
    folder: Path, alone: Any, name: str, size: int
) -> None:
    expected, expected_state = alone[name]
    reports, state = left_by(folder, size, 0, name)
    for found, report in zip(reports, expected, strict=True):
        # Two values that a batch norm sets to -1 and 1 leave little of their last digits.
        assert found["metrics"] == near(report["metrics"], 2e-3 if "two" in name else 2e-4)
        assert {**found, "metrics": None} == {**report, "metrics": None}
    if name != "diverges":
        own = {"seen"}  # a count of a model's own, which is rank 0's
        assert_near(
            {key: tensor for key, tensor in state.items() if key not in own},
            {key: tensor for key, tensor in expected_state.items() if key not in own},
        )


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", CASES)
def test_all_ranks_are_equal_to_the_last_bit(folder: Path, name: str, size: int) -> None:
    reports, state = left_by(folder, size, 0, name)
    for rank in range(1, size):
        others, other_state = left_by(folder, size, rank, name)
        assert repr(others) == repr(reports)  # NaN is not equal to itself
        if name != "diverges":
            assert all(tensor.equal(other_state[key]) for key, tensor in state.items())


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_checkpoints_serve_one_worker_and_several(folder: Path, alone: Any, size: int) -> None:
    expected, _ = alone["batch norm"]
    resumed = torch.load(folder / f"{size} 0 resumed.pt")
    for found, report in zip(resumed, expected[1:], strict=True):
        assert found["metrics"] == near(report["metrics"])
    trainers = [make_trainer(CASES["batch norm"]) for _ in range(2)]
    for trainer, source in zip(trainers, (str(size), "alone"), strict=True):
        number = 3 if source != "alone" else 1
        trainer.load(folder / source / "checkpoints" / "trial" / f"{number}.pt")
    from_several, from_one = trainers
    for _ in range(2):
        from_one.train_epoch()
    expected_metrics = from_one.train_epoch().metrics["val_loss"]
    assert from_several.train_epoch().metrics["val_loss"] == near(expected_metrics)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", SHAPES)
def test_batch_norms_of_several_ranks_are_one(folder: Path, name: str, size: int) -> None:
    kind, shape = SHAPES[name]
    expected = norms(kind, shape, ALONE)
    parts: list[dict[str, Tensor]] = [
        torch.load(folder / f"{size} {rank} norms.pt")[name] for rank in range(size)
    ]
    of_samples = ("outputs", "input gradient")
    found = {key: torch.cat([part[key] for part in parts]) for key in of_samples}
    found |= {key: torch.stack([part[key] for part in parts]).sum(0) for key in ("weight", "bias")}
    for part in parts:
        buffers = {key: part[key] for key in part.keys() - found.keys()}
        assert_near(found | buffers, expected)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_ranks_listen_on_the_loopback_interface_alone(folder: Path, size: int) -> None:
    for rank in range(size):
        assert torch.load(folder / f"{size} {rank} listens.pt") == ["0100007F"]


def test_shares_cover_a_batch_and_weigh_as_it() -> None:
    for samples in range(1, 8):
        batch = torch.arange(samples) + 10
        for size in range(1, 5):
            shares = [World(rank, size).share(batch) for rank in range(size)]
            counted = [share.samples[: share.counted] for share in shares]
            assert torch.equal(torch.cat(counted), batch)
            assert all(len(share.samples) for share in shares)
            assert sum(share.weight for share in shares) / size == pytest.approx(1)


def test_rows_are_padded_to_equal_length() -> None:
    inputs = torch.arange(7)
    rows = [World(rank, 3).rows(inputs).tolist() for rank in range(3)]
    assert rows == [[0, 1, 2], [3, 4, 5], [6, 6, 6]]


def test_one_that_is_alone_changes_nothing() -> None:
    batch, model = torch.arange(4), torch.nn.BatchNorm1d(2)
    assert ALONE.share(batch).samples is batch
    assert ALONE.rows(batch) is batch
    assert ALONE.gathered(batch, 4) is batch
    assert ALONE.prepared(model) is model
    assert ALONE.parallel(model, may_skip_weights=True) is model
    assert ALONE.seed_key == ()
