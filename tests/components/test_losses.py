import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn
from torch.nn import functional

from raytune_pipe.base import ConfigError
from raytune_pipe.components.losses import Loss, require_outputs
from raytune_pipe.components.losses_classification import CrossEntropy
from raytune_pipe.components.task import Data, Split, Task
from raytune_pipe.trial import Trial, is_mutable, leaves

LOSS: TypeAdapter[Any] = TypeAdapter(Loss)
CLASSES = Task("classification", (4,), 3)
TWO = Task("classification", (4,), 2)
NUMBERS = Task("regression", (4,), 2)
TOKENS = Task("classification", (5,), 3, tokens=3)
SEVERAL = Task("several", (4,), 5, parts={"digit": CLASSES, "slant": NUMBERS})
SUM: dict[str, Any] = {
    "kind": "weighted_sum",
    "terms": {
        "digit": {"loss": {"kind": "cross_entropy", "label_smoothing": 0.1}, "weight": 0.3},
        "slant": {"loss": {"kind": "huber"}},
    },
}
WEIGHTS = (0.5, 1.0, 2.5)
BALANCED = {"loss": {"kind": "cross_entropy", "class_weights": "balanced"}}


def loss_of(plain: dict[str, Any]) -> Any:
    return LOSS.validate_json(json.dumps(plain))


def built(task: Task, **plain: Any) -> nn.Module:
    module: nn.Module = loss_of(plain).build(task)
    return module


def classified(*positions: int) -> tuple[Tensor, Tensor]:
    """Logits and classes of seven samples."""
    torch.manual_seed(0)
    return torch.randn(7, 3, *positions), torch.randint(3, (7, *positions))


@pytest.mark.parametrize("positions", [(), (5,)], ids=["classes", "tokens"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_cross_entropy_equals_its_formula(smoothing: float, positions: tuple[int, ...]) -> None:
    outputs, targets = classified(*positions)
    loss = built(CLASSES, kind="cross_entropy", label_smoothing=smoothing)(outputs, targets)
    one_hot = functional.one_hot(targets, 3).movedim(-1, 1)
    smooth = one_hot * (1 - smoothing) + smoothing / 3
    torch.testing.assert_close(loss, -(smooth * outputs.log_softmax(1)).sum(1).mean())


@pytest.mark.parametrize("positions", [(), (5,)], ids=["classes", "tokens"])
def test_class_weights_multiply_each_samples_loss(positions: tuple[int, ...]) -> None:
    outputs, targets = classified(*positions)
    weights = torch.tensor(WEIGHTS)
    plain = {"kind": "cross_entropy", "label_smoothing": 0.2, "class_weights": WEIGHTS}
    expected = functional.cross_entropy(
        outputs, targets, weights, label_smoothing=0.2, reduction="none"
    )
    torch.testing.assert_close(built(CLASSES, **plain)(outputs, targets), expected.mean())
    each = functional.cross_entropy(outputs, targets, reduction="none") * weights[targets]
    focal = built(CLASSES, kind="focal", gamma=0.0, class_weights=WEIGHTS)
    torch.testing.assert_close(focal(outputs, targets), each.mean())
    nll = built(CLASSES, kind="nll", class_weights=WEIGHTS)
    torch.testing.assert_close(nll(outputs.log_softmax(1), targets), each.mean())


def counted(task: Task, targets: Tensor) -> Task:
    split = Split(torch.zeros(len(targets), 4), targets)
    return Data(split, split, split, task).counted().task


@pytest.mark.parametrize("kind", ["cross_entropy", "focal", "nll"])
def test_balanced_class_weights_are_those_of_scikit_learn(kind: str) -> None:
    targets = torch.tensor([2, 0, 2, 1, 2, 2, 0, 2, 2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=targets.numpy())
    task = counted(CLASSES, targets)
    weights = built(task, kind=kind, class_weights="balanced").get_buffer("class_weights")
    torch.testing.assert_close(weights, torch.tensor(expected, dtype=torch.float32))
    assert weights[targets].mean() == pytest.approx(1.0)
    assert built(task, kind=kind, class_weights="equal").class_weights is None


def test_the_terms_of_a_weighted_sum_are_balanced_each_by_its_own_classes() -> None:
    task = Task("several", (4,), 7, parts={"digit": CLASSES, "slant": NUMBERS, "side": TWO})
    digits, sides = torch.tensor([0, 1, 1, 2, 2, 2]), torch.tensor([1, 0, 0, 0, 0, 1])
    columns = [digits[:, None].float(), torch.randn(6, 2), sides[:, None].float()]
    terms = {"digit": BALANCED, "slant": SUM["terms"]["slant"], "side": BALANCED}
    loss = loss_of({"kind": "weighted_sum", "terms": terms})
    module = loss.build(counted(task, torch.cat(columns, 1)))
    for name, targets in (("digit", digits.numpy()), ("side", sides.numpy())):
        expected = compute_class_weight("balanced", classes=np.unique(targets), y=targets)
        found = module.losses[name].class_weights
        torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float32))


def test_class_weights_are_no_part_of_a_checkpoint() -> None:
    for kind in ("cross_entropy", "focal", "nll"):
        assert not built(CLASSES, kind=kind, class_weights=WEIGHTS).state_dict()


@pytest.mark.parametrize("positions", [(), (5,)], ids=["classes", "tokens"])
def test_nll_equals_torch(positions: tuple[int, ...]) -> None:
    outputs, targets = classified(*positions)
    log_probabilities = outputs.log_softmax(1)
    torch.testing.assert_close(
        built(CLASSES, kind="nll")(log_probabilities, targets),
        functional.nll_loss(log_probabilities, targets),
    )


@pytest.mark.parametrize("weight", [1.0, 0.2, 7.0])
def test_binary_cross_entropy_equals_torch(weight: float) -> None:
    torch.manual_seed(0)
    outputs, targets = 5 * torch.randn(9, 2), torch.randint(2, (9,))
    loss = built(TWO, kind="binary_cross_entropy", positive_weight=weight)(outputs, targets)
    expected = functional.binary_cross_entropy_with_logits(
        outputs[:, 1] - outputs[:, 0], targets.float(), pos_weight=torch.tensor(weight)
    )
    torch.testing.assert_close(loss, expected)
    if weight == 1.0:
        torch.testing.assert_close(loss, functional.cross_entropy(outputs, targets))


@pytest.mark.parametrize("positions", [(), (5,)], ids=["classes", "tokens"])
def test_focal_is_cross_entropy_at_gamma_0(positions: tuple[int, ...]) -> None:
    outputs, targets = classified(*positions)
    loss = built(CLASSES, kind="focal", gamma=0.0)(outputs, targets)
    torch.testing.assert_close(loss, functional.cross_entropy(outputs, targets))


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_focal_equals_its_formula(gamma: float) -> None:
    torch.manual_seed(0)
    outputs, targets = torch.randn(9, 2), torch.randint(2, (9,))
    p = outputs.softmax(1).gather(1, targets[:, None])[:, 0]
    alpha = torch.tensor([0.75, 0.25])[targets]
    loss = built(TWO, kind="focal", gamma=gamma, alpha=0.25)(outputs, targets)
    torch.testing.assert_close(loss, (-alpha * (1 - p) ** gamma * p.log()).mean())


def test_focal_has_a_gradient_where_a_sample_is_certain() -> None:
    outputs = torch.tensor([[100.0, 0.0, 0.0], [0.0, 100.0, 0.0]], requires_grad=True)
    loss = built(CLASSES, kind="focal", gamma=0.5)(outputs, torch.tensor([0, 0]))
    [gradient] = torch.autograd.grad(loss, outputs)
    assert gradient.isfinite().all()
    assert gradient[1].abs().max() > 0


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        ({"kind": "mse"}, nn.MSELoss()),
        ({"kind": "mae"}, nn.L1Loss()),
        ({"kind": "huber", "delta": 0.4}, nn.HuberLoss(delta=0.4)),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_losses_of_regression_equal_torch(plain: dict[str, Any], expected: nn.Module) -> None:
    outputs, targets = torch.randn(7, 2), torch.randn(7, 2)
    torch.testing.assert_close(
        built(NUMBERS, **plain)(outputs, targets), expected(outputs, targets)
    )


def test_a_weighted_sum_adds_up_its_terms_and_tells_them() -> None:
    outputs, classes = classified()
    outputs, slants = torch.cat([outputs, torch.randn(7, 2)], dim=1), torch.randn(7, 2)
    module = loss_of(SUM).build(SEVERAL)
    loss = module(outputs, torch.cat([classes[:, None].float(), slants], dim=1))
    digit = functional.cross_entropy(outputs[:, :3], classes, label_smoothing=0.1)
    slant = functional.huber_loss(outputs[:, 3:], slants)
    torch.testing.assert_close(loss, 0.3 * digit + slant)
    torch.testing.assert_close(module.terms, {"digit": 0.3 * digit, "slant": slant})
    assert not module.state_dict()


LIVE = [
    (CLASSES, {"kind": "cross_entropy", "label_smoothing": 0.3}, {"label_smoothing": 0.1}),
    (TWO, {"kind": "binary_cross_entropy"}, {"positive_weight": 3.0}),
    (TWO, {"kind": "focal", "alpha": 0.4}, {"gamma": 0.7, "alpha": 0.1}),
    (NUMBERS, {"kind": "huber"}, {"delta": 0.3}),
    (CLASSES, {"kind": "nll"}, {}),
    (NUMBERS, {"kind": "mse"}, {}),
    (NUMBERS, {"kind": "mae"}, {}),
]


@pytest.mark.parametrize(("task", "plain", "changes"), LIVE, ids=lambda each: str(each)[:30])
def test_rates_are_set_on_the_live_module(
    task: Task, plain: dict[str, Any], changes: dict[str, float]
) -> None:
    torch.manual_seed(0)
    outputs = torch.randn(7, task.outputs).log_softmax(1)
    targets = torch.randint(2, (7,)) if task.kind == "classification" else torch.randn(7, 2)
    module, changed = built(task, **plain), loss_of(plain | changes)
    before = module(outputs, targets)
    changed.set_rates(module)
    assert changed.rates_in_force(module) == changes
    after = module(outputs, targets)
    assert torch.equal(after, changed.build(task)(outputs, targets))
    assert torch.equal(before, after) == (not changes)


def test_rates_of_a_weighted_sum_are_set_on_the_live_module() -> None:
    module = loss_of(SUM).build(SEVERAL)
    changed = json.loads(json.dumps(SUM))
    changed["terms"]["digit"] |= {"weight": 2.0, "loss": {"kind": "cross_entropy"}}
    changed["terms"]["slant"]["loss"]["delta"] = 0.1
    loss = loss_of(changed)
    loss.set_rates(module)
    assert loss.rates_in_force(module) == {
        "terms.digit.weight": 2.0,
        "terms.digit.loss.label_smoothing": 0.0,
        "terms.slant.weight": 1.0,
        "terms.slant.loss.delta": 0.1,
    }
    outputs, targets = torch.randn(7, 5), torch.randint(3, (7, 3)).float()
    assert torch.equal(module(outputs, targets), loss.build(SEVERAL)(outputs, targets))


def trial(loss: dict[str, Any], **fields: Any) -> Trial:
    plain = {
        "dataset": {"kind": "digits"},
        "model": {"kind": "mlp"},
        "optimizer": {"kind": "sgd"},
        "loss": loss,
    }
    return Trial.model_validate_json(json.dumps(plain | fields))


def test_each_term_has_leaves_by_dotted_path() -> None:
    subject = trial(SUM)
    found = {path: value for path, value in leaves(subject).items() if path.startswith("loss.")}
    assert found == {
        "loss.kind": "weighted_sum",
        "loss.terms.digit.loss.kind": "cross_entropy",
        "loss.terms.digit.loss.label_smoothing": 0.1,
        "loss.terms.digit.loss.class_weights": None,
        "loss.terms.digit.weight": 0.3,
        "loss.terms.slant.loss.kind": "huber",
        "loss.terms.slant.loss.delta": 1.0,
        "loss.terms.slant.weight": 1.0,
    }
    assert {path for path in found if is_mutable(subject, path)} == {
        "loss.terms.digit.loss.label_smoothing",
        "loss.terms.digit.weight",
        "loss.terms.slant.loss.delta",
        "loss.terms.slant.weight",
    }
    for path in ("loss.terms.digit", "loss.terms.other.weight", "loss.terms.digit.delta"):
        with pytest.raises(KeyError, match=path):
            is_mutable(subject, path)


REFUSED = [
    (NUMBERS, {"kind": "cross_entropy"}, "loss: cross_entropy must have a task of classification"),
    (CLASSES, {"kind": "mse"}, "loss: mse must have a task of regression, but .* classification"),
    (CLASSES, SUM, "loss: weighted_sum must have a task of several"),
    (SEVERAL, {"kind": "nll"}, "loss: nll must have a task of classification"),
    (CLASSES, {"kind": "binary_cross_entropy"}, "must have a task of two classes, but .* has 3"),
    (CLASSES, {"kind": "focal", "alpha": 0.2}, "focal with alpha must have a task of two classes"),
    (
        TWO,
        {"kind": "nll", "class_weights": WEIGHTS},
        r"loss\.class_weights: must have one weight for each of the 2 classes, but got 3",
    ),
    (
        CLASSES,
        {"kind": "focal", "class_weights": "balanced"},
        r"loss\.class_weights: balanced must know how many training samples each class has",
    ),
    (
        replace(CLASSES, class_counts=(3, 0, 2)),
        {"kind": "cross_entropy", "class_weights": "balanced"},
        r"loss\.class_weights: balanced must have a training sample .* but class 1 has none",
    ),
    (
        replace(
            SEVERAL, parts={"digit": replace(CLASSES, class_counts=(0, 0, 2)), "slant": NUMBERS}
        ),
        {"kind": "weighted_sum", "terms": SUM["terms"] | {"digit": BALANCED}},
        r"loss\.terms\.digit\.loss\.class_weights: balanced must .* but 2 classes have none",
    ),
    (TOKENS, {"kind": "centre"}, "centre must have one class for each sample"),
    (
        SEVERAL,
        {"kind": "weighted_sum", "terms": {"digit": SUM["terms"]["digit"]}},
        r"loss\.terms: must have a term for .* \(digit, slant\), but lacks a term for slant",
    ),
    (
        SEVERAL,
        {"kind": "weighted_sum", "terms": SUM["terms"] | {"other": SUM["terms"]["slant"]}},
        r"loss\.terms: must .*, but has one for other",
    ),
    (
        SEVERAL,
        {"kind": "weighted_sum", "terms": SUM["terms"] | {"slant": SUM["terms"]["digit"]}},
        r"loss\.terms\.slant\.loss: cross_entropy must have a task of classification",
    ),
]


@pytest.mark.parametrize(("task", "plain", "message"), REFUSED, ids=lambda each: str(each)[:40])
def test_a_loss_that_does_not_fit_the_task_is_refused(
    task: Task, plain: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        built(task, **plain)


def test_a_term_may_not_be_named_as_the_sum_is() -> None:
    plain = {"kind": "weighted_sum", "terms": {"loss": {"loss": {"kind": "mse"}}}}
    with pytest.raises(ValidationError, match="must not be named loss"):
        loss_of(plain)


def test_outputs_must_be_those_of_the_layer_that_the_loss_takes() -> None:
    outputs, targets = classified()
    cross_entropy, nll = CrossEntropy(), loss_of({"kind": "nll"})
    require_outputs(cross_entropy, CLASSES, outputs, targets)
    require_outputs(nll, CLASSES, outputs.log_softmax(1), targets)
    require_outputs(nll, CLASSES, outputs.log_softmax(1).bfloat16(), targets)
    require_outputs(cross_entropy, CLASSES, torch.zeros(7, 3), targets)
    require_outputs(nll, CLASSES, torch.full((7, 3), torch.nan), targets)
    near_by_chance = torch.tensor([[0.4, 0.61], [0.2, 0.799]])
    require_outputs(cross_entropy, TWO, near_by_chance, torch.tensor([0, 1]))
    with pytest.raises(ConfigError, match="model: must end in log-probabilities under loss nll"):
        require_outputs(nll, CLASSES, outputs, targets)
    with pytest.raises(ConfigError, match="model: must end in a linear layer under loss cross_e"):
        require_outputs(cross_entropy, CLASSES, outputs.softmax(1).bfloat16(), targets)
    with pytest.raises(ConfigError, match="model: must end in a linear layer under loss cross_e"):
        require_outputs(cross_entropy, CLASSES, outputs.softmax(1), targets)
    side_by_side = torch.cat([outputs.softmax(1), torch.randn(7, 2)], dim=1)
    with pytest.raises(ConfigError, match="model: must end in a linear layer"):
        require_outputs(loss_of(SUM), SEVERAL, side_by_side, torch.randint(3, (7, 3)).float())


@pytest.mark.parametrize(
    ("task", "shape", "expected"),
    [
        (CLASSES, (7, 4), [7, 3]),
        (NUMBERS, (7,), [7, 2]),
        (TOKENS, (7, 5, 3), [7, 3, 5]),
        (SEVERAL, (7, 4), [7, 5]),
    ],
)
def test_outputs_must_have_the_shape_of_the_task(
    task: Task, shape: tuple[int, ...], expected: list[int]
) -> None:
    positions = (5,) if task.tokens else ()
    targets = torch.zeros((7, *positions) if task.kind == "classification" else (7, 2))
    message = rf"model: must give outputs of the shape \{expected}".replace("]", r"\]")
    loss = loss_of({"kind": {"regression": "mse"}.get(task.kind, "cross_entropy")})
    with pytest.raises(ConfigError, match=message):
        require_outputs(loss, task, torch.randn(shape), targets)


@pytest.mark.parametrize("loss", [{"kind": "centre"}, SUM], ids=["centre", "huber term"])
def test_what_has_no_meaning_between_two_targets_is_not_mixed(loss: dict[str, Any]) -> None:
    trial(loss)
    with pytest.raises(ValidationError, match=r"must have samples that are not mixed"):
        trial(loss, augmentations={"mixup": {}})
