"""One experiment whose trials break in every way we know, each to end with its own status.

python -m benchmarks.fault_poison
"""

import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from raytune_pipe import launch, load_experiment, read_results

USER_CODE = Path(__file__).parents[1] / "tests" / "user_code"

FATE = {
    "loses_its_folder": ("completed", "budget"),
    "floods_its_output": ("completed", "budget"),
    "healthy": ("completed", "budget"),
    "raises": ("failed", "ValueError: cannot digest this"),
    "raises_while_loading": ("failed", "FileNotFoundError: no such data set"),
    "exits": ("failed", "sys.exit(3)"),
    "leaves_at_once": ("failed", "worker process died"),
    "is_killed": ("failed", "worker process died"),
    "crashes": ("failed", "worker process died"),
    "runs_out_of_host_memory": ("out_of_memory", "MemoryError"),
    "runs_out_of_gpu_memory": ("out_of_memory", "CUDA out of memory"),
    "turns_nan": ("diverged", "not_a_number"),
    "gives_infinity": ("diverged", "not_a_number"),
    "gives_text": ("failed", "must be a number"),
    "gives_nothing": ("failed", "must be a number"),
    "gives_a_vector": ("failed", "must be a number"),
    "lacks_the_metric": ("failed", "objective.metric"),
    "recurses": ("failed", "RecursionError"),
    "raises_what_cannot_be_pickled": ("failed", "RuntimeError"),
    "raises_ten_megabytes": ("failed", "ValueError: xxx"),
}
"""By data set of tests/user_code/poison.py: the trial's status, and a part of its reason."""
HANGS = {
    "is_stopped": ("timed_out", "no report within"),
    "holds_the_interpreter": ("timed_out", "no report within"),
    "hangs": ("timed_out", "no report within"),
}
"""Those that cost the time they have for a report."""
TIMEOUT_S = 25.0
MOST_BYTES = 5_000_000
"""What such a run may take on disk, whatever its trials print and raise."""

EXPERIMENT = """
name: run
trial:
  dataset: {{kind: imported, target: "poison:healthy"}}
  model: {{kind: mlp, widths: [8]}}
  loss: {{kind: cross_entropy}}
  optimizer: {{kind: sgd, lr: 0.05}}
  epochs: 2
  batch_size: 16
search_space:
  dataset.target: {{kind: choice, options: [{options}]}}
searcher: {{kind: grid}}
objective: {{metric: confidence}}
trials: {trials}
storage: {storage}
retries: {{worker_died: 0}}
{more}
"""


@dataclass
class Fates:
    """What became of the trials."""

    exit_code: int
    statuses: dict[str, tuple[str, str]]
    """By data set: status and reason."""
    wrong: list[str]


def run_poisoned(folder: Path, fates: Mapping[str, tuple[str, str]], more: str = "") -> Fates:
    """Launch an experiment of one trial per data set; what became of each.

    The folder of the user's code must be on PYTHONPATH.
    """
    options = ", ".join(f'"poison:{name}"' for name in fates)
    text = EXPERIMENT.format(options=options, trials=len(fates), storage=folder, more=more)
    file = folder / "experiment.yaml"
    file.write_text(text)
    outcome = launch(load_experiment(file, allow_imports=["poison"]))
    table = read_results(outcome.path).trials
    found = {
        target.partition(":")[2]: (status, str(reason))
        for target, status, reason in table[["dataset.target", "status", "reason"]].to_numpy()
    }
    wrong = [
        f"{name} must end as {status} ({reason}), but got {found.get(name)}"
        for name, (status, reason) in fates.items()
        if name not in found or found[name][0] != status or reason not in found[name][1]
    ]
    size = sum(path.stat().st_size for path in outcome.path.rglob("*") if path.is_file())
    if size > MOST_BYTES:
        wrong.append(f"the run must take at most {MOST_BYTES:,} bytes, but takes {size:,}")
    return Fates(outcome.exit_code, found, wrong)


def main() -> None:
    """Run all, hangs too; print what became of each; exit with 1 where that is something else."""
    os.environ["PYTHONPATH"] = str(USER_CODE)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fault-poison-") as folder:
        fates = run_poisoned(Path(folder), FATE | HANGS, f"trial_timeout_s: {TIMEOUT_S}")
    print("| trial | status | reason |\n| --- | --- | --- |")
    for name, (status, reason) in fates.statuses.items():
        print(f"| {name} | {status} | {reason[:80]} |")
    print(f"\nexit {fates.exit_code}, {time.monotonic() - started:.0f} s")
    if fates.wrong or fates.exit_code:
        sys.exit("\n".join(fates.wrong))


if __name__ == "__main__":
    main()
