"""Population-based training against random search: best validation loss at the same total epochs.

    python benchmarks/pbt_against_random.py experiments/pbt_resnet.yaml

Random search gets as many trials of as many epochs as the population has members, so both train
the same number of epochs. Whichever wins is printed.
"""

import statistics
import sys
import tempfile

from raytune_pipe import launch, load_experiment, read_results
from raytune_pipe.tuning.cluster import connected

SEEDS = range(5)


def best_loss(path: str, seed: int, *overrides: str) -> tuple[float, float]:
    """Lowest final validation loss of a run, and the epochs that it trained."""
    with tempfile.TemporaryDirectory() as storage:
        experiment = load_experiment(path, [f"seed={seed}", f"storage={storage}", *overrides])
        results = read_results(launch(experiment).path)
    return float(results.trials["score"].min()), float(len(results.reports))


def main(path: str) -> None:
    differences = []
    with connected(None):
        for seed in SEEDS:
            pbt, pbt_epochs = best_loss(path, seed)
            random, random_epochs = best_loss(path, seed, "scheduler={kind: fifo}")
            differences.append(random - pbt)
            print(
                f"seed {seed}: pbt {pbt:.4f} ({pbt_epochs:.0f} epochs), "
                f"random {random:.4f} ({random_epochs:.0f} epochs)",
                flush=True,
            )
    wins = sum(difference > 0 for difference in differences)
    print(
        f"pbt is better in {wins} of {len(differences)}; "
        f"median gain in validation loss {statistics.median(differences):+.4f}"
    )


if __name__ == "__main__":
    main(sys.argv[1])
