"""What a trial's network and loss come to before any training."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch import Tensor

from raytune_pipe.base import seed_draw
from raytune_pipe.components.task import Task
from raytune_pipe.training.trial_check_findings import Finding, Verdict, worst
from raytune_pipe.training.trial_check_runs import Subject, drawn

SAMPLES = 512
INITIALIZATIONS = 3
"""The first loss is a draw; so many are averaged."""
USUAL_VARIANCE = 4.0
"""Of the outputs before training: twice what He's initialization of the last layer gives."""
LARGE_VARIANCE = 64.0
LARGE_EXCESS = 10.0
"""Nats above that of equal odds: the right class gets e**-10 of them."""


class Part(NamedTuple):
    """One of several tasks, or the only one, with its outputs and targets."""

    name: str
    """Empty where there is only one."""
    task: Task
    outputs: Tensor
    targets: Tensor


def parts_of(task: Task, outputs: Tensor, targets: Tensor) -> Iterator[Part]:
    """Each of several tasks, or the only one."""
    if task.kind != "several":
        yield Part("", task, outputs, targets)
        return
    for name, (own, target) in task.parted(outputs, targets).items():
        yield Part(name, task.parts[name], own, target)


def check_fit(subject: Subject) -> Finding:
    """Whether outputs, targets and loss go together, as far as their values tell.

    Shapes and output layers are looked at wherever a loss is built.

    Raises whatever the trial's parts raise where they do not fit each other.
    """
    run = subject.unregularized().run()
    first = next(run.batches())
    train = subject.data.train
    outputs = run.outputs(train.inputs[first])
    faults = [
        (f"{part.name}: {wrong}" if part.name else wrong, mend)
        for part in parts_of(subject.data.task, outputs, train.targets)
        for wrong, mend in _misfits(part)
    ]
    if not faults and not math.isfinite(loss := run.backward(first)):
        faults = [(f"the first loss is {loss}", "look for infinite or missing inputs")]
    if not faults:
        words = f"outputs {list(outputs.shape[1:])} and targets go with {subject.trial.loss.kind}"
        return Finding("fit", "ok", words)
    return Finding(
        "fit",
        "fail",
        "; ".join(wrong for wrong, _ in faults),
        "outputs and targets of the kind that the loss is made for",
        "a loss that does not fit the task, or a dataset that names the wrong task",
        "; ".join(mend for _, mend in faults),
    )


def _misfits(part: Part) -> Iterator[tuple[str, str]]:
    """What does not go together, and the mend of it."""
    if (part.targets == part.targets[:1]).all():
        yield "all training targets are alike", "look at how the dataset reads them"
    elif part.task.kind == "regression" and _are_class_indices(part.targets):
        classes = int(part.targets.max()) + 1
        yield (
            f"regression targets are the whole numbers 0 to {classes - 1}, as class indices are",
            f"if they are classes, let the task be classification of {classes} and the loss"
            " cross_entropy; if they are quantities, normalize them",
        )


def _are_class_indices(targets: Tensor) -> bool:
    """Whether all are whole numbers from 0 on without a gap, several of each."""
    if targets.ndim > 1 and targets.shape[1] != 1:
        return False
    values, counts = np.unique(targets.cpu().numpy(), return_counts=True)
    are_numbers = np.array_equal(values, np.arange(len(values)))
    return len(values) >= 3 and are_numbers and bool(counts.min() >= 2)


def check_initial_loss(subject: Subject) -> Finding:
    """The plain loss before training against that of outputs that know nothing."""
    plain = subject.unregularized()
    sample = drawn(subject.data.train, SAMPLES, subject.trial.seed, "check", "start")
    losses: list[list[float]] = []
    for number in range(INITIALIZATIONS):
        run = plain.seeded(seed_draw(subject.trial.seed, "check", number)).run()
        outputs = run.outputs(sample.inputs)
        parts = parts_of(subject.data.task, outputs, sample.targets)
        losses.append([_plain_loss(part) for part in parts])
    found = [sum(values) / INITIALIZATIONS for values in zip(*losses, strict=True)]
    references = [_reference(part) for part in parts_of(subject.data.task, outputs, sample.targets)]
    may_know = subject.trial.initializer.kind == "as_built"
    return _initial_loss(found, references, len(sample.inputs), may_know=may_know)


def _plain_loss(part: Part) -> float:
    return part.task.plain_loss(part.outputs, part.targets).item()


class _Reference(NamedTuple):
    """The loss of outputs that know nothing, and how far from it the first loss may be."""

    value: float
    words: str
    known: float
    """Below this some outputs know of the targets."""
    usual: float
    large: float

    def verdict(self, loss: float, *, may_know: bool) -> Verdict:
        least = 0.0 if may_know else self.known / 2
        if not least <= loss <= self.large:  # not a number either
            return "fail"
        return "ok" if self.known <= loss <= self.usual else "warn"


def _reference(part: Part) -> _Reference:
    """Outputs that vary by s**2 around equal odds add s**2 / 2 to a cross-entropy.

    They add s**2 to a squared error.
    """
    if part.task.kind == "classification":
        value = math.log(part.task.outputs)
        counts = np.unique(part.targets.cpu().numpy(), return_counts=True)[1]
        entropy = -float(np.sum(counts / counts.sum() * np.log(counts / counts.sum())))
        known = 0.8 * min(value, entropy)
        words = f"ln {part.task.outputs} = {value:.2f}"
        return _Reference(value, words, known, value + USUAL_VARIANCE / 2, value + LARGE_EXCESS)
    value = part.targets.var(dim=0, correction=0).mean().item()
    words = f"the target's variance, {value:.3g}"
    return _Reference(value, words, value / 2, value + USUAL_VARIANCE, value + LARGE_VARIANCE)


def _initial_loss(
    losses: list[float], references: list[_Reference], samples: int, *, may_know: bool
) -> Finding:
    pairs = list(zip(losses, references, strict=True))
    verdict = worst(reference.verdict(loss, may_know=may_know) for loss, reference in pairs)
    found = f"{sum(losses):.3g} over {samples} samples, mean of {INITIALIZATIONS} initializations"
    total, usual = (
        sum(each) for each in zip(*((r.value, r.usual) for r in references), strict=True)
    )
    words = " + ".join(reference.words for reference in references)
    words += f" = {total:.2f}" if len(references) > 1 else ""
    expected = f"{words}; up to {usual:.2f} with outputs of variance {USUAL_VARIANCE:g}"
    if verdict == "ok":
        return Finding("initial loss", "ok", found, expected)
    if all(loss >= reference.known for loss, reference in pairs):
        suspect = "an initialization too large, inputs or targets that are not normalized"
        mend = "normalize inputs and targets; choose a smaller initializer for the last layer"
    elif may_know:
        suspect = "weights that were trained before, as initializer as_built keeps them"
        mend = "nothing, if they are to be trained on"
    else:
        suspect = "a leak of the targets into the inputs, or a loss that does not fit"
        mend = "look at the targets, and at what the inputs hold of them"
    return Finding("initial loss", verdict, found, expected, suspect, mend)
