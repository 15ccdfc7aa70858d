"""Fits of small matrices, which BLAS threads make many times as slow."""

from collections.abc import Iterator

import pytest

from raytune_pipe.analysis.importance import one_thread


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield
