"""One embedded Ray for the whole test session; property tests that repeat."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples every time: a fault that only some runs find would make a test flaky.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

# A cluster of whoever runs the tests must not take their launches.
for _address in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
    os.environ.pop(_address, None)

USER_CODE = Path(__file__).parent / "user_code"
"""Models and data sets as a user would bring them, for `kind: imported`."""


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """An embedded local Ray whose workers can import the user's code."""
    from raytune_pipe.tuning.cluster import connected

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(USER_CODE))
        with connected(None):
            yield


@pytest.fixture(autouse=True)
def _denormal_numbers() -> Iterator[None]:
    """Undo what a trainer sets for the whole process: hypothesis needs numbers below 1e-308."""
    yield
    if torch := sys.modules.get("torch"):
        torch.set_flush_denormal(False)
