"""On a cluster of two nodes: a run is refused whose storage one of them does not share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.ray]

TWO_NODES = """
import os, sys
from ray.cluster_utils import Cluster
import ray
from raytune_pipe.tuning.shared_storage import StorageNotSharedError, require_shared

shared, elsewhere = sys.argv[1:]
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
cluster.add_node(num_cpus=1)
ray.init(cluster.address)
print("shared:", require_shared(shared, limit_s=120), flush=True)
os.chdir(elsewhere)  # the same path is another folder here than in the workers
try:
    require_shared("/proc/self/cwd/results", limit_s=120)
except StorageNotSharedError as error:
    print("not shared:", error, flush=True)
ray.shutdown()
cluster.shutdown()
"""


def test_a_node_that_does_not_see_the_storage_is_named(tmp_path: Path) -> None:
    shared, elsewhere = tmp_path / "shared", tmp_path / "elsewhere"
    shared.mkdir()
    elsewhere.mkdir()
    words = [sys.executable, "-c", TWO_NODES, str(shared), str(elsewhere)]
    package = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    found = subprocess.run(
        words, capture_output=True, text=True, cwd=tmp_path, env=package, check=True
    ).stdout
    first, second = found.splitlines()
    assert first == "shared: []"
    assert second.startswith("not shared: /proc/self/cwd/results: every node of the cluster must")
    assert "1 of 1 other nodes do not: " in second
    assert "does not see there what the driver has just written" in second
    assert not list(shared.iterdir())
    assert not (elsewhere / "results").exists()
