"""What every member of every family must hold; a new member is tested by being in its union."""

import io
import json
from typing import Any

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from raytune_pipe.base import Component, members
from raytune_pipe.components.augmentations import Augmentations
from raytune_pipe.components.datasets import Dataset
from raytune_pipe.components.datasets import Imported as ImportedDataset
from raytune_pipe.components.datasets_arrays import Arrays
from raytune_pipe.components.datasets_binary import Cifar10, Idx
from raytune_pipe.components.datasets_images import ImageFolder
from raytune_pipe.components.datasets_parquet import Parquet
from raytune_pipe.components.initializers import Initializer
from raytune_pipe.components.losses import Loss
from raytune_pipe.components.losses_several import WeightedSum
from raytune_pipe.components.models import Imported as ImportedModel
from raytune_pipe.components.models import Model
from raytune_pipe.components.optimizers import Optimizer
from raytune_pipe.components.regularizers import Regularizers
from raytune_pipe.components.schedules import Piecewise, Schedule
from raytune_pipe.components.schedules_decay import MultiStep
from raytune_pipe.components.stoppers import Stoppers

UNIONS = (Dataset, Model, Initializer, Loss, Optimizer, Schedule)
MAPPINGS = (Augmentations, Regularizers, Stoppers)
MEMBERS = [member for family in (*UNIONS, *MAPPINGS) for member in members(family)]

REQUIRED: dict[type[Component], dict[str, Any]] = {
    Arrays: {"path": "/data/own.npz"},
    Parquet: {"path": "/data/own.parquet", "targets": ("price",)},
    ImageFolder: {"path": "/data/own"},
    Idx: {"path": "/data/mnist"},
    Cifar10: {"path": "/data/cifar-10-batches-bin"},
    ImportedDataset: {"target": "my_pkg.data:load", "args": {"fold": 3}},
    ImportedModel: {"target": "my_pkg.nets:Wide", "args": {"widths": [8, 4]}},
    MultiStep: {"milestones": (30, 60)},
    Piecewise: {"multipliers": {0: 1.0, 30: 0.1}},
    WeightedSum: {
        "terms": {
            "sign": {"loss": {"kind": "cross_entropy"}},
            "size": {"loss": {"kind": "mse"}, "weight": 0.5},
        }
    },
}

each_member = pytest.mark.parametrize(
    "member", MEMBERS, ids=lambda m: f"{m.__module__}.{m.__name__}"
)


def example(member: type[Component]) -> Component:
    return member.model_validate(REQUIRED.get(member, {}))


@each_member
def test_json_round_trip(member: type[Component]) -> None:
    component = example(member)
    assert member.model_validate_json(component.model_dump_json()) == component


@each_member
def test_yaml_round_trip(member: type[Component]) -> None:
    component = example(member)
    text = io.StringIO()
    YAML(typ="safe", pure=True).dump(component.model_dump(mode="json"), text)
    plain = YAML(typ="safe", pure=True).load(text.getvalue())
    assert member.model_validate_json(json.dumps(plain)) == component


@each_member
def test_class_and_every_field_are_described(member: type[Component]) -> None:
    assert member.__doc__
    for name, field in member.model_fields.items():
        assert field.description, f"{member.__name__}.{name} lacks a docstring"


@each_member
def test_unknown_keys_are_refused(member: type[Component]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        member.model_validate({**REQUIRED.get(member, {}), "misspelt": 1})


@each_member
def test_components_are_frozen(member: type[Component]) -> None:
    component = example(member)
    for name in member.model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(component, name, None)


@pytest.mark.parametrize("family", UNIONS, ids=lambda family: members(family)[0].__module__)
def test_kinds_of_a_union_are_distinct(family: Any) -> None:
    kinds = [member.model_fields["kind"].default for member in members(family)]
    assert len(set(kinds)) == len(kinds)
