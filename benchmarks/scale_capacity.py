"""The largest cluster that one driver can feed, from what a report and a trial cost it.

    python -m benchmarks.scale_capacity

The driver does one thing after the other: a report keeps it for its CPU time and for its flushes
to disk. As many trials at once are fed as leave it idle for the rest of the time, by default 30 %.
"""

import math
from dataclasses import dataclass, replace

import click


@dataclass(frozen=True)
class Driver:
    """What keeps a driver, in milliseconds; the defaults are those measured in docs/scale.md."""

    report_ms: float = 1.4
    """CPU time of a report."""
    slot_ms: float = 0.0004
    """CPU time of a report on top of that for each trial at once."""
    start_ms: float = 5.0
    """CPU time of a trial's start and end."""
    flush_ms: float = 4.0
    """One flush of the journal."""
    flushes: float = 1.5
    """Flushes per report: one of the report, and one where something is decided."""
    epochs: float = 3.0
    """Reports of a trial."""

    def occupied_ms(self, at_once: float) -> float:
        """How long a report keeps the driver, its share of the trial's start included."""
        per_trial = (self.start_ms + self.flush_ms) / self.epochs
        return self.report_ms + self.slot_ms * at_once + self.flush_ms * self.flushes + per_trial

    def largest(self, epoch_s: float, load: float = 0.7) -> int:
        """Most trials at once whose reports keep the driver for that share of the time.

        With n trials at once, n / epoch_s reports a second keep it for occupied_ms(n) each.
        """
        fixed, slope, budget = self.occupied_ms(0), self.slot_ms, 1000 * load * epoch_s
        if slope == 0:
            return int(budget / fixed)
        return int((math.sqrt(fixed**2 + 4 * slope * budget) - fixed) / (2 * slope))


EPOCHS_S = (0.1, 1.0, 10.0, 60.0)


@click.command()
@click.option("--load", default=0.7, show_default=True)
def main(load: float) -> None:
    """Print the trials at once and the reports per second by the length of an epoch."""
    halving, whole = Driver(), Driver(flushes=1.0, epochs=27.0)
    cases = {
        "ASHA, flush 4 ms": halving,
        "ASHA, flush 0.2 ms": replace(halving, flush_ms=0.2),
        "ASHA, no flush": replace(halving, flush_ms=0.0),
        "27 epochs each, flush 4 ms": whole,
        "27 epochs each, flush 0.2 ms": replace(whole, flush_ms=0.2),
    }
    print(f"{'':30} ms a report  reports/s | trials at once with epochs of")
    print(f"{'':30} {'':11}  {'at most':>9} |" + "".join(f"{each:>8g} s" for each in EPOCHS_S))
    for name, driver in cases.items():
        occupied = driver.occupied_ms(0)
        line = "".join(f"{driver.largest(each, load):10,}" for each in EPOCHS_S)
        print(f"{name:30} {occupied:11.1f}  {1000 / occupied:9.0f} |{line}")


if __name__ == "__main__":
    main()
