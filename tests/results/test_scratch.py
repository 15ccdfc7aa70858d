"""Scratch folders of processes, gone and alive."""

import os
import subprocess
from pathlib import Path

from raytune_pipe.results.scratch import scratch_prefix, sweep_scratch


def test_what_a_process_that_is_gone_left_is_swept(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    names = [f"kind-{dead.pid}-a", f"{scratch_prefix('kind-')}b", "kind-c", f"other-{dead.pid}-d"]
    for name in names:
        (tmp_path / name).mkdir()
    sweep_scratch(tmp_path, "kind-")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[1:])
    assert names[1] == f"kind-{os.getpid()}-b"
