"""One embedded Ray for the whole test session."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

USER_CODE = Path(__file__).parent / "user_code"
"""Models and data sets as a user would bring them, for `kind: imported`."""


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """An embedded local Ray whose workers can import the user's code."""
    from raytune_pipe.tuning.cluster import connected

    sys.path.insert(0, str(USER_CODE))
    with connected(None):
        yield
    sys.path.remove(str(USER_CODE))
