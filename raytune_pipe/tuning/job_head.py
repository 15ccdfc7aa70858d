"""Asking the head of a cluster, within seconds, whether it takes jobs from here."""

import json
import os
from collections.abc import Mapping
from http.client import HTTPException
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from raytune_pipe.base import ClusterError

ANSWER_WITHIN_S = 10.0
"""Seconds that a head has to answer."""

SCHEMES = ("http", "https")


def is_job_address(address: str) -> bool:
    """Whether an address is that of a head that takes jobs, ``http://HOST:8265``."""
    return address.partition("://")[0] in SCHEMES and "://" in address


def require_head(address: str) -> None:
    """Make sure that a Ray head of our version answers there, and knows our token.

    Raises:
        ClusterError: it does not.
    """
    parts = urlsplit(address)
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise ClusterError(
            f"--address {address}: must be http://HOST:PORT of a Ray head's dashboard, such as "
            "http://127.0.0.1:8265"
        )
    found = _version_of(address).get("ray_version")
    if not found:
        raise ClusterError(_no_head(address, "what answers there is no Ray head"))
    ours = version("ray")
    if found != ours:
        raise ClusterError(
            f"--address {address}: Ray must have one version on both sides, but the head has "
            f'{found} and this machine {ours}; here: pip install "ray[default]=={found}"'
        )


def auth_token() -> str | None:
    """The token that Ray itself would send; None where there is none, or it is switched off.

    Raises:
        ClusterError: the file that must hold it cannot be read.
    """
    if os.environ.get("RAY_AUTH_MODE", "token").lower() == "disabled":
        return None
    if given := os.environ.get("RAY_AUTH_TOKEN"):
        return given.strip()
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else Path.home() / ".ray" / "auth_token"
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        if not named:
            return None
        raise ClusterError(
            f"RAY_AUTH_TOKEN_PATH: must name the file that holds the cluster's token, but there "
            f"is no {path}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ClusterError(f"{path}: must be readable, but got: {error}") from error


class _NoRedirects(HTTPRedirectHandler):
    """A token is for the host that was named, not for one that it points to."""

    def redirect_request(self, *_arguments: Any, **_named: Any) -> None:
        return None


def _version_of(address: str) -> Mapping[str, Any]:
    """What the head says of itself; empty where what answers is no head."""
    token = auth_token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = Request(f"{address.rstrip('/')}/api/version", headers=headers)
    try:
        with build_opener(_NoRedirects).open(request, timeout=ANSWER_WITHIN_S) as response:
            told = json.loads(response.read(100_000))
    except HTTPError as error:
        raise ClusterError(_refused(address, error.code, has_token=token is not None)) from error
    except (URLError, OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise ClusterError(_no_head(address, f"none does ({reason})")) from error
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _refused(address: str, status: int, *, has_token: bool) -> str:
    if status not in (401, 403):
        return _no_head(address, f"what answers there is none (HTTP status {status})")
    got = "the one found here is another" if has_token else "none was found here"
    return (
        f"--address {address}: the token must be the cluster's, but {got}; put the head's into "
        "~/.ray/auth_token (chmod 600), or name its file by RAY_AUTH_TOKEN_PATH"
    )


def _no_head(address: str, why: str) -> str:
    return (
        f"--address {address}: a Ray head must answer there, but {why}; start one with `ray start "
        "--head`, or open the way to its port, as by `ssh -L 8265:localhost:8265 HEAD`"
    )
