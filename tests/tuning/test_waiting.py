"""A launch on a cluster that adds nodes when asked: `--wait`."""

import subprocess
import sys
from pathlib import Path

import pytest

from raytune_pipe import read_results

EXPERIMENT = """
name: run
trial:
  dataset: {kind: digits}
  model: {kind: mlp, widths: [8]}
  loss: {kind: cross_entropy}
  optimizer: {kind: sgd, lr: 0.05}
  epochs: 1
trials: 3
"""
LAUNCH = """
import subprocess
import sys
import time
from pathlib import Path
from benchmarks.fake_cluster import fake_cluster

folder = Path(sys.argv[1])
journal = folder / "results" / "run" / "journal.jsonl"
with fake_cluster(nodes=0, cpus=2, gpus=0) as cluster:
    command = [sys.executable, "-m", "raytune_pipe", "launch", str(folder / "experiment.yaml")]
    command += ["--set", f"storage={folder / 'results'}", "--address", cluster.address]

    def end(*options):
        return subprocess.run([*command, *options], capture_output=True, text=True)

    refused = [end(), end("--wait")]
    launched = subprocess.Popen([*command, "--wait", "--set", "resources.gpus=0.0"])
    while not (journal.exists() and b'"event":"grant"' in journal.read_bytes()):
        assert launched.poll() is None
        time.sleep(0.1)
    cluster.add()
    (folder / "codes").write_text(str([*(one.returncode for one in refused), launched.wait()]))
    (folder / "refused").write_text("".join(one.stderr for one in refused))
"""


@pytest.mark.ray
@pytest.mark.slow
def test_trials_wait_for_a_node_that_is_still_to_come(tmp_path: Path) -> None:
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    subprocess.run([sys.executable, "-c", LAUNCH, str(tmp_path)], check=True, timeout=600)
    refused = (tmp_path / "refused").read_text()
    assert (tmp_path / "codes").read_text() == "[6, 6, 0]", refused
    assert "or --wait for one that adds nodes" in refused
    assert "resources.gpus: must be a number with --wait" in refused
    statuses = read_results(tmp_path / "results" / "run").trials["status"]
    assert statuses.tolist() == ["completed"] * 3
