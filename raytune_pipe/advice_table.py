"""The table of advised ranges: what practitioners say of each hyperparameter, with the reasons.

Five texts are cited, A to E. Where they give a range, it stands here as they give it; where they
give a single value, the range around it is ours, and the reason says so. They disagree in places:
what the others say are the alternatives.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from raytune_pipe.base import Value
from raytune_pipe.distributions import (
    Choice,
    Distribution,
    IntUniform,
    LogIntUniform,
    LogUniform,
    OneMinusLogUniform,
    Uniform,
)
from raytune_pipe.variants import Plain, get, has

Source = Literal["A", "B", "C", "D", "E"]


@dataclass(frozen=True)
class Alternative:
    """What others say of the same hyperparameter."""

    words: str
    by: tuple[Source, ...]

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"words": self.words, "by": list(self.by)}


@dataclass(frozen=True)
class Advice:
    """The advised range of one hyperparameter, of some members of its family or of all."""

    path: str
    """The dotted path into the trial."""
    distribution: Distribution
    """The range, on the scale that it is to be searched on."""
    by: tuple[Source, ...]
    """The texts that say so."""
    reason: str
    """One sentence."""
    where: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    """The values, by dotted path, with which it is meant; everywhere where empty."""
    alternatives: tuple[Alternative, ...] = ()

    def is_meant_for(self, plain: Plain) -> bool:
        """Whether a trial, plain values, has the hyperparameter and is one that this is for."""
        return has(plain, self.path) and all(
            get(plain, path) in values for path, values in self.where.items()
        )

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "hyperparameter": self.path,
            "where": {path: list(values) for path, values in self.where.items()},
            "distribution": self.distribution.model_dump(mode="json", exclude_defaults=True)
            | {"kind": self.distribution.kind},
            "by": list(self.by),
            "reason": self.reason,
            "alternatives": [other.to_mapping() for other in self.alternatives],
        }


def _rate(
    low: float, high: float, by: str, reason: str, *others: Alternative, **where: tuple[Value, ...]
) -> Advice:
    """A learning rate's row; ``where`` are fields of the optimizer."""
    return Advice(
        "optimizer.lr",
        LogUniform(low=low, high=high),
        sources_of(by),
        reason,
        {f"optimizer.{name}": values for name, values in where.items()},
        (
            *others,
            Alternative(
                f"{low / 100:g} to {high / 10:g} where a trained model is tuned further: one to two"
                " decades lower",
                ("D",),
            ),
        ),
    )


def sources_of(letters: str) -> tuple[Source, ...]:
    """The texts of these letters, each once."""
    return tuple(each for each in get_args(Source) if each in letters)


def _said(words: str, letters: str) -> Alternative:
    return Alternative(words, sources_of(letters))


_ADAMS = (
    _said("0.0003, which converges fast with Adam", "C"),
    _said("1e-5 to 0.1, whatever the optimizer", "ABCDE"),
)

_ADAM = {"optimizer.kind": ("adam", "adamw", "adamax", "nadam", "radam")}
_COUPLED = {
    "optimizer.kind": ("sgd", "adagrad", "adadelta", "rmsprop", "adam", "adamax", "nadam", "radam")
}
"""Optimizers whose weight decay is an L2 penalty; where it is decoupled it means something else."""

ADVICE: tuple[Advice, ...] = (
    _rate(
        1e-2,
        1e-1,
        "CD",
        "Without momentum each step stands for itself, and may be ten times as long.",
        _said("1e-5 to 0.1, whatever the optimizer", "ABCDE"),
        kind=("sgd",),
        momentum=(0,),
    ),
    _rate(
        1e-3,
        1e-2,
        "CD",
        "Momentum adds up about ten steps, so each must be a tenth of what it is without.",
        _said("begin at 0.1 or 0.01", "C"),
        _said("1e-5 to 0.1, whatever the optimizer", "ABCDE"),
        kind=("sgd",),
    ),
    _rate(
        1e-3,
        1e-2,
        "CD",
        "Steps are divided by the size of the gradients, so the rate is the size of a step.",
        *_ADAMS,
        kind=("adam", "adamw", "adamax", "nadam", "rmsprop"),
    ),
    _rate(
        1e-3,
        1e-2,
        "CD",
        "Steps shrink with all gradients seen so far, so they may begin long.",
        _said("1e-5 to 0.1, whatever the optimizer", "ABCDE"),
        kind=("adagrad",),
    ),
    _rate(
        1e-2,
        1e-1,
        "CD",
        "Its steps are scaled by those before, which begin tiny, so the rate may be large.",
        _said("1e-5 to 0.1, whatever the optimizer", "ABCDE"),
        kind=("adadelta",),
    ),
    _rate(
        1e-5,
        1e-1,
        "ABCDE",
        "The texts give no range for this optimizer, so it is the one that holds for all.",
        _said("first probes 0.1, 1e-3 and 1e-6", "A"),
        _said("0.1, 0.01, 1e-3, 1e-4, 1e-5", "B"),
        _said("begin at 0.1 or 0.01", "C"),
    ),
    Advice(
        "batch_size",
        Choice(options=(16, 32, 64, 128)),
        ("A", "C"),
        "Small batches generalize and large ones fill the device; powers of two suit its memory.",
        alternatives=(
            _said("start at 32; multiples of 32 on a GPU", "A"),
            _said("32, 64, 128, 256", "B"),
            _said("1 to 1024", "D"),
            _said("64 to 512", "E"),
        ),
    ),
    Advice(
        "optimizer.momentum",
        OneMinusLogUniform(low=0.5, high=0.98),
        ("A", "C", "D", "E"),
        "All say 0.9; the range is ours, a factor of five either way in the steps averaged over.",
    ),
    Advice(
        "optimizer.beta1",
        OneMinusLogUniform(low=0.5, high=0.98),
        ("D", "E"),
        "Both say 0.9; the range is ours, a factor of five either way in the steps averaged over.",
        _ADAM,
    ),
    Advice(
        "optimizer.beta2",
        OneMinusLogUniform(low=0.99, high=0.9999),
        ("D", "E"),
        "Both say 0.999; the range is ours, a decade either way in the steps averaged over.",
        _ADAM,
    ),
    Advice(
        "optimizer.eps",
        LogUniform(low=1e-9, high=1e-7),
        ("D", "E"),
        "Both say 1e-8, and it seldom matters; the range is ours, a decade either way.",
        _ADAM,
    ),
    *(
        Advice(
            path,
            LogUniform(low=1e-6, high=1e-3),
            ("A",),
            "It holds the weights small, which helps only against overfitting: raise it only then.",
            where,
            (
                _said("5e-4 to begin with, 0 to 1e-4 as a range", "D"),
                _said("1e-4 to begin with", "E"),
            ),
        )
        for path, where in (("optimizer.weight_decay", _COUPLED), ("regularizers.l2.weight", {}))
    ),
    Advice(
        "model.dropout",
        Uniform(low=0.0, high=0.5),
        ("D",),
        "It is for wide layers and for overfitting; without that the best rate is near 0.",
        alternatives=(
            _said("0.5", "AE"),
            _said("0.2 to 0.5 on dense layers", "D"),
            _said("higher for wider layers, none unless the model overfits", "E"),
        ),
    ),
    Advice(
        "schedule.factor",
        Choice(options=(0.1, 0.3, 0.5)),
        ("C",),
        "At a plateau of the validation metric, or every so many epochs, a strong cut pays.",
        {"schedule.kind": ("plateau", "step", "multi_step")},
    ),
    Advice(
        "regularizers.clip_norm.max_norm",
        Choice(options=(5.0, 15.0)),
        ("C",),
        "Gradients of recurrent nets explode at times; these let ordinary ones through.",
        {"model.kind": ("recurrent",)},
    ),
    Advice(
        "model.widths",
        Choice(options=([64, 64], [64, 64, 64], [128, 128], [128, 128, 128])),
        ("A", "B"),
        "Three layers beat two, and more gain little; fewer parameters than samples are safe.",
        {"model.kind": ("mlp",)},
    ),
    Advice(
        "model.depth",
        Choice(options=(8, 14, 20)),
        ("A", "B"),
        "Convolution nets gain from depth, as dense ones do not; the numbers are ours.",
        {"model.kind": ("resnet",)},
    ),
    Advice(
        "model.kernel_size",
        Choice(options=(1, 3, 5, 7)),
        ("C", "D"),
        "Odd kernels have a center; 3 is the first choice.",
        {"model.kind": ("cnn",)},
        (_said("also 1x7 and 7x1", "CD"),),
    ),
    Advice(
        "model.filters",
        Choice(options=([16, 32], [32, 64], [64, 128])),
        ("C", "D"),
        "Powers of two, and not too few in the first layer, whose filters all others build on.",
        {"model.kind": ("cnn",)},
    ),
    Advice(
        "model.embedding_size",
        LogIntUniform(low=50, high=400),
        ("B",),
        "200 is common and larger is better; the range is ours.",
        {"model.kind": ("recurrent",)},
    ),
    Advice(
        "model.layers",
        IntUniform(low=2, high=3),
        ("B",),
        "At least two; whether a third helps is mixed.",
        {"model.kind": ("recurrent",)},
    ),
    Advice(
        "stoppers.patience.epochs",
        LogIntUniform(low=2, high=8),
        ("B",),
        "The example waits for 4 checks without an improvement; the range around it is ours.",
    ),
)
"""By hyperparameter; of several rows for one, the first that is meant for the trial holds."""
