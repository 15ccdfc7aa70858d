"""A worker that trains nothing, so that many fit on one machine: the driver notices no difference.

It stands in for `raytune_pipe.tuning.trainable.TrialActor`, takes the same assignments and gives
answers of realistic length, but imports no torch and sleeps for as long as an epoch is to take.
"""

import json
import os
import time
from typing import Any

from ray import tune

from raytune_pipe.base import to_json

EPOCH_S = "SCALE_EPOCH_S"
"""Environment variable that says how long an epoch takes."""
METRICS = (
    *("train_loss", "val_loss", "val_accuracy", "lr", "grad_norm", "update_ratio"),
    *("samples_per_s", "epoch_s"),
)


class SleepingActor(tune.Trainable):  # type: ignore[misc]  # its base, Ray's, is not typed
    """Answers each step after a nap."""

    def setup(self, config: dict[str, Any]) -> None:
        """Take the first assignment."""
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take another assignment."""
        self._assignment = json.loads(new_config["assignment"])
        self._number = self._assignment["reports"]
        return True

    def step(self) -> dict[str, Any]:
        """Train an epoch, in a manner of speaking; checkpoints are none."""
        time.sleep(float(os.environ[EPOCH_S]))
        self._number += 1
        loss = (1 + int(self._assignment["trial_id"]) * 0.6180339887 % 1) / self._number**0.5
        answer = {
            "number": self._number,
            "epoch": float(self._number),
            "step": 23 * self._number,
            "metrics": {name: loss * (1 + i / 7) for i, name in enumerate(METRICS)},
            "values_in_force": {},
            "verdict": None,
            "checkpoint": None,
            "failure": None,
        }
        return {"answer": to_json(answer)}
