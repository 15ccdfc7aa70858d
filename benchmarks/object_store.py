"""Runs in a bucket whose drivers are killed and lose their disks: what is lost, and what it costs.

A real S3 server (moto's) answers on loopback. Each driver has a cache folder of its own, which is
deleted with it; the next one has nothing but the bucket.

    python -m benchmarks.object_store --kills 10
"""

import json
import logging
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from raytune_pipe import read_results
from raytune_pipe.results.bucket_runs import fetched
from raytune_pipe.results.checkpoint_files import BucketFiles
from raytune_pipe.results.control import STOP_KEY
from raytune_pipe.results.events import Event
from raytune_pipe.results.journal import JOURNAL, read_events
from raytune_pipe.results.locations import local_folder
from raytune_pipe.results.manifest import Manifest, read_manifest
from raytune_pipe.results.object_store import ObjectStore
from raytune_pipe.results.run_directory import RunDirectory

SYNC_SECONDS = 1.0
EXPERIMENT = f"""
name: run
trial:
  dataset: {{kind: digits}}
  model: {{kind: mlp, widths: [16]}}
  loss: {{kind: cross_entropy}}
  optimizer: {{kind: sgd, lr: 0.05, momentum: 0.9}}
  epochs: 60
  batch_size: 8
search_space:
  optimizer.lr: {{kind: log_uniform, low: 1e-3, high: 0.1}}
scheduler: {{kind: pbt, interval_epochs: 2, quantile: 0.25}}
trials: 4
resources: {{cpus: 1, gpus: 0, max_concurrent: 2}}
journal_sync_seconds: {SYNC_SECONDS}
"""
LAUNCH = """
import sys
from raytune_pipe import launch, load_experiment
launch(load_experiment(sys.argv[1], [f"storage={sys.argv[2]}"]))
"""
RESUME = "import sys; from raytune_pipe import resume; resume(sys.argv[1])"
TRAINED = ["trial_id", "report", "segment", "epoch", "val_loss", "train_loss", "optimizer.lr"]
"""Columns that no clock has a part in."""


@dataclass
class Kills:
    """What was found at the kills of one run."""

    acknowledged: list[int] = field(default_factory=list)
    """Events on the driver's disk."""
    copied: list[bytes] = field(default_factory=list)
    """The journal in the bucket."""
    windows: list[tuple[int, float]] = field(default_factory=list)
    """Events that only the lost disk had, and the age of the oldest of them in seconds."""


def serve() -> str:
    """A server with a bucket; the environment then leads to it."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    make: Any = ThreadedMotoServer  # its constructor is not typed
    server = make("127.0.0.1", 0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    keys = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "test")
    os.environ.update(keys, AWS_ENDPOINT_URL=url, AWS_REGION="us-east-1")
    urllib.request.urlopen(urllib.request.Request(f"{url}/bucket", method="PUT")).close()
    return "s3://bucket"


def journal_in(store: ObjectStore, manifest: Manifest | None) -> bytes:
    """All of the journal that the bucket has."""
    return b"".join(fetched(store, one) for one in manifest.segments) if manifest else b""


def kill_drivers(uri: str, file: Path, folder: Path, kills: int, rng: random.Random) -> Kills:
    """Run it to its end with drivers that are killed at random moments of their training."""
    store, found, words = ObjectStore(uri), Kills(), [LAUNCH, str(file), uri.rpartition("/")[0]]
    for number in range(kills + 1):
        os.environ["XDG_CACHE_HOME"] = str(folder / f"disk-{number}")
        known = len(journal_in(store, read_manifest(store)).splitlines())
        driver = subprocess.Popen([sys.executable, "-c", *words])
        words = [RESUME, uri]
        journal = local_folder(uri) / JOURNAL
        while number < kills and driver.poll() is None:
            if journal.exists() and journal.read_bytes().count(b"\n") > known + 12:
                time.sleep(rng.uniform(0.0, 4.0 * SYNC_SECONDS))
                break
            time.sleep(0.05)
        if number == kills or driver.poll() is not None:
            driver.wait()
            break
        driver.kill()
        driver.wait()
        _take_stock(store, journal, found)
        shutil.rmtree(folder / f"disk-{number}")
        print(f"kill {number + 1}: {found.windows[-1][0]} events in the window", flush=True)
    return found


def _take_stock(store: ObjectStore, journal: Path, found: Kills) -> None:
    now = time.time()
    copied = journal_in(store, read_manifest(store))
    lines = journal.read_bytes()
    lines = lines[: lines.rfind(b"\n") + 1]
    only_here = [json.loads(line.split(b" ", 2)[2]) for line in lines[len(copied) :].splitlines()]
    times = [event["time"] for event in only_here if "time" in event]
    found.acknowledged.append(lines.count(b"\n"))
    found.copied.append(copied)
    found.windows.append((len(only_here), now - min(times) if times else 0.0))


def costs(uri: str, folder: Path) -> dict[str, float]:
    """Milliseconds: an append with and without a copying thread, an upload, a look to stop."""
    os.environ["XDG_CACHE_HOME"] = str(folder / "costs")
    event: Event = {"event": "anomaly", "what": "x" * 400, "time": 0.0}
    found = {}
    with RunDirectory.claim(uri, "costs") as run:
        found["append"] = _median_ms(lambda: run.journal.append(event), 300)
        run.begin_copying(0.1)
        found["append while it is copied"] = _median_ms(lambda: run.journal.append(event), 300)
        files = BucketFiles(run.location)
        content = iter(range(10**6))

        def upload() -> None:
            path = files.path_to_write("checkpoints/00000/1.pt")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(next(content).to_bytes(8, "big") * 5000)
            files.keep("checkpoints/00000/1.pt", f"{next(content):064x}")

        found["upload of a checkpoint of 40 kB"] = _median_ms(upload, 50)
        found["look for a request to stop"] = _median_ms(
            lambda: ObjectStore(run.location).exists(STOP_KEY), 50
        )
    return found


def _median_ms(call: Any, count: int) -> float:
    took = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return 1e3 * statistics.median(took)


def show(uri: str, undisturbed: Path, found: Kills) -> None:
    """Print what was lost, doubled and different."""
    final = (local_folder(uri) / JOURNAL).read_bytes()
    lost = sum(copied.count(b"\n") for copied in found.copied if not final.startswith(copied))
    events = read_events(local_folder(uri) / JOURNAL)
    keys = Counter(
        (e["trial_id"], e["report"], e["attempt"]) for e in events if e["event"] == "report"
    )
    expected, reports = (
        read_results(path).reports[TRAINED].sort_values(["trial_id", "report"])
        for path in (undisturbed, uri)
    )
    different = sum(
        one != other
        for one, other in zip(
            expected.to_numpy().tolist(), reports.to_numpy().tolist(), strict=True
        )
    )
    rows = {
        "kills": len(found.windows),
        "events acknowledged at kills": sum(found.acknowledged),
        "of these in the bucket": sum(copied.count(b"\n") for copied in found.copied),
        "lost of those in the bucket": lost,
        "reports duplicated": sum(count - 1 for count in keys.values()),
        "reports compared with an undisturbed run": len(expected),
        "reports that differ": different,
        "largest window, events": max(count for count, _ in found.windows),
        "largest window, s": f"{max(age_s for _, age_s in found.windows):.2f}",
    }
    for name, value in rows.items():
        print(f"{name:45} {value}")


@click.command()
@click.option("--kills", default=10)
@click.option("--seed", default=0)
def main(kills: int, seed: int) -> None:
    """Kill drivers, then time what the bucket costs."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, bucket = Path(temporary), serve()
        file = folder / "experiment.yaml"
        file.write_text(EXPERIMENT)
        undisturbed = folder / "undisturbed"
        subprocess.run([sys.executable, "-c", LAUNCH, str(file), str(undisturbed)], check=True)
        uri = f"{bucket}/runs/run"
        found = kill_drivers(uri, file, folder, kills, random.Random(seed))
        show(uri, undisturbed / "run", found)
        for name, ms in costs(bucket, folder).items():
            print(f"{name:45} {ms:.2f} ms")


if __name__ == "__main__":
    main()
