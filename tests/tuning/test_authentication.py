"""Who is called, and who is refused; with real heads on the loopback interface."""

import pytest

from raytune_pipe.base import ClusterError
from raytune_pipe.tuning.authentication import require_closed, require_driver_fits
from raytune_pipe.tuning.reaching import Head

HERE = "127.0.0.1:6379"


@pytest.mark.parametrize(
    "address",
    ["192.0.2.7:6379", "[2001:db8::7]:6379", "http://192.0.2.7:8265", "https://[2001:db8::7]/ray"],
)
def test_a_head_elsewhere_that_asks_for_no_token_is_refused(address: str) -> None:
    with pytest.raises(ClusterError, match=r"anyone who reaches it can run code .* --insecure"):
        require_closed(Head(address, demands_token=False))
    require_closed(Head(address, demands_token=True))


@pytest.mark.parametrize(
    "address",
    [HERE, "127.1.2.3:1", "[::1]:6379", "localhost:6379", "http://localhost:8265", "http://[::1]"],
)
def test_a_head_that_only_this_machine_reaches_needs_no_token(address: str) -> None:
    require_closed(Head(address, demands_token=False))


def test_other_versions_are_told_with_both() -> None:
    import platform

    import ray

    here = {"ray_here": ray.__version__, "nodes": ("127.0.0.1",)}
    python = platform.python_version()
    require_driver_fits(Head(HERE, True, ray=ray.__version__, python=python, **here))
    both = rf"head has Ray 2.1.0 on Python 3.9.9, and this machine Ray {ray.__version__} on Python"
    with pytest.raises(ClusterError, match=both) as caught:
        require_driver_fits(Head(HERE, True, ray="2.1.0", python="3.9.9", **here))
    assert "\n" not in str(caught.value)


def test_a_driver_beside_the_cluster_is_told_to_submit_a_job() -> None:
    import platform

    import ray

    versions = {"ray": ray.__version__, "python": platform.python_version()}
    head = Head(HERE, True, ray_here=ray.__version__, nodes=("192.0.2.7",), **versions)
    with pytest.raises(ClusterError, match=r"none of them \(192.0.2.7\).*http://HOST:8265"):
        require_driver_fits(head)
