"""Files that describe a cluster, and the commands that bring it up and launch on it.

Those of Ray's cluster launcher, KubeRay manifests, Slurm batch scripts. Their tools do the work:
here is only which of their commands, in which order.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytune_pipe.base import ConfigError
from raytune_pipe.tuning.cluster_file_text import documents_of, text_of

DASHBOARD_PORT = 8265
"""Where a head takes jobs, and the first local port that is tried for a tunnel to it."""
EXPERIMENT_MAP = "raytune-pipe-experiment"
"""The ConfigMap in which a RayJob finds its experiment, as experiment.yaml."""


@dataclass(frozen=True)
class Step:
    """One command of a launch on a cluster."""

    words: tuple[str, ...]
    if_it_fails: str
    """What to do then."""
    tunnel_port: int | None = None
    """The local port it forwards for as long as the later steps take; None if it just ends."""
    decides: bool = False
    """Whether its exit code is the launch's."""

    @property
    def line(self) -> str:
        """The command as a shell takes it."""
        return shlex.join(self.words) + (" &" if self.tunnel_port else "")


@dataclass(frozen=True)
class Course:
    """The commands that launch on a cluster, in their order, and what there is to do afterwards."""

    steps: Sequence[Step]
    afterwards: str = ""
    """A command, with what it is for; empty where nothing stays."""


@dataclass(frozen=True)
class Launch:
    """What is launched: the words that name it to `raytune-pipe launch`."""

    file: str
    options: tuple[str, ...]
    """All words after the file, but none that says where it runs."""
    storage: str
    """Where its results go."""

    def step(self, address: str) -> Step:
        """The launch itself, through a head at the address; ``local`` for one on this machine."""
        words = ("raytune-pipe", "launch", self.file, *self.options, "--address", address)
        return Step(words, "see what it says above", decides=True)


def course_of(path: Path, launch: Launch, local_port: int = DASHBOARD_PORT) -> Course:
    """The commands that launch on the cluster of a file.

    A tunnel, where there is one, is opened at the local port.

    Raises:
        ConfigError: the file is of no kind that is known, or the launch does not fit it.
    """
    text = text_of(path)
    if text.startswith("#!") and re.search(r"^#SBATCH ", text, re.M):
        return _slurm_course(path, launch)
    documents = documents_of(path, text)
    for document in documents:
        kind = document.get("kind")
        if document.get("apiVersion") == "ray.io/v1" and kind == "RayCluster":
            return _ray_cluster_course(path, document, launch, local_port)
        if document.get("apiVersion") == "ray.io/v1" and kind == "RayJob":
            return _ray_job_course(path, document, launch)
    if documents == [{"kind": "local"}]:
        return Course([launch.step("local")])
    if len(documents) == 1 and {"cluster_name", "provider"} <= documents[0].keys():
        return _launcher_course(path, launch, local_port)
    raise ConfigError(
        f"{path}: must be a file of Ray's cluster launcher (cluster_name, provider), a RayCluster "
        "or RayJob of ray.io/v1, a Slurm script with #SBATCH lines, or `kind: local`, but is none "
        "of these; start from one in clusters/"
    )


def _launcher_course(path: Path, launch: Launch, local_port: int) -> Course:
    """Ray's launcher makes the cluster; a tunnel through ssh reaches the jobs of its head."""
    file = str(path)
    dashboard = ("ray", "dashboard", file, "--port", str(local_port))
    steps = [
        Step(
            # A head that runs already keeps running, and so do the jobs on it.
            ("ray", "up", "--yes", "--no-restart", file),
            "see what Ray says above; what it started stays up until: "
            + shlex.join(["ray", "down", "--yes", file]),
        ),
        Step(
            ("ray", "exec", file, "ray status"),
            "Ray does not answer on the head; to start it again: "
            + shlex.join(["ray", "up", "--yes", "--restart-only", file]),
        ),
        Step(
            (*dashboard, "--remote-port", str(DASHBOARD_PORT)),
            "the head must be reached by ssh: " + shlex.join(["ray", "attach", file]),
            tunnel_port=local_port,
        ),
        launch.step(f"http://127.0.0.1:{local_port}"),
    ]
    down = shlex.join(["ray", "down", "--yes", file])
    return Course(steps, f"the cluster stays up, and costs, until: {down}")


def _ray_cluster_course(
    path: Path, document: Mapping[str, Any], launch: Launch, local_port: int
) -> Course:
    """The operator makes the cluster; a forwarded port reaches the jobs of its head."""
    name, namespace = _name(path, document)
    inspect = shlex.join(["kubectl", *namespace, "describe", f"raycluster/{name}"])
    steps = [
        Step(
            ("kubectl", *namespace, "apply", "--filename", str(path)),
            "kubectl must reach a Kubernetes with the KubeRay operator: kubectl get crd "
            "rayclusters.ray.io",
        ),
        Step(
            (
                *("kubectl", *namespace, "wait", "--for=condition=RayClusterProvisioned"),
                *("--timeout=30m", f"raycluster/{name}"),
            ),
            f"its pods did not come up: {inspect}",
        ),
        Step(
            (
                *("kubectl", *namespace, "port-forward", "--address=127.0.0.1"),
                *(f"service/{name}-head-svc", f"{local_port}:{DASHBOARD_PORT}"),
            ),
            f"the service of its head must exist: {inspect}",
            tunnel_port=local_port,
        ),
        launch.step(f"http://127.0.0.1:{local_port}"),
    ]
    delete = shlex.join(["kubectl", *namespace, "delete", f"raycluster/{name}"])
    return Course(steps, f"the cluster stays up, and costs, until: {delete}")


def _ray_job_course(path: Path, document: Mapping[str, Any], launch: Launch) -> Course:
    """The operator makes a cluster for this one launch, runs it, and takes the cluster down."""
    name, namespace = _name(path, document)
    if launch.options:
        raise ConfigError(
            f"{path}: a RayJob launches its experiment file as it is, but got "
            f"{shlex.join(launch.options)}; write that into the file, or its options into the "
            "entrypoint there, or launch on a RayCluster"
        )
    if not (launch.storage.startswith("/") or "://" in launch.storage):
        raise ConfigError(
            f"storage: must be an absolute folder on the shared volume or a URI for {path}, since "
            f"all else is gone with its pods, but got {launch.storage}; such as "
            "/mnt/raytune-pipe/results"
        )
    job, kubectl = f"rayjob/{name}", ("kubectl", *namespace)
    remove = shlex.join([*kubectl, "delete", job, f"configmap/{EXPERIMENT_MAP}"])
    earlier = f"if an earlier one is there, ended: {remove}"
    inspect = shlex.join([*kubectl, "describe", job])
    running = "--for=jsonpath={.status.jobDeploymentStatus}=Running"
    complete = "--for=jsonpath={.status.jobDeploymentStatus}=Complete"
    steps = [
        Step(
            # Not `apply`: what a job that runs has been given must not change.
            (
                *(*kubectl, "create", "configmap", EXPERIMENT_MAP),
                f"--from-file=experiment.yaml={launch.file}",
            ),
            earlier,
        ),
        Step((*kubectl, "create", "--filename", str(path)), earlier),
        Step((*kubectl, "wait", running, "--timeout=30m", job), f"it did not start: {inspect}"),
        Step((*kubectl, "logs", "--follow", f"job/{name}"), f"it goes on all the same: {inspect}"),
        Step(
            (*kubectl, "wait", complete, "--timeout=5m", job),
            f"it ended without success; its own exit code is in status.json of its run: {inspect}",
        ),
    ]
    return Course(steps, f"before the next launch: {remove}")


def _slurm_course(path: Path, launch: Launch) -> Course:
    """Slurm queues a job that starts Ray on its nodes, launches there and ends Ray again."""
    steps = [
        Step(
            ("sbatch", str(path), launch.file, *launch.options),
            "sbatch must run on a login node, and its #SBATCH lines must fit the cluster: sinfo",
        )
    ]
    return Course(steps, "to see it in the queue: squeue --me")


def _name(path: Path, document: Mapping[str, Any]) -> tuple[str, Sequence[str]]:
    """The name of a Kubernetes object, and the words that name its namespace, if it has one."""
    metadata = document.get("metadata")
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("name"), str):
        raise ConfigError(f"{path}: metadata.name must be there; it names the object to wait for")
    namespace = metadata.get("namespace")
    return metadata["name"], ["--namespace", str(namespace)] if namespace else []
