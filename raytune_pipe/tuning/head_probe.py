"""Asks the head of a Ray cluster what it demands of a caller: the script of `reaching.reach`.

    python head_probe.py HOST:PORT|auto

A process of its own, since Ray's client waits for minutes where nothing answers, and aborts the
process that it is in where it misses a token. Prints one line of JSON.
"""

import json
import os
import sys
from typing import Any

ASKED_WITHIN_S = 5


def main() -> None:
    """Ask without a token, and with it where the head demands one."""
    answer: dict[str, Any]
    try:
        answer = _ask(sys.argv[1], may_show_token=sys.argv[2:] == ["--token"])
    except Exception as error:  # whatever Ray raises is told to the one who asked
        answer = {"error": str(error).partition("\n")[0] or type(error).__name__}
    print(json.dumps(answer))


def _ask(address: str, *, may_show_token: bool) -> dict[str, Any]:
    os.environ["RAY_AUTH_MODE"] = "disabled"
    import ray
    from ray._private.services import get_ray_address_from_environment

    if address == "auto":
        address = get_ray_address_from_environment("auto", None)
        if address is None:
            return {"error": "no Ray runs on this machine"}
    answer: dict[str, Any] = {"address": address, "demands_token": False}
    try:
        return answer | _facts(address)
    except ray.exceptions.AuthenticationError:
        answer["demands_token"] = True
    if not may_show_token:
        return answer
    os.environ["RAY_AUTH_MODE"] = "token"
    ray._raylet.Config.initialize("")
    try:
        return answer | _facts(address)
    except ray.exceptions.AuthenticationError:
        return answer | {"is_token_wrong": True}


def _facts(address: str) -> dict[str, Any]:
    """The versions of the head, those here, and the addresses of its living nodes."""
    import ray

    client = ray._raylet.GcsClient(address=address)
    kept = client.internal_kv_get(b"CLUSTER_METADATA", b"cluster", timeout=ASKED_WITHIN_S)
    metadata = json.loads(kept) if kept else {}
    nodes = client.get_all_node_info(timeout=ASKED_WITHIN_S).values()
    return {
        "ray": metadata.get("ray_version", ""),
        "python": metadata.get("python_version", ""),
        "ray_here": ray.__version__,
        "nodes": [node.node_manager_address for node in nodes if node.state == 0],  # 0: alive
    }


if __name__ == "__main__":
    main()
