"""Resources: shares of GPUs, and what cannot be."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from raytune_pipe.resources import Resources


@pytest.mark.parametrize(
    "resources",
    [
        {"cpus": 0},
        {"gpus": -1},
        {"gpus": 1.5},
        {"gpus": "all"},
        {"max_concurrent": 0},
        {"workers": 0},
        {"placement": "apart"},
        {"gpu_memory_gib": 0},
        {"gpus": 0, "gpu_memory_gib": 8},
        {"gpus": 0, "accelerator": "A100"},
        {"accelerator": "an A100"},
    ],
)
def test_resources_that_cannot_be_are_refused(resources: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Resources.model_validate_json(json.dumps(resources))


@pytest.mark.parametrize("gpus", [0, 0.25, 1, 2, "auto"])
def test_gpus_are_a_share_or_whole(gpus: float | str) -> None:
    assert Resources.model_validate_json(json.dumps({"gpus": gpus})).gpus == gpus
