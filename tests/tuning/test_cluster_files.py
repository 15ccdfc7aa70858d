from pathlib import Path

import pytest

from raytune_pipe.base import ConfigError
from raytune_pipe.tuning.cluster_files import Launch, course_of

LAUNCH = Launch("my file.yaml", ("--set", "trials=2"), "/mnt/x")
LAUNCHER = "cluster_name: x\nprovider: {type: local}\n"
RAY_CLUSTER = "apiVersion: ray.io/v1\nkind: RayCluster\nmetadata: {name: x}\n"


def lines(folder: Path, text: str) -> list[str]:
    """The commands for a cluster file of this text, with its name as FILE."""
    file = folder / "cluster.yaml"
    file.write_text(text)
    return [step.line.replace(str(file), "FILE") for step in course_of(file, LAUNCH, 9999).steps]


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        (LAUNCHER, "ray up --yes --no-restart FILE", " --address http://127.0.0.1:9999"),
        (RAY_CLUSTER, "kubectl apply --filename FILE", " --address http://127.0.0.1:9999"),
        ("#!/bin/sh\n#SBATCH --nodes=2\n", "sbatch FILE", ""),
        ("kind: local\n", "raytune-pipe launch", " --address local"),
    ],
)
def test_the_content_of_a_file_says_what_is_run(
    tmp_path: Path, text: str, first: str, last: str
) -> None:
    found = lines(tmp_path, text)
    assert found[0].startswith(first)
    assert found[-1].endswith(f" 'my file.yaml' --set trials=2{last}")


def test_only_a_tunnel_stays_beside_the_others_and_only_the_launch_decides(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    for text in (LAUNCHER, RAY_CLUSTER):
        file.write_text(text)
        steps = course_of(file, LAUNCH, 9999).steps
        assert [step.tunnel_port for step in steps] == [None, None, 9999, None]
        assert [step.decides for step in steps] == [False, False, False, True]
        assert [step.line.endswith(" &") for step in steps] == [False, False, True, False]


def test_other_objects_beside_a_ray_cluster_are_left_to_kubectl(tmp_path: Path) -> None:
    claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: y}\n"
    found = lines(tmp_path, f"{claim}---\n{RAY_CLUSTER}")
    assert found == lines(tmp_path, RAY_CLUSTER)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be a file of Ray's cluster launcher"),
        ("kind: local\ncpus: 4\n", "must be a file of Ray's cluster launcher"),
        ("apiVersion: v1\nkind: Service\n", "must be a file of Ray's cluster launcher"),
        ("#!/bin/sh\necho\n", "must be a file of Ray's cluster launcher"),
        ("- 1\n", "must hold mappings"),
        ("a: [\n", "must be YAML"),
        ("apiVersion: ray.io/v1\nkind: RayCluster\n", "metadata.name must be there"),
    ],
)
def test_a_file_of_no_known_kind_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        lines(tmp_path, text)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--cluster .*none\.yaml: must be a readable file"):
        course_of(tmp_path / "none.yaml", LAUNCH)
