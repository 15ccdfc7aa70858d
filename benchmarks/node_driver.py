"""A driver on a cluster with fake GPUs, whose workers note where they run and what they hold.

Ray hands out fake GPUs as it does real ones, but torch sees none; so this driver, and no other, has
its trials compute on the CPU all the same.

    python -m benchmarks.node_driver ADDRESS EXPERIMENT.yaml [SETTING ...]
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import ray
from ray import tune

from raytune_pipe import launch, load_experiment
from raytune_pipe.tuning.trainable import TrialActor
from raytune_pipe.tuning.trial_request import TrialRequest

from benchmarks.node_checks import SEEN


class SeenActor(TrialActor):
    """Trains as always; notes before and after each epoch which share of which GPU it holds."""

    def step(self) -> dict[str, Any]:
        """Train one epoch between two notes."""
        self._note("begins")
        answer = super().step()
        self._note("ends")
        return answer

    def _note(self, what: str) -> None:
        context, assignment = ray.get_runtime_context(), self._work.assignment
        note = {
            "what": what,
            "time": time.time(),
            "process": f"{context.get_node_id()} {os.getpid()}",
            "node": context.get_node_id(),
            "gpus": list(ray.get_gpu_ids()),
            "share": context.get_assigned_resources().get("GPU", 0.0),
            "trial_id": assignment.trial_id,
            "attempt": assignment.attempt,
        }
        # One write to a file opened to append: lines of several processes do not mix.
        file = os.open(Path(assignment.directory).with_name(SEEN), os.O_APPEND | os.O_WRONLY)
        os.write(file, b"\n" + json.dumps(note).encode())
        os.close(file)


def main(address: str, path: str, *settings: str) -> None:
    """Launch; the exit code is the launch's."""
    experiment = load_experiment(path, list(settings))
    (Path(experiment.storage) / SEEN).touch()
    run = tune.run
    patch.object(tune, "run", lambda _actor, **rest: run(SeenActor, **rest)).start()
    patch.object(TrialRequest, "device", "cpu").start()
    sys.exit(launch(experiment, address=None if address == "local" else address).exit_code)


if __name__ == "__main__":
    main(*sys.argv[1:])
