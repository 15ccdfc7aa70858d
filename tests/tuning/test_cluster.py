import os
import socket
import subprocess
import sys

import pytest

from raytune_pipe.base import ClusterError, ConfigError
from raytune_pipe.resources import Resources
from raytune_pipe.tuning import cluster
from raytune_pipe.tuning.cluster import Cluster, connected, local_cluster

CPUS_ONLY = Cluster(({"CPU": 4.0}, {"CPU": 2.0}))
ONE_GPU_NODE = Cluster(({"CPU": 8.0, "GPU": 2.0}, {"CPU": 2.0}))


def test_auto_is_one_gpu_where_a_node_has_one() -> None:
    assert ONE_GPU_NODE.request(Resources()).bundles == ({"CPU": 1.0, "GPU": 1.0},)
    assert CPUS_ONLY.request(Resources()).bundles == ({"CPU": 1.0},)


def test_slots_count_what_fits_on_each_node() -> None:
    assert CPUS_ONLY.slots(Resources(cpus=3)) == 1
    assert CPUS_ONLY.slots(Resources(cpus=2)) == 3
    assert ONE_GPU_NODE.slots(Resources(cpus=1, gpus=1.0)) == 2
    assert ONE_GPU_NODE.slots(Resources(cpus=0.5, gpus=0.25)) == 8
    assert ONE_GPU_NODE.slots(Resources(cpus=0.1, gpus=0.1)) == 20
    assert CPUS_ONLY.slots(Resources(max_concurrent=2)) == 2


def test_a_share_is_of_one_gpu() -> None:
    assert ONE_GPU_NODE.slots(Resources(cpus=0.1, gpus=0.4)) == 4  # two on each, not five in all


def test_a_type_of_gpu_is_asked_for_where_the_types_are_known() -> None:
    typed = Resources(gpus=0.5, accelerator="A100")
    here = Cluster(({"CPU": 8.0, "GPU": 1.0},))
    assert here.request(typed).worker == {"CPU": 1.0, "GPU": 0.5}
    nodes = ({"CPU": 8.0, "GPU": 2.0, "accelerator_type:A100": 1.0}, {"CPU": 8.0, "GPU": 4.0})
    assert Cluster(nodes, head="h:1").slots(typed) == 4
    with pytest.raises(
        ClusterError, match=r"0.5 GPU of type H100 .* 2 GPU \(A100\); 8 CPU, 4 GPU;"
    ):
        Cluster(nodes, head="h:1").request(Resources(gpus=0.5, accelerator="H100"))


def test_a_request_can_wait_for_nodes_that_are_still_to_come() -> None:
    assert CPUS_ONLY.request(Resources(gpus=1.0), wait=True).device == "cuda"


@pytest.mark.parametrize("resources", [Resources(gpus=3.0), Resources(cpus=16)])
def test_what_no_node_has_is_refused(resources: Resources) -> None:
    with pytest.raises(ClusterError, match=r"some node must have .* 8 CPU, 2 GPU; 2 CPU, 0 GPU"):
        ONE_GPU_NODE.request(resources)


def test_a_trial_has_a_bundle_for_each_worker() -> None:
    request = CPUS_ONLY.request(Resources(workers=3, cpus=2, placement="spread"))
    assert request.bundles == ({"CPU": 2.0},) * 3
    assert request.strategy == "SPREAD"
    assert CPUS_ONLY.slots(Resources(workers=2, placement="strict_spread")) == 2


def test_workers_that_cannot_be_placed_are_refused() -> None:
    message = r"the nodes must have 5 workers of 1 CPU \(strict_pack\) .* have 4 CPU, 0 GPU; 2 CPU"
    with pytest.raises(ClusterError, match=message):
        CPUS_ONLY.request(Resources(workers=5, placement="strict_pack"))


def test_hidden_gpus_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert local_cluster().nodes[0]["GPU"] == 0


def test_an_address_where_nothing_listens_is_told_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with (
            pytest.raises(ClusterError, match="must answer there, but none does"),
            connected(address),
        ):
            pass


@pytest.mark.parametrize("address", ["http://127.0.0.1:8265", "host", ":1", "127.0.0.1:x"])
def test_an_address_of_another_form_is_refused(address: str) -> None:
    with pytest.raises(ClusterError, match="must be auto or HOST:PORT"), connected(address):
        pass


@pytest.mark.ray
def test_an_embedded_ray_is_on_loopback_also_where_ray_was_imported_before() -> None:
    code = (
        "import ray; from raytune_pipe.tuning.cluster import connected\n"
        "with connected(None): print(ray.nodes()[0]['NodeManagerAddress'])"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True
    )
    assert done.stdout == "127.0.0.1\n"


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_workers_are_reached_through_the_ray_that_runs() -> None:
    with connected(None) as found:
        assert found.nodes[0]["CPU"] >= 1


def test_variables_to_pass_on_must_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_HERE", "secret")
    monkeypatch.delenv("TOKEN_ELSEWHERE", raising=False)
    cluster.require_variables(["TOKEN_HERE"])
    with pytest.raises(ConfigError, match=r"TOKEN_ELSEWHERE must be set .* export it") as caught:
        cluster.require_variables(["TOKEN_HERE", "TOKEN_ELSEWHERE"])
    assert "secret" not in str(caught.value)
