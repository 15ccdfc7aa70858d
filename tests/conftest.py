"""One embedded Ray for the whole test session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

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
