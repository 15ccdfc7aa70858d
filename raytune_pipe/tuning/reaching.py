"""Reaching the head of a Ray cluster: what answers at an address, and what it demands."""

import http.client
import ipaddress
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from raytune_pipe.base import ClusterError
from raytune_pipe.tuning import head_probe
from raytune_pipe.tuning.tokens import MODE, has_token, read_token, require_private_token

ANSWER_WITHIN_S = 12.0
"""Seconds that a head has to say who it is. Ray itself goes on asking for ten minutes and more."""
CONNECT_WITHIN_S = 5.0
FORMS = ("http://", "https://")


@dataclass(frozen=True)
class Head:
    """A head that answered, and takes our token if it demands one."""

    address: str
    """HOST:PORT, or the URL of its dashboard."""
    demands_token: bool
    ray: str = ""
    """Its version of Ray; empty where it is not known."""
    python: str = ""
    """Its version of Python; empty where it is not known."""
    ray_here: str = ""
    """The version of Ray on this machine."""
    nodes: tuple[str, ...] = ()
    """Addresses of the nodes that are alive."""

    @property
    def host(self) -> str:
        """Its host, without brackets around an IPv6 address."""
        if self.address.startswith(FORMS):
            return urlsplit(self.address).hostname or ""
        return self.address.rpartition(":")[0].strip("[]")


def reach(address: str) -> Head:
    """The head at an address: ``auto``, ``HOST:PORT``, or the URL of its dashboard.

    Raises:
        ClusterError: the address has another form, nothing answers there within 12 s, or the head
            demands a token and there is none, a wrong one, or one that others can read.
    """
    if address.startswith(FORMS):
        return _reach_dashboard(address)
    began = time.monotonic()
    if address != "auto":
        _require_connection(address)
    answer = _probe(address, ANSWER_WITHIN_S - (time.monotonic() - began))
    if "error" in answer:
        raise no_answer(address, answer["error"])
    if answer["demands_token"]:
        _require_token(address)
    if answer.get("is_token_wrong"):
        raise _wrong_token(address)
    found = {name: answer[name] for name in ("ray", "python", "ray_here")}
    nodes = tuple(answer["nodes"])
    return Head(answer["address"], answer["demands_token"], nodes=nodes, **found)


def no_answer(address: str, why: object) -> ClusterError:
    """The error where no cluster answers."""
    return ClusterError(
        f"--address {address}: a Ray cluster must answer there, but none does ({why}); start one "
        "with `ray start --head`, or leave --address out for an embedded local Ray"
    )


def is_loopback(host: str) -> bool:
    """Whether a host's name stands for this machine's loopback interface alone."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        # A link-local address carries its interface behind a percent sign.
        addresses = [str(each[4][0]).partition("%")[0] for each in found]
    except OSError:
        return False
    return all(_unmapped(address).is_loopback for address in addresses)


def _unmapped(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The IPv4 address in an IPv6 address that maps one, else the address itself."""
    parsed = ipaddress.ip_address(address)
    return getattr(parsed, "ipv4_mapped", None) or parsed


def is_of_this_host(address: str) -> bool:
    """Whether an IP address is one of this machine's: only then can a socket be bound to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as bound:
        try:
            bound.bind((address, 0))
        except OSError:
            return False
    return True


def accepts(host: str, port: int, within_s: float) -> bool:
    """Whether something there takes a connection."""
    try:
        socket.create_connection((host, port), timeout=within_s).close()
    except OSError:
        return False
    return True


def _require_connection(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit() or int(port) > 65535:
        raise ClusterError(f"--address must be auto or HOST:PORT, but got {address}")
    try:
        target = (host.strip("[]"), int(port))
        socket.create_connection(target, timeout=CONNECT_WITHIN_S).close()
    except OSError as error:
        raise no_answer(address, error) from error


def _probe(address: str, limit_s: float) -> dict[str, Any]:
    """What `head_probe` finds; ``error`` where it finds nothing, or not in time."""
    # The safe path keeps the current folder out: a module there must not stand in for one of Ray's.
    command = [sys.executable, "-P", head_probe.__file__, address]
    if has_token() and not _is_token_readable_by_others():
        command.append("--token")
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=limit_s,
            env={name: value for name, value in os.environ.items() if name != MODE},
        )
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        return {"error": f"what listens there does not answer as Ray does within {limit_s:.0f} s"}
    except (IndexError, ValueError):
        return {"error": f"asking it ended with exit code {done.returncode}"}
    return answer


def _is_token_readable_by_others() -> bool:
    try:
        require_private_token()
    except ClusterError:
        return True
    return False


def _require_token(address: str) -> None:
    require_private_token()
    if not has_token():
        raise ClusterError(
            f"--address {address}: its head demands a token, but there is none here; copy it from "
            "~/.ray/auth_token of the head's user to ~/.ray/auth_token (chmod 600), or name its "
            "file by RAY_AUTH_TOKEN_PATH"
        )


def _wrong_token(address: str) -> ClusterError:
    where = "RAY_AUTH_TOKEN" if os.environ.get("RAY_AUTH_TOKEN") else "the token's file"
    return ClusterError(
        f"--address {address}: its head demands a token, but not the one in {where}; "
        "copy it again from ~/.ray/auth_token of the head's user"
    )


def _reach_dashboard(url: str) -> Head:
    """The head behind a dashboard."""
    status, body = _get(url, {})
    demands_token = status in (401, 403)
    if demands_token:
        _require_token(url)
        status, body = _get(url, {"Authorization": f"Bearer {read_token()}"})
        if status in (401, 403):
            raise _wrong_token(url)
    try:
        version = str(json.loads(body)["ray_version"]) if status == 200 else None
    except (KeyError, TypeError, ValueError):
        version = None
    if version is None:
        raise no_answer(url, f"what listens there is no Ray dashboard: HTTP status {status}")
    return Head(url, demands_token, ray=version)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to wherever it leads."""

    def redirect_request(self, *args: Any) -> None:
        """Follow none."""


def _get(url: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """Status and body of the dashboard's page on its version."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        direct = [urllib.request.ProxyHandler({})] if is_loopback(host) else []
        opener = urllib.request.build_opener(_NoRedirect, *direct)
        asked = urllib.request.Request(f"{url.rstrip('/')}/api/version", headers=headers)
        with opener.open(asked, timeout=CONNECT_WITHIN_S) as answer:
            return answer.status, answer.read(100_000)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b""
    except http.client.HTTPException:
        raise no_answer(url, "what listens there does not speak HTTP") from None
    except (OSError, ValueError) as error:
        raise no_answer(url, getattr(error, "reason", None) or error) from None
