"""What the facts of a node mean: pure functions from facts to checks."""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from raytune_pipe.tuning.doctor_check import Check, Verdict

GIB = 2**30

LEAST_ROOM_BYTES = GIB
LITTLE_ROOM_BYTES = 10 * GIB
MOST_USED = 0.95
"""Share of a file system in use at which Ray writes no more objects to it."""
LITTLE_SHM_BYTES = GIB
"""What Docker gives a container by default, 64 MiB, has Ray use a slow disk in its place."""
LITTLE_MEMORY_BYTES = GIB
LEAST_FILES, FEW_FILES = 1024, 4096
OFF_S, FAR_OFF_S = 1.0, 60.0
"""Seconds between two clocks: times in the results no longer compare; tokens of clouds expire."""


def judge(node: str, facts: Mapping[str, Any], here: Mapping[str, Any], gpus: float) -> list[Check]:
    """All that the facts of one node say.

    Args:
        node: its address.
        facts: as `node_checks.facts` gives them.
        here: the versions on the driver's machine, as `node_checks.versions` gives them.
        gpus: how many Ray counts there.
    """
    rooms = [room(folder, *found) for folder, found in facts["room"].items() if found]
    found = [
        versions(facts["versions"], here),
        graphics(facts, gpus),
        *rooms,
        shared_memory(facts["shm"]),
        memory(facts["memory"]),
        open_files(facts["open_files"][0]),
        network(node, facts["interface"]),
    ]
    return [Check(each.name, each.verdict, each.found, each.mend, (node,)) for each in found]


def versions(there: Mapping[str, str | None], here: Mapping[str, str | None]) -> Check:
    """Whether a node has the versions that the driver has."""
    differing = [
        f"{name} {there.get(name) or 'missing'} (driver: {version})"
        for name, version in here.items()
        if there.get(name) != version
    ]
    if not differing:
        same = [f"{name} {version}" for name, version in here.items() if " " not in name]
        return Check("versions", "ok", ", ".join(same))
    wanted = [f"{name}=={here[name]}" for name in ("ray", "torch", "raytune-pipe") if here[name]]
    return Check(
        "versions",
        "fail",
        "; ".join(differing),
        f"install there what the driver has: Python {here['Python']} and pip install"
        f" {' '.join(wanted)}",
    )


def graphics(facts: Mapping[str, Any], counted: float) -> Check:
    """Whether the GPUs that the node has, Ray counts and torch can use are the same."""
    models, driver, torch = facts["gpus"], facts["driver"], facts["torch"]
    if not models and not counted:
        return Check("gpus", "ok", "none")
    found = f"{len(models)} ({', '.join(sorted(set(models))) or 'no NVIDIA device'}),"
    found += f" driver {driver or 'missing'}, Ray counts {counted:g}"
    if torch is None or "error" in torch:
        return Check("gpus", "fail", f"{found}, {torch and torch['error']}", "reinstall torch")
    found += f", torch for CUDA {torch['cuda'] or 'none'} sees {torch['gpus']}"
    if counted > len(models):
        mend = "start the node with `ray start --num-gpus` as many as it has"
        return Check("gpus", "fail", found, mend)
    if torch["gpus"] < counted:
        mend = "install a build of torch for CUDA that this driver can run (pytorch.org)"
        return Check("gpus", "fail", found, mend)
    if counted < len(models):
        mend = "the rest is not used; start the node with `ray start --num-gpus`, if it should be"
        return Check("gpus", "warn", found, mend)
    return Check("gpus", "ok", found)


def room(folder: str, free: int, total: int) -> Check:
    """Whether a folder has room for what a run writes."""
    found = f"{folder}: {free / GIB:.1f} of {total / GIB:.1f} GiB free"
    if free < LEAST_ROOM_BYTES:
        return Check("disk", "fail", found, "free some, or name another folder")
    if free < LITTLE_ROOM_BYTES or free < (1 - MOST_USED) * total:
        mend = "checkpoints may not fit, and Ray spills nothing to a disk 95 % full; free some"
        return Check("disk", "warn", found, mend)
    return Check("disk", "ok", found)


def shared_memory(found: list[int] | None) -> Check:
    """Whether /dev/shm has room for Ray's objects."""
    if found is None:
        mend = "Ray keeps its objects on disk instead, which is slow; mount a tmpfs there"
        return Check("/dev/shm", "warn", "missing", mend)
    free, total = found
    text = f"{free / GIB:.1f} of {total / GIB:.1f} GiB free"
    if total < LITTLE_SHM_BYTES:
        mend = "Ray uses a disk instead, which is slow; in a container: docker run --shm-size=4g"
        return Check("/dev/shm", "warn", text, mend)
    return Check("/dev/shm", "ok", text)


def memory(found: list[int] | None) -> Check:
    """Whether there is memory left for trials."""
    if found is None:
        return Check("memory", "warn", "unknown", "/proc/meminfo must be readable there")
    available, total = found
    text = f"{available / GIB:.1f} of {total / GIB:.1f} GiB available"
    if available < LITTLE_MEMORY_BYTES:
        mend = "a trial takes half a GiB and more; end what else runs there"
        return Check("memory", "warn", text, mend)
    return Check("memory", "ok", text)


def open_files(limit: int) -> Check:
    """Whether a process may open as many files as Ray's do."""
    text = "no limit" if limit < 0 else f"limit {limit:,}"
    if limit < 0 or limit >= FEW_FILES:
        return Check("open files", "ok", text)
    verdict: Verdict = "fail" if limit < LEAST_FILES else "warn"
    return Check("open files", verdict, text, "ulimit -n 65536 before `ray start`")


def network(address: str, interface: str | None) -> Check:
    """Which interface other nodes reach the node by."""
    if interface is None and "." in address:
        mend = "start it with --node-ip-address set to an address that the other nodes can reach"
        return Check("network", "warn", "no interface has the address Ray knows it by", mend)
    return Check("network", "ok", f"interface {interface or 'unknown'}")


def clock(offset_s: float, error_s: float) -> Check:
    """Whether a node's clock agrees with the driver's; the offset is known to an error."""
    found = f"{offset_s:+.3f} s from the driver's, known to {error_s:.3f} s"
    surely = abs(offset_s) - error_s
    if surely <= OFF_S:
        return Check("clock", "ok", found)
    mend = "have chrony or systemd-timesyncd run there: timedatectl set-ntp true"
    return Check("clock", "fail" if surely > FAR_OFF_S else "warn", found, mend)


def authentication(
    listens: Iterable[tuple[str, list[str]]], *, demands_token: bool
) -> Iterator[Check]:
    """Whether anyone but us can give orders to the cluster.

    Args:
        listens: each node's address, and HOST:PORT of all sockets that Ray listens on there.
        demands_token: whether it takes calls with a token alone.
    """
    for node, sockets in listens:
        public = sorted({_host(each) for each in sockets if not _is_loopback(each)})
        where = f"listens on {', '.join(public)}" if public else "listens on the loopback interface"
        if demands_token:
            yield Check("authentication", "ok", f"token demanded, {where}", nodes=(node,))
        elif public:
            mend = (
                "anyone who reaches it can run code: start the cluster with RAY_AUTH_MODE=token"
                " (docs/security.md)"
            )
            found = f"no token demanded, {where}"
            yield Check("authentication", "fail", found, mend, (node,))
        else:
            mend = (
                "other users of this machine can run code as you: RAY_AUTH_MODE=token ray start"
                " (docs/security.md)"
            )
            found = f"no token demanded, {where}"
            yield Check("authentication", "warn", found, mend, (node,))


def _host(socket: str) -> str:
    return socket.rpartition(":")[0].strip("[]")


def _is_loopback(socket: str) -> bool:
    return ipaddress.ip_address(_host(socket)).is_loopback
