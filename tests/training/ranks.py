"""Trains trials as one of several ranks: started by `test_world.py` once for each rank."""

import faulthandler
import json
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from raytune_pipe.components.task import Data, Split, Task
from raytune_pipe.networks.synchronized_batch_norm import (
    SynchronizedBatchNorm,
    synchronize_batch_norms,
)
from raytune_pipe.training.process_group import join, listening_socket
from raytune_pipe.training.trainer import EpochReport, Trainer
from raytune_pipe.training.world import ALONE, World
from raytune_pipe.trial import Trial

LOOPBACK = "127.0.0.1"
HANGS_AFTER_S = 110
"""Seconds after which a rank that hangs tells where, and ends."""
EPOCHS = 3
PENALTIES = {"l1": {"weight": 1e-3}, "clip_norm": {"max_norm": 0.5}}
MLP = {"kind": "mlp", "widths": [8]}
RESNET = {"kind": "resnet", "width": 4}
ADAMW = {"kind": "adamw", "lr": 0.01}
PARTLY_USED = {"kind": "imported", "target": "tests.training.ranks:PartlyUsed"}
WHOLE = {"l2": {}, "clip_value": {}, "clip_layer_norm": {"max_norm": 0.1}, "max_norm": {}}
CENTRE = {"kind": "centre", "weight": 0.5}
BALANCED = {"kind": "cross_entropy", "class_weights": "balanced"}
HEADED = {"kind": "imported", "target": "tests.training.ranks:Headed"}


class Case(NamedTuple):
    """A trial of so many training samples; its last batch has ``samples % 16`` of them."""

    fields: dict[str, Any]
    samples: int = 52


CASES = {
    "mlp": Case({"model": MLP}),
    "batch norm": Case({"model": RESNET}),
    "batch norm, a last batch of two": Case({"model": RESNET}, samples=50),
    "a last batch of one": Case({"model": MLP}, samples=49),
    "penalties": Case({"model": RESNET, "regularizers": PENALTIES}),
    "adamw": Case({"model": MLP, "optimizer": ADAMW, "regularizers": PENALTIES}),
    "weights that are not used": Case({"model": PARTLY_USED, "regularizers": PENALTIES}, 49),
    "patience": Case({"model": MLP, "stoppers": {"patience": {"epochs": 1, "min_improvement": 9}}}),
    "micro-batches": Case({"model": MLP, "regularizers": PENALTIES, "micro_batches": 3}, 61),
    "averages": Case({"model": RESNET, "regularizers": {"weight_averaging": {"decay": 0.9}}}),
    "gradients of a whole batch": Case({"model": MLP, "regularizers": WHOLE}),
    "centre": Case({"model": HEADED, "loss": CENTRE, "micro_batches": 2}, 49),
    "balanced classes": Case({"model": MLP, "loss": BALANCED, "micro_batches": 2}, 49),
    "diverges": Case({"model": MLP, "optimizer": {"kind": "sgd", "lr": 1e30}}),
}


class PartlyUsed(nn.Module):
    """Leaves a weight out, keeps a count of its own, and flattens as users do."""

    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.used = nn.Linear(16, 3)
        self.unused = nn.Linear(16, 3)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, inputs: Tensor) -> Tensor:
        """[n, 1, 4, 4] -> [n, 3]."""
        if self.training:
            self.seen += len(inputs)
        outputs: Tensor = self.used(inputs.view(len(inputs), -1))
        return outputs


class Headed(nn.Module):
    """Has an output layer of its own, `head`."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(16, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        """[n, 1, 4, 4] -> [n, 3]."""
        outputs: Tensor = self.head(self.body(inputs.flatten(1)).tanh())
        return outputs


def make_trainer(case: Case, world: World = ALONE) -> Trainer:
    fields: dict[str, Any] = {
        "dataset": {"kind": "digits"},
        "loss": {"kind": "cross_entropy", "label_smoothing": 0.1},
        "optimizer": {"kind": "sgd", "lr": 0.05, "momentum": 0.8, "weight_decay": 1e-3},
        "schedule": {"kind": "plateau", "patience": 0, "factor": 0.5, "threshold": 0.9},
        "batch_size": 16,
        "epochs": 6,
    }
    trial = Trial.model_validate_json(json.dumps(fields | case.fields))
    return Trainer(trial, world=world, data=make_data(case.samples))


def make_data(samples: int) -> Data:
    generator = torch.Generator().manual_seed(1)

    def split(size: int) -> Split:
        inputs = torch.randn(size, 1, 4, 4, generator=generator) + 3
        return Split(inputs, inputs.flatten(1)[:, :3].argmax(1))

    task = Task("classification", (1, 4, 4), 3, {"spread": lambda outputs, _: outputs.std()})
    return Data(split(samples), split(31), split(20), task).counted()


def told(report: EpochReport) -> dict[str, Any]:
    """What a report says, but for times."""
    timed = {"epoch_s", "samples_per_s"}
    metrics = {name: value for name, value in report.metrics.items() if name not in timed}
    return vars(report) | {"metrics": metrics, "time_s": None}


def norms(kind: type[nn.Module], shape: tuple[int, ...], world: World) -> dict[str, Tensor]:
    """Outputs, gradients and state of a batch norm over a batch that the ranks share."""
    generator = torch.Generator().manual_seed(2)
    whole = torch.randn(shape, generator=generator) * 2 + 100
    outer = torch.randn(shape, generator=generator)
    norm = kind(shape[1])
    with torch.no_grad():
        norm.get_parameter("weight").copy_(torch.linspace(0.5, 2, shape[1]))
    if not world.is_alone:
        norm = synchronize_batch_norms(norm)
        assert isinstance(norm, SynchronizedBatchNorm)
    share = world.share(torch.arange(shape[0]))
    inputs = whole[share.samples].requires_grad_()
    outputs = norm(inputs)
    torch.autograd.backward((outputs * outer[share.samples]).sum())
    assert inputs.grad is not None
    found = {"outputs": outputs.detach(), "input gradient": inputs.grad}
    gradients = {name: weight.grad for name, weight in norm.named_parameters()}
    return (
        found
        | {key: value for key, value in gradients.items() if value is not None}
        | dict(norm.named_buffers())
    )


SHAPES = {
    "1d": (nn.BatchNorm1d, (7, 3)),
    "2d": (nn.BatchNorm2d, (5, 3, 4, 4)),
    "3d": (nn.BatchNorm3d, (4, 2, 2, 2, 2)),
}


def run_as(rank: int, folder: Path) -> None:
    """Train every case with 3 ranks, then with 2; leave what came out in the folder."""
    for size in (3, 2):
        if rank >= size:
            return
        world = World(rank, size)
        meet(world, folder)
        train_cases(world, folder)
        # Only now that no trainer holds the group: the last one to let go of it waits for gloo's
        # threads, and a trainer would do so holding the lock that they need to let go of tensors.
        dist.destroy_process_group()


def train_cases(world: World, folder: Path) -> None:
    """Train every case as this rank, and what is asked beside them."""
    mark = f"{world.size} {world.rank}"
    torch.save(listening_addresses(), folder / f"{mark} listens.pt")
    for number, (name, case) in enumerate(CASES.items()):
        trainer = make_trainer(case, world)
        reports = [told(trainer.train_epoch()) for _ in range(EPOCHS)]
        state = trainer.model.state_dict() | trainer.loss.state_dict()
        torch.save((name, reports, state), folder / f"{mark} {number}.pt")
    # From one worker's checkpoint on, and to a checkpoint for one worker.
    trainer = make_trainer(CASES["batch norm"], world)
    trainer.load(folder / "alone" / "checkpoints" / "trial" / "1.pt")
    reports = [told(trainer.train_epoch()) for _ in range(2)]
    torch.save(reports, folder / f"{mark} resumed.pt")
    if world.rank == 0:
        trainer.save(folder / str(world.size) / "checkpoints" / "trial" / "3.pt")
    found = {name: norms(kind, shape, world) for name, (kind, shape) in SHAPES.items()}
    torch.save(found, folder / f"{mark} norms.pt")


def listening_addresses() -> list[str]:
    """Local addresses at which this process listens, as /proc writes them."""
    own = {str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == "0A" and f"socket:[{rest[5]}]" in own:
                found.add(local.partition(":")[0])
    return sorted(found)


def meet(world: World, folder: Path) -> None:
    """Join the others, told the port of rank 0 by a file."""
    note = folder / f"port of {world.size}"
    listening = listening_socket(LOOPBACK) if world.rank == 0 else None
    if listening is not None:
        note.with_suffix(".new").write_text(str(listening.getsockname()[1]))
        note.with_suffix(".new").rename(note)
    while not note.exists():
        time.sleep(0.01)
    join(
        world,
        device="cpu",
        own_address=LOOPBACK,
        address=LOOPBACK,
        port=int(note.read_text()),
        listening=listening,
    )


if __name__ == "__main__":
    faulthandler.dump_traceback_later(HANGS_AFTER_S, exit=True)
    run_as(int(sys.argv[1]), Path(sys.argv[2]))
