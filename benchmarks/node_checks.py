"""What the loss of nodes did to a run: trials run again, reports made again, GPUs held at once."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raytune_pipe.results.events import Event
from raytune_pipe.results.journal import JOURNAL, read_events

SEEN = "workers.jsonl"
"""The file beside the run's folder in which its workers note each epoch."""


@dataclass
class NodeFindings:
    """What a run's journal and its workers' notes tell."""

    moved: int = 0
    """Attempts that a lost node ended; their trials went on elsewhere."""
    epochs_again: int = 0
    """Reports that were made a second time, from a checkpoint before them."""
    finished_again: int = 0
    """Trials that had ended, and were run again."""
    in_vain: int = 0
    """Epochs that cut-off workers ended after their trials had gone on elsewhere."""
    nodes: int = 0
    """Nodes on which trials have run."""
    most_on_a_gpu: float = 0.0
    """The largest sum of shares that live workers held of one GPU."""
    most_trials_on_a_gpu: int = 0
    wrong: list[str] = field(default_factory=list)


def check_nodes(run: Path) -> NodeFindings:
    """Check a finished run for what the loss of a node could have done to it."""
    events = list(read_events(run / JOURNAL))
    found = NodeFindings(finished_again=len(set(_run_after_their_end(events))))
    kinds = Counter(event["kind"] for event in events if event["event"] == "retry")
    found.moved = kinds.pop("node_lost", 0)
    found.wrong += [f"{count} trials retried as {kind}" for kind, count in kinds.items()]
    reports = Counter(
        (event["trial_id"], event["report"]) for event in events if event["event"] == "report"
    )
    found.epochs_again = sum(count - 1 for count in reports.values())
    bad = [e for e in events if e["event"] == "end" and e["status"] in ("failed", "timed_out")]
    found.wrong += [f"trial {event['trial_id']}: {event['reason']}" for event in bad]
    notes = notes_of(run.parent)
    found.in_vain = _in_vain(events, notes)
    found.nodes = len({note["node"] for note in notes})
    for share, count in _held(notes).values():
        found.most_on_a_gpu = max(found.most_on_a_gpu, share)
        found.most_trials_on_a_gpu = max(found.most_trials_on_a_gpu, count)
    if round(found.most_on_a_gpu, 6) > 1:
        found.wrong.append(f"{found.most_on_a_gpu:g} of one GPU were held at once")
    return found


def notes_of(folder: Path) -> list[dict[str, Any]]:
    """What the workers of the run in that folder have noted so far."""
    path = folder / SEEN
    lines = path.read_text().splitlines() if path.exists() else []
    # Torn ones have no end: being written just now, or when their worker was killed.
    return [json.loads(line) for line in lines if line.endswith("}")]


def _run_after_their_end(events: list[Event]) -> Iterable[str]:
    ended: set[str] = set()
    for event in events:
        if event["event"] == "end":
            ended.add(event["trial_id"])
        elif event["event"] in ("start", "report", "retry") and event["trial_id"] in ended:
            yield event["trial_id"]


def _in_vain(events: list[Event], notes: list[dict[str, Any]]) -> int:
    began = {
        (event["trial_id"], event["attempt"]): event["time"]
        for event in events
        if event["event"] == "start"
    }
    later = ((note, began.get((note["trial_id"], note["attempt"] + 1))) for note in notes)
    return sum(note["what"] == "ends" and note["time"] > (at or math.inf) for note, at in later)


def _held(notes: list[dict[str, Any]]) -> dict[tuple[str, str], tuple[float, int]]:
    """By node and GPU: the largest sum of shares held at once, and by how many workers.

    A worker holds its share from its first note to its last, also between two trials.
    """
    lives: dict[tuple[str, str, str], tuple[float, float, float]] = {}
    for note in notes:
        for gpu in map(str, note["gpus"]):
            key = (note["node"], gpu, note["process"])
            began = lives[key][0] if key in lives else note["time"]
            lives[key] = (began, note["time"], note["share"])
    by_gpu: dict[tuple[str, str], list[tuple[float, float, float]]] = defaultdict(list)
    for (node, gpu, _), life in lives.items():
        by_gpu[node, gpu].append(life)
    most = {}
    for gpu_key, each in by_gpu.items():
        at_once = [[o for o in each if o[0] <= life[0] <= o[1]] for life in each]
        most[gpu_key] = max((sum(o[2] for o in those), len(those)) for those in at_once)
    return most
