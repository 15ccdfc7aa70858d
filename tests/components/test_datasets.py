import subprocess
import sys

import pytest
import torch

from raytune_pipe.base import ConfigError
from raytune_pipe.components.datasets import Digits, Imported
from raytune_pipe.components.task import Data, Split, Task


def test_digits_are_split_and_standardized() -> None:
    data = Digits().load()
    assert data.task == Task("classification", (1, 8, 8), 10)
    assert [len(split.inputs) for split in (data.train, data.validation, data.test)] == [
        1079,
        359,
        359,
    ]
    assert data.train.inputs.mean().item() == pytest.approx(0, abs=1e-6)
    assert data.train.inputs.std(correction=0).item() == pytest.approx(1, abs=1e-6)
    assert data.train.inputs.dtype == torch.float32
    assert data.train.targets.dtype == torch.int64


@pytest.mark.slow
def test_digits_equal_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    data, reference = Digits().load(), load_digits()
    splits = (data.train, data.validation, data.test)
    ours = torch.cat([split.inputs for split in splits]).flatten(1)
    theirs = torch.from_numpy(reference.data).float()
    # undo the standardization by the known extremes, 0 and 16
    ours = (ours - ours.min()) / (ours.max() - ours.min()) * 16
    rows = sorted(map(tuple, ours.round().int().tolist()))
    assert rows == sorted(map(tuple, theirs.int().tolist()))


@pytest.mark.slow
def test_digits_do_not_import_scikit_learn() -> None:
    code = (
        "import sys; from raytune_pipe.components.datasets import Digits; Digits().load();"
        "sys.exit('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def own_data(samples: int) -> Data:
    split = Split(torch.randn(samples, 4), torch.randn(samples, 1))
    return Data(split, split, split, Task("regression", (4,), 1))


def test_imported_gives_the_users_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raytune_pipe.components.task.own_data", own_data, raising=False)
    component = Imported(target="raytune_pipe.components.task:own_data", args={"samples": 6})
    assert component.load().train.inputs.shape == (6, 4)


def test_imported_refuses_what_is_no_data() -> None:
    with pytest.raises(ConfigError, match=r"must return .*Data, but returned a OrderedDict"):
        Imported(target="collections:OrderedDict", args={}).load()
