"""What every dataset must hold; a new member is tested by being made here."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits

from raytune_pipe.base import ConfigError, members
from raytune_pipe.components import datasets_binary
from raytune_pipe.components.datasets import Dataset, Digits, Imported
from raytune_pipe.components.datasets_synthetic import Synthetic
from raytune_pipe.components.datasets_tables import BreastCancer, Diabetes, Wine
from raytune_pipe.components.datasets_text import Text
from raytune_pipe.components.models import Mlp
from raytune_pipe.components.task import Data, Split, Task
from tests.components.dataset_files import OWN


@pytest.fixture(autouse=True)
def _small_cifar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets_binary, "CIFAR_RECORDS", 20)


WITHOUT_FILES: dict[str, type[Dataset]] = {
    "digits": Digits,
    "breast_cancer": BreastCancer,
    "wine": Wine,
    "diabetes": Diabetes,
    "text": Text,
    "synthetic": Synthetic,
}

KINDS = [*WITHOUT_FILES, *OWN]
OF_CLASSES = ["digits", "breast_cancer", "wine", "synthetic", "arrays", "parquet", "image_folder"]
"""Whose test part is split off too: not those that come with one."""

each_dataset = pytest.mark.parametrize("kind", KINDS)
each_of_numbers = pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "text"])
each_of_classes = pytest.mark.parametrize("kind", OF_CLASSES)


def made(kind: str, folder: Path, **settings: Any) -> Dataset:
    if kind in WITHOUT_FILES:
        return WITHOUT_FILES[kind](**settings)
    return OWN[kind](folder, **settings)


def parts(data: Data) -> dict[str, Split]:
    return {"train": data.train, "validation": data.validation, "test": data.test}


def test_every_dataset_is_tested_here() -> None:
    kinds = {member.model_fields["kind"].default for member in members(Dataset)}
    assert kinds - {"imported"} == set(KINDS)


@each_dataset
def test_samples_are_as_the_task_says(kind: str, tmp_path: Path) -> None:
    data = made(kind, tmp_path).load()
    task = data.task
    for split in parts(data).values():
        assert split.inputs.shape[1:] == task.input_shape
        assert len(split.inputs) == len(split.targets) > 0
        if task.tokens is not None:
            assert split.inputs.dtype == split.targets.dtype == torch.int64
            assert split.inputs.shape == split.targets.shape
            assert 0 <= int(split.inputs.min()) <= int(split.inputs.max()) < task.tokens
        else:
            assert split.inputs.dtype == torch.float32
            assert split.inputs.isfinite().all()
        if task.kind == "classification":
            assert split.targets.dtype == torch.int64
            assert 0 <= int(split.targets.min()) <= int(split.targets.max()) < task.outputs
        else:
            assert split.targets.shape[1:] == (sum(map(columns, tasks(task))),)
            assert split.targets.dtype == torch.float32


def tasks(task: Task) -> list[Task]:
    return list(task.parts.values()) or [task]


def columns(task: Task) -> int:
    return task.columns


@each_dataset
def test_two_loads_are_equal(kind: str, tmp_path: Path) -> None:
    dataset = made(kind, tmp_path)
    torch.manual_seed(1)
    first = dataset.load()
    torch.manual_seed(2)
    second = dataset.load()
    assert first.task == second.task
    for ours, theirs in zip(parts(first).values(), parts(second).values(), strict=True):
        assert torch.equal(ours.inputs, theirs.inputs)
        assert torch.equal(ours.targets, theirs.targets)


@each_of_numbers
def test_no_sample_is_in_two_parts(kind: str, tmp_path: Path) -> None:
    data = made(kind, tmp_path).load()
    samples = torch.cat([split.inputs.flatten(1) for split in parts(data).values()])
    assert len({tuple(sample) for sample in samples.tolist()}) == len(samples)


@each_of_classes
def test_every_class_is_in_each_part_in_proportion(kind: str, tmp_path: Path) -> None:
    data = made(kind, tmp_path).load()
    counts = {
        part: split.targets.bincount(minlength=data.task.outputs)
        for part, split in parts(data).items()
    }
    total = torch.stack(list(counts.values())).sum(0)
    for part in ("validation", "test"):
        share = len(parts(data)[part].targets) / int(total.sum())
        assert (counts[part] - share * total).abs().max() <= 1


@each_of_numbers
def test_inputs_are_standardized_by_the_training_part(kind: str, tmp_path: Path) -> None:
    data = made(kind, tmp_path).load()
    axes = (0, *range(2, data.train.inputs.ndim))
    inputs = data.train.inputs.double()
    torch.testing.assert_close(inputs.mean(axes).abs().max().item(), 0.0, atol=1e-5, rtol=0)
    deviations = inputs.std(axes, correction=0)
    assert torch.all((deviations - 1).abs().lt(1e-5) | deviations.eq(0))


@each_dataset
def test_max_samples_thins_out_the_training_part_alone(kind: str, tmp_path: Path) -> None:
    whole = made(kind, tmp_path).load()
    few, fewer = (made(kind, tmp_path, max_samples=count).load() for count in (30, 12))
    assert [len(data.train.inputs) for data in (few, fewer)] == [30, 12]
    assert few.task == whole.task
    for part in ("validation", "test"):
        assert torch.equal(parts(few)[part].inputs, parts(whole)[part].inputs)
        assert torch.equal(parts(few)[part].targets, parts(whole)[part].targets)
    # standardized as they were, and the smaller choice is part of the larger one
    for smaller, larger in ((few, whole), (fewer, few)):
        rows = {tuple(row.tolist()) for row in larger.train.inputs.flatten(1)}
        assert {tuple(row.tolist()) for row in smaller.train.inputs.flatten(1)} <= rows
    if kind in OF_CLASSES:
        counts = [
            data.train.targets.bincount(minlength=whole.task.outputs) for data in (few, whole)
        ]
        expected = counts[1] * 30 / len(whole.train.targets)
        assert (counts[0] - expected).abs().max() <= 1


@each_of_numbers
def test_an_mlp_can_be_built_on_it(kind: str, tmp_path: Path) -> None:
    data = made(kind, tmp_path).load()
    outputs = Mlp(widths=(4,)).build(data.task)(data.train.inputs[:6])
    assert outputs.shape == (6, data.task.outputs)
    assert data.task.plain_loss(outputs, data.train.targets[:6]).isfinite()


def test_digits_are_those_of_scikit_learn() -> None:
    data = Digits().load()
    ours = torch.cat([split.inputs for split in parts(data).values()]).flatten(1)
    theirs = torch.from_numpy(load_digits().data).float()
    # scaled by one mean and one deviation, since there is one channel
    ours = (ours - ours.min()) / (ours.max() - ours.min()) * 16
    rows = sorted(map(tuple, ours.round().int().tolist()))
    assert rows == sorted(map(tuple, theirs.int().tolist()))


@pytest.mark.slow
def test_bundled_tables_do_not_import_scikit_learn() -> None:
    code = (
        "import sys; from raytune_pipe.components.datasets import *;"
        "[one().load() for one in (Digits, BreastCancer, Wine, Diabetes)];"
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
