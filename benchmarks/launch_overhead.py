"""What a launch costs beyond the training itself, beside a plain Ray Tune script.

    python -m benchmarks.launch_overhead experiments/asha_mlp.yaml

Targets: CPU time of the whole process tree at most 0.08 s per trial beyond the training, plus 15 s
fixed; at most 8 s from the start of the command to the first report on an idle machine.
"""

import sys
import tempfile
import time
from pathlib import Path

from raytune_pipe import read_results
from raytune_pipe.experiment import Experiment
from raytune_pipe.experiment_file import load_experiment
from raytune_pipe.results.journal import read_events

from benchmarks.process_tree import measure

COMMAND = (sys.executable, "-m", "raytune_pipe", "launch")
PLAIN = (sys.executable, str(Path(__file__).with_name("plain_ray_tune.py")))
FIXED_S, PER_TRIAL_S, FIRST_REPORT_S = 15.0, 0.08, 8.0


def training_cpu_s(experiment: Experiment, epochs: dict[str, int]) -> float:
    """CPU seconds of exactly these trials' epochs in a bare process, their building left out."""
    import torch

    from raytune_pipe.training.trainer import Trainer

    torch.set_num_threads(1)
    total = 0.0
    for planned in experiment.plan():
        trainer = Trainer(planned.trial)
        started = time.process_time()
        for _ in range(epochs.get(planned.trial_id, 0)):
            trainer.train_epoch()
        total += time.process_time() - started
    return total


def first_report_s(run: Path, started: float) -> float:
    """Seconds from the start of the command until the first report was on disk."""
    return (
        min(
            event["time"]
            for event in read_events(run / "journal.jsonl")
            if event["event"] == "report"
        )
        - started
    )


def main(path: str) -> None:
    experiment = load_experiment(path)
    with tempfile.TemporaryDirectory() as storage:
        ours = measure([*COMMAND, path, "--set", f"storage={storage}"])
        run = Path(storage) / experiment.name
        trials = read_results(run).trials
        latency_s = first_report_s(run, ours.started)
    epochs = dict(zip(trials["trial_id"].tolist(), trials["reports"].tolist(), strict=True))
    training_s = training_cpu_s(experiment, epochs)
    allowed_s = training_s + FIXED_S + PER_TRIAL_S * len(epochs)
    print(f"{experiment.name}: {len(epochs)} trials, {sum(epochs.values())} epochs")
    print(f"  training itself      {training_s:8.1f} CPU-s")
    print(f"  raytune-pipe launch  {ours.cpu_s:8.1f} CPU-s, {ours.wall_s:.1f} s wall")
    print(f"    allowed            {allowed_s:8.1f} CPU-s: training + 15 + 0.08 a trial")
    print(
        f"    beyond training    {(ours.cpu_s - training_s):8.1f} CPU-s; first report after "
        f"{latency_s:.1f} s (allowed {FIRST_REPORT_S:.0f})"
    )
    plain = measure([*PLAIN, path], env={"RAY_TRAIN_V2_ENABLED": "0"})
    print(
        f"  plain Ray Tune       {plain.cpu_s:8.1f} CPU-s, {plain.wall_s:.1f} s wall; "
        f"{plain.cpu_s / ours.cpu_s:.2f} x ours"
    )


if __name__ == "__main__":
    main(sys.argv[1])
