"""The manifests hold only fields that KubeRay and Kubernetes know, and are safe as they are."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((Path(__file__).parent / "kuberay_v1.schema.json").read_text())
FILES = ["kuberay-raycluster.yaml", "kuberay-rayjob.yaml"]


def manifest(name: str) -> dict[str, Any]:
    [document] = yaml.safe_load_all((ROOT / "clusters" / name).read_text())
    return dict(document)


def cluster_of(document: dict[str, Any]) -> dict[str, Any]:
    """The specification of the cluster, in a RayJob that of its own."""
    return dict(document["spec"].get("rayClusterSpec", document["spec"]))


def kubernetes_problems(kind: str, value: Any, path: str = "") -> Iterator[str]:
    """What Kubernetes would refuse in a value of one of its types, as its own client knows them."""
    from kubernetes.client import models

    if match := re.fullmatch(r"(list|dict)\[(?:str, )?(\w+)\]", kind):
        expected = {"list": list, "dict": dict}[match[1]]
        if not isinstance(value, expected):
            yield f"{path}: must be a {match[1]}, but got {value!r}"
            return
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in items:
            yield from kubernetes_problems(match[2], each, f"{path}.{key}")
    elif kind in ("str", "int", "bool"):
        if type(value).__name__ != kind:
            yield f"{path}: must be {kind}, but got {value!r}"
    elif kind != "object":
        model = getattr(models, kind)
        fields = {name: field for field, name in model.attribute_map.items()}
        if not isinstance(value, dict):
            yield f"{path}: must be a mapping, but got {value!r}"
            return
        yield from (f"{path}.{name}: not known" for name in value if name not in fields)
        known = {fields[name]: each for name, each in value.items() if name in fields}
        for field, each in known.items():
            name = model.attribute_map[field]
            yield from kubernetes_problems(model.openapi_types[field], each, f"{path}.{name}")
        try:
            model(**{name: each for name, each in known.items() if each is not None})
        except ValueError as error:  # a field that must be there is not
            yield f"{path}: {error}"


def kubernetes_keyword(
    _validator: object, kind: str, value: Any, _schema: object
) -> Iterator[ValidationError]:
    for problem in kubernetes_problems(kind, value):
        yield ValidationError(problem)


# The stubs of jsonschema leave `extend` without types.
Validator = extend(  # type: ignore[no-untyped-call]  # see above
    Draft202012Validator, {"kubernetes": kubernetes_keyword}
)


def problems(document: dict[str, Any]) -> list[str]:
    return [error.message for error in Validator(SCHEMA).iter_errors(document)]


def rule_faults(document: dict[str, Any]) -> Iterator[str]:
    """What the operator checks beyond its schema (KubeRay's validation.go), where we use it."""
    cluster, job = cluster_of(document), document["spec"]
    if not re.fullmatch(r"[a-z]([-a-z0-9]{0,45}[a-z0-9])?", document["metadata"]["name"]):
        yield "metadata.name must be a short DNS label that begins with a letter"
    if cluster["authOptions"]["mode"] == "token" and cluster["rayVersion"] < "2.52":
        yield "rayVersion must be 2.52 or later for tokens"
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    if cluster["autoscalerOptions"]["version"] == "v2" and any(
        group["template"]["spec"].get("restartPolicy", "Never") != "Never" for group in groups
    ):
        yield "restartPolicy must be Never or left out under autoscaler v2"
    for group in cluster["workerGroupSpecs"]:
        if not 0 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]:
            yield "minReplicas, replicas, maxReplicas must rise"
    if job.get("ttlSecondsAfterFinished") and not job.get("shutdownAfterJobFinishes"):
        yield "ttlSecondsAfterFinished needs shutdownAfterJobFinishes"


@pytest.mark.parametrize("name", FILES)
def test_manifests_hold_what_kuberay_takes(name: str) -> None:
    document = manifest(name)
    assert problems(document) == []
    assert list(rule_faults(document)) == []


FAULTS = {
    "a misspelt field of KubeRay": ("enableIntreeAutoscaling", True),
    "a number where a string must be": ("headGroupSpec.rayStartParams.num-cpus", 0),
    "a misspelt field of a pod": ("headGroupSpec.template.spec.tolerations", [{"kee": "x"}]),
    "a wrong type in a pod": ("headGroupSpec.template.spec.containers.0.ports.0.name", 6379),
    "a container without a name": ("headGroupSpec.template.spec.containers", [{"image": "x"}]),
    "a mode that is none": ("authOptions.mode", "tokens"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_manifest_is_found(name: str, fault: str) -> None:
    document = copy.deepcopy(manifest(name))
    path, value = FAULTS[fault]
    *above, last = path.split(".")
    place: Any = document["spec"].get("rayClusterSpec", document["spec"])
    for part in above:
        place = place[int(part) if part.isdigit() else part]
    place[last] = value
    assert problems(document) != []


def test_the_volume_is_one_that_kubernetes_takes() -> None:
    claim = manifest("kuberay-storage.yaml")
    assert list(kubernetes_problems("V1PersistentVolumeClaim", claim)) == []
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for name in FILES:
        for pod in pods(name):
            [storage] = [each for each in pod["volumes"] if each["name"] == "storage"]
            assert storage["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


def pods(name: str) -> list[dict[str, Any]]:
    cluster = cluster_of(manifest(name))
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


@pytest.mark.parametrize("name", FILES)
def test_pods_are_bounded_unprivileged_and_see_the_storage(name: str) -> None:
    for pod in pods(name):
        assert pod["securityContext"]["runAsNonRoot"]
        [container] = pod["containers"]
        assert container["resources"]["limits"] == container["resources"]["requests"]
        assert container["securityContext"] == {"allowPrivilegeEscalation": False}
        mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
        assert mounts["storage"] == "/mnt/raytune-pipe"
        assert mounts["shm"] == "/dev/shm"
        assert {each["name"] for each in pod["volumes"]} == set(mounts)
        [shm] = [each for each in pod["volumes"] if each["name"] == "shm"]
        assert shm["emptyDir"]["medium"] == "Memory"


@pytest.mark.parametrize("name", FILES)
def test_a_token_is_asked_for_and_comes_from_a_secret(name: str) -> None:
    cluster = cluster_of(manifest(name))
    assert cluster["authOptions"] == {"mode": "token", "secretName": "raytune-pipe-auth"}
    assert "RAY_AUTH_TOKEN" not in (ROOT / "clusters" / name).read_text()
    assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP"
    assert not cluster["headGroupSpec"].get("enableIngress")


@pytest.mark.parametrize("name", FILES)
def test_the_autoscaler_of_ray_reads_the_groups(name: str) -> None:
    from ray.autoscaler._private.kuberay.autoscaling_config import (
        _derive_autoscaling_config_from_ray_cr as derive,
    )

    metadata = {"name": "raytune-pipe", "namespace": "default"}
    config = derive({"metadata": metadata, "spec": cluster_of(manifest(name))})
    types = config["available_node_types"]
    assert types["headgroup"]["resources"]["CPU"] == 0
    assert {"CPU": 8, "GPU": 1}.items() <= types["gpu"]["resources"].items()
    assert (types["gpu"]["min_workers"], types["gpu"]["max_workers"]) == (1, 8)
    assert config["idle_timeout_minutes"] == 5


def test_the_job_runs_the_file_that_it_is_given_and_can_be_gone_on_with() -> None:
    from raytune_pipe.tuning.cluster_files import EXPERIMENT_MAP

    job = manifest("kuberay-rayjob.yaml")["spec"]
    head = pods("kuberay-rayjob.yaml")[0]
    [given] = [each["configMap"]["name"] for each in head["volumes"] if "configMap" in each]
    assert given == EXPERIMENT_MAP
    mounts = {each["name"]: each["mountPath"] for each in head["containers"][0]["volumeMounts"]}
    file = f"{mounts['experiment']}/experiment.yaml"
    assert job["entrypoint"] == f"raytune-pipe launch {file} --address auto --resume"
