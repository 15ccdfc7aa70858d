"""Whether gradients reach every parameter, units that never speak, the size of the updates."""

import math
import statistics
from collections.abc import Mapping
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from raytune_pipe.components.task import Data
from raytune_pipe.training.probes import UpdateProbe
from raytune_pipe.training.trial_check_findings import Finding, Verdict, listed
from raytune_pipe.training.trial_check_runs import Subject, absolute_rates, drawn
from raytune_pipe.trial import Trial

STEPS = 20
FIRST_STEPS = 5
"""A layer that starts at zero lets no gradient through until it has moved."""
UPDATE_RATIOS = (1e-5, 1e-1)
"""Two decades about the usual 1e-3."""
SAMPLES = 512
MANY_DEAD = 0.3

Gradients = Mapping[str, Tensor | None]


def check_gradients(subject: Subject) -> list[Finding]:
    """Train a few steps and look at every parameter's gradient, and at the updates."""
    run = subject.unregularized().run()
    silent: set[str] = set()
    missing: set[str] = set()
    broken: list[str] = []
    ratios: list[float] = []
    for number, batch in enumerate(islice(run.batches(), STEPS)):
        run.backward(batch)
        if number < FIRST_STEPS:
            gradients = gradients_of(run.model)
            now = {name for name, gradient in gradients.items() if gradient is None}
            zero = {name for name, each in gradients.items() if each is not None and not each.any()}
            missing = now if number == 0 else missing & now
            silent = zero | now if number == 0 else silent & (zero | now)
            if number == 0:
                broken = [name for name, each in gradients.items() if not _is_finite(each)]
        probe = UpdateProbe(run.model)
        run.update()
        ratios.append(probe.update_ratio())
    may_skip = subject.trial.model.kind == "imported"
    return [
        _reached(run.model, sorted(missing), sorted(silent - missing), broken, may_skip=may_skip),
        _update_ratio(ratios, subject.trial),
    ]


def gradients_of(model: nn.Module) -> dict[str, Tensor | None]:
    """The gradient of each parameter that is trained, by name."""
    return {
        name: weight.grad.to_dense() if weight.grad is not None else None
        for name, weight in model.named_parameters()
        if weight.requires_grad
    }


def _is_finite(gradient: Tensor | None) -> bool:
    return gradient is None or bool(gradient.isfinite().all())


def _reached(
    model: nn.Module, missing: list[str], silent: list[str], broken: list[str], *, may_skip: bool
) -> Finding:
    trained = sum(weight.requires_grad for weight in model.parameters())
    faults = {"not finite": broken, "zero": silent, "missing": missing}
    found = "; ".join(
        f"{fault} in {len(names)} of {trained} parameters: {listed(names)}"
        for fault, names in faults.items()
        if names
    )
    expected = f"a gradient in every parameter within {FIRST_STEPS} steps"
    if not found:
        return Finding("gradients", "ok", f"reach all {trained} parameters", expected)
    only_skipped = not silent and not broken
    if broken:
        suspect = "inputs that are not finite, or an initialization so large that numbers overflow"
        mend = "look for infinite or missing inputs; normalize them; choose another initializer"
    elif silent:
        suspect = (
            "a dead initialization: weights of zero, or units that are zero for every sample, as"
            " after large negative biases"
        )
        mend = "choose trial.initializer he_normal or xavier_normal, and biases of zero"
    else:
        suspect = "layers that the network has but never calls, or that it calls under no_grad"
        mend = "call them, delete them, or set requires_grad to False"
    verdict: Verdict = "warn" if only_skipped and may_skip else "fail"
    return Finding("gradients", verdict, found, expected, suspect, mend)


def _update_ratio(ratios: list[float], trial: Trial) -> Finding:
    """The usual norm(update) / norm(weight) of the later steps."""
    later = [ratio for ratio in ratios[STEPS // 4 :] if math.isfinite(ratio)]
    ratio = statistics.median(later) if later else math.nan
    low, high = UPDATE_RATIOS
    source = "the schedule's highest rate," if absolute_rates(trial) else "optimizer.lr"
    found = f"{ratio:.1e} a step at {source} {trial.optimizer.lr:g}"
    expected = f"near 1e-3, between {low:g} and {high:g}"
    if low <= ratio <= high:
        return Finding("update ratio", "ok", found, expected)
    size, mend = ("small", "raise") if ratio < low else ("large", "lower")
    return Finding(
        "update ratio",
        "warn",
        found,
        expected,
        f"a learning rate too {size}",
        f"{mend} it; the range test below shows what rates the loss falls at",
    )


class _Relus(TorchFunctionMode):
    """Which units each ReLU leaves at zero for all samples seen."""

    CALLS = (functional.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_)

    def __init__(self) -> None:
        super().__init__()
        self.alive: list[Tensor] = []
        """For each call of a forward pass, whether a unit is above zero, bool [units]."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        outputs = func(*args, **(kwargs or {}))
        if func in self.CALLS and outputs.ndim >= 2:
            unit_axis = 2 if outputs.ndim == 3 else 1  # [batch, length, units], else [batch, units]
            others = [axis for axis in range(outputs.ndim) if axis != unit_axis]
            self.alive.append((outputs > 0).sum(others) > 0)
        return outputs


def check_dead_units(subject: Subject) -> Finding | None:
    """The share of ReLU units that are zero for all samples; None where there is no ReLU."""
    run = subject.unregularized().run()
    sample = drawn(subject.data.train, SAMPLES, subject.trial.seed, "check", "units")
    run.model.train()
    with _Relus() as relus, torch.no_grad():
        run.model(sample.inputs)
    if not relus.alive:
        return None
    dead = [int((~alive).sum()) for alive in relus.alive]
    units = [len(alive) for alive in relus.alive]
    found = (
        f"{sum(dead)} of {sum(units)} ReLU units are zero for all of {len(sample.inputs)} samples"
    )
    expected = f"at most {MANY_DEAD:.0%}, and no layer that is dead as a whole"
    gone = [number for number, (d, u) in enumerate(zip(dead, units, strict=True), 1) if d == u]
    if not gone and sum(dead) <= MANY_DEAD * sum(units):
        return Finding("dead units", "ok", found, expected)
    if gone:
        found += f"; all of ReLU number {listed([str(number) for number in gone])}"
    return Finding(
        "dead units",
        "fail" if gone else "warn",
        found,
        expected,
        "a dead initialization: biases far below zero, weights of zero, inputs not normalized",
        "choose trial.initializer he_normal, biases of zero; normalize the inputs",
    )


def check_capacity(subject: Subject) -> Finding:
    """Parameters that are trained against targets to train on."""
    model = subject.run().model
    parameters = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    targets = targets_in(subject.data)
    found = f"{parameters:,} parameters, {targets:,} training targets"
    expected = "fewer parameters than targets, or regularization"
    if parameters <= targets:
        return Finding("capacity", "ok", found, expected)
    return Finding(
        "capacity",
        "warn",
        found,
        expected,
        "a network that can learn the training part by heart",
        "watch val_loss against train_loss; where they part, a smaller network, dropout, weight"
        " decay, augmentation or more data",
    )


def targets_in(data: Data) -> int:
    """What the training part has to learn: of tokens one for each position."""
    targets = data.train.targets
    return targets.numel() if data.task.tokens is not None else len(targets)
