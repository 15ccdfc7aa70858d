"""One embedded Ray for the whole test session; property tests that repeat."""

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.bucket import S3Server

# The same examples every time: a fault that only some runs find would make a test flaky.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

# A cluster of whoever runs the tests must not take their launches.
for _address in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
    os.environ.pop(_address, None)

USER_CODE = Path(__file__).parent / "user_code"
"""Models and data sets as a user would bring them, for `kind: imported`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process, and all that share the embedded Ray in one."""
    for item in items:
        shares_ray = "local_ray" in getattr(item, "fixturenames", ())
        group = "ray" if shares_ray else str(item.path.relative_to(item.config.rootpath))
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """An embedded local Ray whose workers can import the user's code."""
    from raytune_pipe.tuning.cluster import connected

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(USER_CODE))
        with connected(None):
            yield


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A real S3 server on loopback, for the whole session."""
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture
def bucket(
    s3_server: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> str:
    """The URI of a new bucket, with the environment that leads to it and a cache of its own."""
    variables = {
        "AWS_ENDPOINT_URL": s3_server.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]}"
    s3_server.make_bucket(name)
    return f"s3://{name}"


@pytest.fixture(autouse=True)
def _denormal_numbers() -> Iterator[None]:
    """Undo what a trainer sets for the whole process: hypothesis needs numbers below 1e-308."""
    yield
    if torch := sys.modules.get("torch"):
        torch.set_flush_denormal(False)
