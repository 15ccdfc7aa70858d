import hashlib
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from raytune_pipe.base import ResultsError, TrialError
from raytune_pipe.training.checkpoints import (
    Checkpoint,
    check_fits,
    load_checkpoint,
    save_checkpoint,
)

CPU = torch.device("cpu")


def checkpoint(width: int = 3, score: float = 0.5) -> Checkpoint:
    return Checkpoint(
        weights=dict(nn.Linear(2, width).state_dict()),
        optimizer="sgd",
        buffers={0: {"momentum_buffer": torch.ones(width, 2)}},
        epoch=2,
        step=14,
        scores=[1.5, score],
        time_s=0.25,
    )


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    saved = checkpoint()
    path = tmp_path / "new folder" / "1.pt"
    sha256 = save_checkpoint(path, saved)
    loaded = load_checkpoint(path, CPU)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [entry.name for entry in path.parent.iterdir()] == ["1.pt"]
    assert all(torch.equal(loaded.weights[name], saved.weights[name]) for name in saved.weights)
    assert torch.equal(loaded.buffers[0]["momentum_buffer"], saved.buffers[0]["momentum_buffer"])
    assert (loaded.epoch, loaded.step, loaded.scores, loaded.time_s) == (2, 14, [1.5, 0.5], 0.25)


def test_equal_states_have_equal_hashes(tmp_path: Path) -> None:
    state = checkpoint()
    assert save_checkpoint(tmp_path / "1.pt", state) == save_checkpoint(tmp_path / "2.pt", state)


def test_a_failed_save_leaves_the_file_before_it(tmp_path: Path) -> None:
    path = tmp_path / "1.pt"
    save_checkpoint(path, checkpoint())
    before = path.read_bytes()
    broken = checkpoint()
    broken.buffers[0]["hook"] = lambda: None
    with pytest.raises((AttributeError, pickle.PicklingError)):
        save_checkpoint(path, broken)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["1.pt"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kept=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_a_trial_error(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "1.pt"
    save_checkpoint(path, checkpoint())
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(TrialError, match=r"must be a complete file .* start from another"):
        load_checkpoint(path, CPU)


def test_a_missing_file_is_a_trial_error(tmp_path: Path) -> None:
    with pytest.raises(TrialError, match=r"none\.pt"):
        load_checkpoint(tmp_path / "none.pt", CPU)


class Payload:
    """What a hostile file would hold: unpickling it creates a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.trace,))


def test_code_in_a_file_is_refused_unrun(tmp_path: Path) -> None:
    path = tmp_path / "1.pt"
    torch.save({"format": 1, "weights": Payload(tmp_path / "trace")}, path)
    with pytest.raises(TrialError):
        load_checkpoint(path, CPU)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("content", [[1, 2], {}, {"format": 0}, {"format": 1, "weights": {}}])
def test_a_file_of_another_kind_is_a_trial_error(tmp_path: Path, content: object) -> None:
    path = tmp_path / "1.pt"
    torch.save(content, path)
    with pytest.raises(TrialError):
        load_checkpoint(path, CPU)


def test_fits_its_own_model_only() -> None:
    check_fits(checkpoint(3), nn.Linear(2, 3), nn.MSELoss(), "sgd")
    with pytest.raises(TrialError, match=r"'weight' has shape \(3, 2\) in it and \(4, 2\)"):
        check_fits(checkpoint(3), nn.Linear(2, 4), nn.MSELoss(), "sgd")
    with pytest.raises(TrialError, match=r"'bias' has shape \(3,\) in it and none"):
        check_fits(checkpoint(3), nn.Linear(2, 3, bias=False), nn.MSELoss(), "sgd")
    with pytest.raises(TrialError, match="optimizer kind, 'adamw', but got 'sgd'"):
        check_fits(checkpoint(3), nn.Linear(2, 3), nn.MSELoss(), "adamw")


def test_a_checkpoint_that_finds_no_room_says_how_much_it_needs(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    program = "\n".join(
        [
            "import resource, signal, sys, torch",
            "from pathlib import Path",
            "from raytune_pipe.base import ResultsError",
            "from raytune_pipe.training.checkpoints import Checkpoint, save_checkpoint",
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)",
            "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))",
            "weights = {'w': torch.zeros(100_000)}",
            "try:",
            "    save_checkpoint(Path(sys.argv[1]), Checkpoint(weights, 'sgd', {}, 1, 1, [], 0.0))",
            "except ResultsError as error:",
            "    print(error)",
        ]
    )
    path = run / "checkpoints" / "00000" / "1.pt"
    told = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    ).stdout
    assert f"{path}: must be written, but got: File too large" in told
    assert re.search(r"bytes free, 40[0-9],[0-9]{3} needed", told)
    assert told.strip().endswith(f"raytune-pipe resume {run}")
    assert list(path.parent.iterdir()) == []


def test_a_run_that_was_moved_away_does_not_come_up_again(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="put it back where it was"):
        save_checkpoint(tmp_path / "run" / "checkpoints" / "00000" / "1.pt", checkpoint())
    assert list(tmp_path.iterdir()) == []
