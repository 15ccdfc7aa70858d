"""Who may be called: the launch on a cluster is refused where anyone could join in.

Whoever reaches the head of a Ray cluster without a token can run code on all its nodes, and reach
the driver of every run there, wherever that is.
"""

import os
import shlex

from raytune_pipe.base import ClusterError
from raytune_pipe.tuning.reaching import Head, is_loopback, is_of_this_host, reach
from raytune_pipe.tuning.tokens import MODE, read_again


def require_authenticated(address: str, *, insecure: bool = False) -> Head:
    """The head at an address, if it demands a token or is only to be reached from this machine.

    Args:
        address: ``auto``, ``HOST:PORT``, or the URL of a dashboard.
        insecure: take one on another host too that demands no token.

    Raises:
        ClusterError: it takes calls without a token; or as `reach` does.
    """
    head = reach(address)
    if not insecure:
        require_closed(head)
    return head


def require_closed(head: Head) -> None:
    """Raise `ClusterError` unless a head demands a token, or listens to this machine alone."""
    if head.demands_token or is_loopback(head.host):
        return
    raise ClusterError(
        f"--address {head.address}: a head on another host must demand a token, but this one takes "
        "calls without: anyone who reaches it can run code on its cluster, and reach the driver of "
        "this run; start it with RAY_AUTH_MODE=token in the environment (docs/security.md says "
        "how), or, if nobody else can reach it, add --insecure"
    )


def require_driver_fits(head: Head) -> None:
    """Raise `ClusterError` unless a driver on this machine can join the head's cluster."""
    from ray._private.utils import check_version_info

    here = _versions(head.ray_here, _python_here())
    metadata = {"ray_version": head.ray, "python_version": head.python}
    try:
        if head.ray:
            check_version_info(metadata, "this driver")
    except RuntimeError as error:
        raise ClusterError(
            f"--address {head.address}: all its machines must have the same versions, but its head "
            f"has {_versions(head.ray, head.python)}, and this machine {here}; install "
            f"{shlex.quote(f'ray=={head.ray}')} with that Python here"
        ) from error
    if head.nodes and not any(is_of_this_host(node) for node in head.nodes):
        raise ClusterError(
            f"--address {head.address}: the driver must run on a node of the cluster, but this "
            f"machine is none of them ({', '.join(head.nodes)}); launch from one of them, or "
            "submit a job to its dashboard: --address http://HOST:8265"
        )


def authenticate(head: Head) -> None:
    """Have Ray show the token to this head if it demands one, and else neither show nor demand it.

    A driver that demands a token which the head has not refuses the head's own calls, and Ray takes
    that as the end of each actor: every trial would fail at once.
    """
    os.environ[MODE] = "token" if head.demands_token else "disabled"
    read_again()


def _versions(ray: str, python: str) -> str:
    return f"Ray {ray} on Python {python}"


def _python_here() -> str:
    import platform

    return platform.python_version()
