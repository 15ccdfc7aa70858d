"""What Ray Tune's loop spends on waiting for the next of many workers, in CPU time.

    nice -n 10 python -m benchmarks.scale_waiting

At every turn the loop shuffles what it waits for, a future per worker, and calls `ray.wait` on all
of it: the part of a report's cost that grows with the trials at once. Here the futures are those of
two actors that answer later, so that a thousand fit on a small machine.
"""

import asyncio
import random
import time

import click
import numpy as np

from raytune_pipe.tuning.cluster import connected


def turn_us(count: int, turns: int) -> float:
    """CPU microseconds of this thread for a turn with so many futures, one of them ready."""
    import ray

    class Worker:
        """Answers as many calls at once as there are."""

        async def later(self, seconds: float) -> None:
            """Answer after so long."""
            await asyncio.sleep(seconds)

    remote = ray.remote(num_cpus=0, max_concurrency=2 * count)(Worker)
    workers = [remote.remote() for _ in range(2)]
    ray.get([worker.later.remote(0) for worker in workers])
    pending = [workers[i % 2].later.remote(3600) for i in range(count - 1)]
    spent = 0.0
    for turn in range(turns):
        ready = workers[turn % 2].later.remote(0)
        ray.wait([ready], timeout=60)
        began = time.thread_time()
        futures = [*pending, ready]
        random.shuffle(futures)
        found, _ = ray.wait(futures, num_returns=1, timeout=60)
        spent += time.thread_time() - began
        if found != [ready]:
            raise RuntimeError("the one future that is ready must be found, but another was")
    for worker in workers:
        ray.kill(worker)
    return 1e6 * spent / turns


@click.command()
@click.option("--count", "counts", default=(2, 8, 32, 128, 512, 1000), multiple=True)
@click.option("--turns", default=200, show_default=True)
def main(counts: tuple[int, ...], turns: int) -> None:
    """Print the cost of a turn for each number of workers, and of each worker more."""
    found = []
    with connected(None):
        for count in counts:
            found.append(turn_us(count, turns))
            print(f"{count:5} workers: {found[-1]:7.0f} us a turn", flush=True)
    slope, fixed = np.polyfit(counts, found, 1)
    print(f"fixed {fixed:.0f} us, and {slope:.2f} us for each worker")


if __name__ == "__main__":
    main()
