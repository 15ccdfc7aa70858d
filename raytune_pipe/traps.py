"""Traps that practitioners know, found in an experiment before anything is trained.

Each says what is the matter, where, and what to do. Nothing here is wrong as such, so an experiment
runs with them; `ignore` of its file silences one by its code.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from raytune_pipe.advice import advised_over, overlaps
from raytune_pipe.distributions import Distribution
from raytune_pipe.experiment import Experiment
from raytune_pipe.problems import Path, listed
from raytune_pipe.trap_cases import Case, Trap, cases
from raytune_pipe.variants import get, to_plain

SMALLEST_NORMED_BATCH = 8
"""Samples: with fewer, the mean and variance of a batch norm are mostly noise."""
MOST_GRID_DIMENSIONS = 3
MOST_SIGMOID_LAYERS = 2
"""Hidden layers: a sigmoid's slope is at most 1/4, and gradients shrink by it at each layer."""
FARTHEST_APART = 100.0
"""Times the weight of one term of a loss that another one's may be: two decades."""
OF_KERNELS = ("cnn", "resnet")
"""Models whose hidden weights have four dimensions, all of them."""
WIDEST_LINEAR = 10.0
"""Times its lower bound that a learning rate's upper one may be on a linear scale."""


def traps(experiment: Experiment) -> list[Trap]:
    """The traps that the file alone shows, each once; those that it ignores are left out."""
    found: dict[tuple[str, Path], Trap] = {}
    for look in _OF_THE_SEARCH:
        for trap in look(experiment):
            found.setdefault((trap.code, trap.path), trap)
    for case in cases(experiment):
        for look_at in _OF_A_TRIAL:
            for trap in look_at(case):
                found.setdefault((trap.code, trap.path), trap)
    return [trap for trap in found.values() if trap.code not in experiment.ignore]


def _linear_learning_rate(experiment: Experiment) -> Iterator[Trap]:
    for path, distribution in experiment.search_space.items():
        if path.rpartition(".")[2] != "lr" or distribution.kind not in ("uniform", "int_uniform"):
            continue
        low, high = distribution.low, distribution.high
        if low <= 0 or high / low > WIDEST_LINEAR:
            share = 1 - (high / 10 - low) / (high - low)
            yield Trap(
                "linear_learning_rate",
                ("search_space", path),
                f"on a linear scale {min(share, 1.0):.0%} of all draws lie in the highest decade, "
                f"{high / 10:g} to {high:g}; use log_uniform",
            )


def _grid_of_many(experiment: Experiment) -> Iterator[Trap]:
    searched = len(experiment.search_space)
    if experiment.searcher.kind == "grid" and searched > MOST_GRID_DIMENSIONS:
        yield Trap(
            "grid_of_many",
            ("searcher", "kind"),
            f"a grid over {searched} hyperparameters tries few values of each of them, and where "
            "few of them matter, most of its trials repeat each other; use random or sobol",
        )


def _outside_advice(experiment: Experiment) -> Iterator[Trap]:
    plain, space = to_plain(experiment.trial), experiment.search_space
    for path, distribution in space.items():
        advice = advised_over(path, plain, space)
        if advice is not None and not overlaps(distribution, advice.distribution):
            yield Trap(
                "outside_advice",
                ("search_space", path),
                f"nothing of this range is in the advised one, {_extent(advice.distribution)}"
                f" ({advice.reason.rstrip('.')}); see raytune-pipe advise {path}",
            )


def _extent(distribution: Distribution) -> str:
    """Both ends of a range; options that have no order one by one."""
    if distribution.kind != "choice":
        return f"{distribution.low:g} to {distribution.high:g}"
    options = distribution.labels
    if not distribution.ordered:
        return listed(map(str, options))
    return f"{options[0]:g} to {options[-1]:g}"


def _dropout_before_batch_norm(case: Case) -> Iterator[Trap]:
    """Dropout in a layer, and a batch norm in a later one (Li et al. 2019, arXiv:1801.05134)."""
    if "batch" not in case.ends("model.norm") or get(case.plain, "model.kind") == "resnet":
        return  # a resnet drops after its last norm
    for field in ("input_dropout", "dropout", "spatial_dropout"):
        is_before = field == "input_dropout" or case.hidden_layers > 1
        if get(case.plain, "model.kind") == "cnn" and field == "dropout":
            is_before = False  # after the last norm
        path = f"model.{field}"
        if is_before and case.largest(path) > 0 and case.may_meet(path, "model.norm", "batch"):
            yield Trap(
                "dropout_before_batch_norm",
                case.where(path),
                "a batch norm behind dropout learns the variance of training, which is another in "
                "evaluation; set it to 0, or take model.norm none, layer or group",
            )


def _tiny_batch_norm(case: Case) -> Iterator[Trap]:
    sizes = [size for size in case.ends("batch_size") if isinstance(size, int | float)]
    parts = case.largest("micro_batches") or 1
    smallest = min(sizes, default=math.inf) / parts
    if "batch" in case.ends("model.norm") and smallest < SMALLEST_NORMED_BATCH:
        yield Trap(
            "tiny_batch_norm",
            case.where("batch_size"),
            f"batch norms see {math.ceil(smallest)} samples at a time, whose mean and variance are "
            f"mostly noise; use batches of {SMALLEST_NORMED_BATCH} and more, fewer micro_batches, "
            "or another model.norm",
        )


def _zero_initialization(case: Case) -> Iterator[Trap]:
    if get(case.plain, "initializer.kind") == "zeros":
        yield Trap(
            "zero_initialization",
            case.where("initializer.kind"),
            "with all weights zero all units of a layer get the same gradient, if any, and never "
            "learn to differ; use he_normal or xavier_normal",
        )


def _deep_sigmoid(case: Case) -> Iterator[Trap]:
    if "sigmoid" in case.ends("model.activation") and (
        case.hidden_layers > MOST_SIGMOID_LAYERS or get(case.plain, "model.kind") == "resnet"
    ):
        yield Trap(
            "deep_sigmoid",
            case.where("model.activation"),
            "a sigmoid's slope is 1/4 at most, so that gradients vanish over many hidden layers; "
            "use relu, gelu or silu",
        )


def _muon_without_matrices(case: Case) -> Iterator[Trap]:
    """Jordan et al. (2024) flatten kernels into matrices for Muon; torch's takes none."""
    model = get(case.plain, "model.kind")
    if get(case.plain, "optimizer.kind") == "muon" and model in OF_KERNELS:
        yield Trap(
            "muon_without_matrices",
            case.where("optimizer.kind"),
            f"a {model} has kernels and no matrix but its output layer, so that muon leaves all of "
            "its weights to AdamW; choose adamw, which does the same, or sgd, or try muon on "
            "another model",
        )


def _loss_terms_apart(case: Case) -> Iterator[Trap]:
    weights = {
        path: weight
        for path, weight in _term_weights(get(case.plain, "loss"))
        if isinstance(weight, int | float) and weight > 0
    }
    if weights and max(weights.values()) > FARTHEST_APART * min(weights.values()):
        largest, smallest = max(weights.values()), min(weights.values())
        path = min(weights, key=lambda each: weights[each])
        yield Trap(
            "loss_terms_apart",
            case.where(path),
            f"the weights of the loss's terms, {smallest:g} to {largest:g}, are more than two "
            "decades apart, so that the smaller ones hardly count; bring them nearer",
        )


def _term_weights(loss: Any) -> Iterator[tuple[str, Any]]:
    """The weight of each term of a loss; that of a main term without one is 1."""
    if not isinstance(loss, Mapping):
        return
    if "weight" in loss:
        yield from (("loss.kind", 1.0), ("loss.weight", loss["weight"]))
    terms = loss.get("terms")
    for name, term in terms.items() if isinstance(terms, Mapping) else ():
        yield f"loss.terms.{name}.weight", term.get("weight")


_OF_THE_SEARCH: tuple[Callable[[Experiment], Iterator[Trap]], ...] = (
    _linear_learning_rate,
    _grid_of_many,
    _outside_advice,
)
_OF_A_TRIAL: tuple[Callable[[Case], Iterator[Trap]], ...] = (
    _dropout_before_batch_norm,
    _tiny_batch_norm,
    _zero_initialization,
    _deep_sigmoid,
    _muon_without_matrices,
    _loss_terms_apart,
)
