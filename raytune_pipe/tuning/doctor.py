"""Looking a cluster over before an experiment is launched on it."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytune_pipe.base import ClusterError, ConfigError, RaytunePipeError
from raytune_pipe.experiment import Experiment
from raytune_pipe.results.locations import is_uri
from raytune_pipe.tuning import node_checks, node_verdicts
from raytune_pipe.tuning.cluster import Cluster, connected, require_variables
from raytune_pipe.tuning.doctor_check import Check, merged
from raytune_pipe.tuning.node_tasks import on_each, reason
from raytune_pipe.tuning.shared_storage import check_shared
from raytune_pipe.tuning.tokens import MODE

FACTS_WITHIN_S = 60.0
"""Seconds that a node has to start a worker and look itself over."""
CLOCK_WITHIN_S = 5.0
CLOCK_ASKED = 3
"""How often each clock is asked; the quickest answer bounds the offset best."""
IMPORTED_WITHIN_S = 150.0


@dataclass(frozen=True)
class Node:
    """A node that is alive, as Ray knows it."""

    id: str
    address: str
    gpus: float


def run_checks(
    address: str | None, experiment: Experiment | None = None, *, insecure: bool = False
) -> list[Check]:
    """What a cluster, or this machine with an embedded Ray, is like for an experiment.

    Args:
        address: None for an embedded local Ray, ``auto`` or ``HOST:PORT`` for a running cluster.
        experiment: its storage, resources, variables and imported code are looked at too.
        insecure: look at a cluster on another host too whose head demands no token.
    """
    variables = experiment.env_passthrough if experiment else ()
    try:
        require_variables(variables)
    except ConfigError as error:
        return [Check("variables", "fail", str(error), "export them where you launch")]
    try:
        with connected(address, variables, insecure=insecure) as cluster:
            return merged(_checks(cluster, experiment))
    except ClusterError as error:
        return [Check("head", "fail", str(error), "see the message")]


def _checks(cluster: Cluster, experiment: Experiment | None) -> Iterator[Check]:
    demands_token = os.environ.get(MODE) == "token"
    token = "a token is demanded" if demands_token else "no token is demanded"
    nodes = _nodes()
    yield Check("head", "ok", f"{cluster.head} answers, {token}; nodes: {len(nodes)}")
    facts = _facts(nodes, experiment)
    here = node_checks.versions()
    for node in nodes.values():
        found = facts[node.id]
        if isinstance(found, Exception):
            mend = "look into the logs of its raylet; end it with `ray stop` there and start it"
            yield Check("node", "fail", reason(found), mend, (node.address,))
        else:
            yield from node_verdicts.judge(node.address, found, here, node.gpus)
    answering = {id: node for id, node in nodes.items() if not isinstance(facts[id], Exception)}
    yield from _clocks(answering)
    listens = [(node.address, facts[node.id]["listens"]) for node in answering.values()]
    yield from node_verdicts.authentication(listens, demands_token=demands_token)
    if experiment:
        yield from _storage(experiment.storage, answering)
        yield from _imports(experiment, answering)
        yield _resources(cluster, experiment)


def _nodes() -> dict[str, Node]:
    import ray

    return {
        node["NodeID"]: Node(
            node["NodeID"], node["NodeManagerAddress"], node["Resources"].get("GPU", 0.0)
        )
        for node in ray.nodes()
        if node["Alive"]
    }


def _facts(nodes: Mapping[str, Node], experiment: Experiment | None) -> dict[str, Any]:
    """The facts of each node, or why it gave none."""
    import ray

    folders = [ray._private.worker._global_node.get_session_dir_path()]
    if experiment and not is_uri(experiment.storage):
        folders.append(str(Path(experiment.storage).absolute()))
    ask_torch = any(node.gpus for node in nodes.values())
    with _sent_by_value():
        return on_each(list(nodes), node_checks.facts, folders, ask_torch, limit_s=FACTS_WITHIN_S)


@contextmanager
def _sent_by_value() -> Iterator[None]:
    """What is asked travels itself, so that nodes without this package, or another, can answer."""
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(node_checks)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(node_checks)


def _clocks(nodes: Mapping[str, Node]) -> Iterator[Check]:
    for id, node in nodes.items():
        answers = [each for _ in range(CLOCK_ASKED) if (each := _ask_clock(id))]
        if answers:
            offset_s, error_s = min(answers, key=lambda answer: answer[1])
            check = node_verdicts.clock(offset_s, error_s)
            yield Check(check.name, check.verdict, check.found, check.mend, (node.address,))
        else:
            mend = "end what loads it, or start its Ray again"
            yield Check("clock", "fail", "does not answer", mend, (node.address,))


def _ask_clock(id: str) -> tuple[float, float] | None:
    """Seconds that a node's clock is ahead of ours, and how far that may be off."""
    with _sent_by_value():
        before = time.time()
        told = on_each([id], node_checks.clock, limit_s=CLOCK_WITHIN_S)[id]
        after = time.time()
    if isinstance(told, Exception):
        return None
    return told - (before + after) / 2, (after - before) / 2


def _storage(storage: str, nodes: Mapping[str, Node]) -> Iterator[Check]:
    try:
        unshared = check_shared(storage, list(nodes))
    except RaytunePipeError as error:
        yield Check("shared storage", "fail", str(error), "name another `storage`")
        return
    for id, why in unshared.items():
        mend = (
            "mount one folder under this path on all nodes, or set `storage` to s3://BUCKET/PREFIX"
        )
        yield Check("shared storage", "fail", f"{storage}: {why}", mend, (nodes[id].address,))
    if not unshared:
        written = f"{storage}: written here and read on all nodes, and the other way round"
        yield Check("shared storage", "ok", written)


def _imports(experiment: Experiment, nodes: Mapping[str, Node]) -> Iterator[Check]:
    targets = sorted(set(imported_targets(experiment.resolved())))
    if not targets:
        return
    with _sent_by_value():
        told = on_each(
            list(nodes), node_checks.imports, targets, str(Path.cwd()), limit_s=IMPORTED_WITHIN_S
        )
    mend = "install it on the nodes, or add its folder to PYTHONPATH there"
    for id, node in nodes.items():
        found = told[id]
        failures = {"imports": reason(found)} if isinstance(found, Exception) else found
        for target, why in failures.items():
            yield Check("imports", "fail", f"{target}: {why}", mend, (node.address,))
        if not failures:
            yield Check("imports", "ok", ", ".join(targets), nodes=(node.address,))


def imported_targets(plain: Any) -> Iterator[str]:
    """The targets of all components of kind ``imported`` in an experiment's plain values."""
    if isinstance(plain, Mapping):
        if plain.get("kind") == "imported" and isinstance(plain.get("target"), str):
            yield plain["target"]
        parts: Any = plain.values()
    else:
        parts = plain if isinstance(plain, list) else ()
    for part in parts:
        yield from imported_targets(part)


def _resources(cluster: Cluster, experiment: Experiment) -> Check:
    try:
        slots = cluster.slots(experiment.resources)
    except ClusterError as error:
        return Check("resources", "fail", str(error), "ask for less, or add nodes")
    return Check("resources", "ok", f"trials at once: {slots}")
