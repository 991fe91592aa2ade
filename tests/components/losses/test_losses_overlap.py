"""Relatives of Dice against their formulas written out, and what is particular to each."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from components.errors import InvalidInputError
from components.losses.generalized import GeneralizedDiceLoss
from components.losses.log_cosh import LogCoshDiceLoss
from components.losses.matthews import MatthewsLoss
from components.losses.semimetric import DiceSemimetricLoss
from components.losses.squared import SquaredDiceLoss

Array = NDArray[np.float64]
EXACT: dict[str, Any] = {"smooth_nr": 0.0, "smooth_dr": 1e-12}
LOSSES = [SquaredDiceLoss, LogCoshDiceLoss, GeneralizedDiceLoss, DiceSemimetricLoss, MatthewsLoss]
every_loss = pytest.mark.parametrize("loss", LOSSES)


def squared(p: Array, g: Array) -> float:
    return float(1 - 2 * (p * g).sum() / ((p**2).sum() + (g**2).sum()))


def log_cosh(p: Array, g: Array) -> float:
    return float(np.log(np.cosh(1 - 2 * (p * g).sum() / (p.sum() + g.sum()))))


def semimetric(p: Array, g: Array) -> float:
    return float(1 - (p.sum() + g.sum() - np.abs(p - g).sum()) / (p.sum() + g.sum()))


def matthews(p: Array, g: Array) -> float:
    tp, fp = (p * g).sum(), (p * (1 - g)).sum()
    fn, tn = ((1 - p) * g).sum(), ((1 - p) * (1 - g)).sum()
    return float(1 - (tp * tn - fp * fn) / np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))


FORMULAS: list[tuple[type[nn.Module], Callable[[Array, Array], float]]] = [
    (SquaredDiceLoss, squared),
    (LogCoshDiceLoss, log_cosh),
    (DiceSemimetricLoss, semimetric),
    (MatthewsLoss, matthews),
]


def batch(mode: str, *, soft: bool = False) -> tuple[Tensor, Tensor, Array, Array]:
    """Logits and target, and the probabilities and truths of each class as arrays `(2, C, 12)`."""
    generator = torch.Generator().manual_seed(2)
    channels = 1 if mode == "binary" else 3
    logits = torch.randn(2, channels, 3, 4, dtype=torch.float64, generator=generator)
    if mode == "multiclass":
        target = torch.randint(0, 3, (2, 3, 4), generator=generator)
        truth = np.stack([target.numpy() == label for label in range(3)], 1).astype(float)
        exponents = np.exp(logits.numpy())
        return logits, target, flat(exponents / exponents.sum(1, keepdims=True)), flat(truth)
    target = torch.rand(logits.shape, dtype=torch.float64, generator=generator)
    target = target if soft else target.round()
    return logits, target, flat(1 / (1 + np.exp(-logits.numpy()))), flat(target.numpy())


def flat(values: Array) -> Array:
    return values.reshape(2, values.shape[1], -1)


@pytest.mark.parametrize("mode", ["binary", "multilabel", "multiclass"])
@pytest.mark.parametrize(("loss", "formula"), FORMULAS)
def test_value_is_the_mean_of_the_formula_over_samples_and_classes(
    loss: Any, formula: Callable[[Array, Array], float], mode: str
) -> None:
    logits, target, p, g = batch(mode)
    expected = np.mean([formula(p[i, c], g[i, c]) for i in range(2) for c in range(p.shape[1])])
    assert loss(mode, **EXACT)(logits, target).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("loss", "formula"), FORMULAS)
def test_pooled_it_is_the_mean_over_classes(loss: Any, formula: Callable[[Array, Array], float]) -> None:
    logits, target, p, g = batch("multiclass")
    expected = np.mean([formula(p[:, c], g[:, c]) for c in range(3)])
    assert loss("multiclass", batch=True, **EXACT)(logits, target).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("loss", "formula"), FORMULAS)
def test_soft_labels_follow_the_formula(loss: Any, formula: Callable[[Array, Array], float]) -> None:
    logits, target, p, g = batch("multilabel", soft=True)
    expected = np.mean([formula(p[i, c], g[i, c]) for i in range(2) for c in range(3)])
    assert loss("multilabel", **EXACT)(logits, target).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("loss", "formula"), FORMULAS)
def test_background_is_left_out_and_classes_are_weighted(loss: Any, formula: Callable[[Array, Array], float]) -> None:
    logits, target, p, g = batch("multiclass")
    expected = np.mean([weight * formula(p[i, c], g[i, c]) for i in range(2) for c, weight in ((1, 0.5), (2, 2.0))])
    weighted = loss("multiclass", include_background=False, class_weights=[0.5, 2.0], **EXACT)
    assert weighted(logits, target).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("mode", ["binary", "multiclass"])
@pytest.mark.parametrize(("loss", "formula"), FORMULAS)
def test_ignored_pixels_are_cut_out_of_the_formula(
    loss: Any, formula: Callable[[Array, Array], float], mode: str
) -> None:
    logits, target, p, g = batch(mode)
    kept = np.arange(12) % 5 > 0
    target = target.masked_fill(torch.from_numpy(~kept).view(target.shape[-2:]), 255)
    expected = np.mean([formula(p[i, c, kept], g[i, c, kept]) for i in range(2) for c in range(p.shape[1])])
    assert loss(mode, ignore_index=255, **EXACT)(logits, target).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("pooled", [False, True])
def test_generalised_dice_weighs_by_inverse_squares(pooled: bool) -> None:  # noqa: FBT001
    logits, target, p, g = batch("multiclass")
    if pooled:
        p, g = (values.swapaxes(0, 1).reshape(1, 3, -1) for values in (p, g))
    weights = 1 / g.sum(2) ** 2
    overlap, masses = (weights * (p * g).sum(2)).sum(1), (weights * (p + g).sum(2)).sum(1)
    value = GeneralizedDiceLoss("multiclass", batch=pooled, **EXACT)(logits, target)
    assert value.item() == pytest.approx(np.mean(1 - 2 * overlap / masses), rel=1e-9)


def test_generalised_dice_gives_an_absent_class_the_weight_of_the_smallest() -> None:
    probs = torch.tensor([[0.2, 0.3, 0.5]] * 4, dtype=torch.float64)  # four pixels
    value = GeneralizedDiceLoss("multiclass", **EXACT)(
        probs.log().T.reshape(1, 3, 2, 2), torch.tensor([[[0, 1], [1, 1]]])
    )
    weights = np.array([1, 1 / 9, 1])
    overlap, masses = (weights * [0.2, 0.9, 0]).sum(), (weights * [0.8 + 1, 1.2 + 3, 2.0]).sum()
    assert value.item() == pytest.approx(1 - 2 * overlap / masses, rel=1e-9)


def test_generalised_dice_punishes_false_positives_of_an_empty_batch() -> None:
    logits = torch.zeros(1, 2, 2, 2, requires_grad=True)
    GeneralizedDiceLoss("multilabel", smooth_nr=1.0, smooth_dr=1.0)(logits, torch.zeros(1, 2, 2, 2)).backward()
    assert logits.grad is not None
    assert (logits.grad > 0).all()


def test_generalised_dice_refuses_class_weights() -> None:
    with pytest.raises(InvalidInputError, match="weighs classes by their size"):
        GeneralizedDiceLoss("multiclass", class_weights=[1.0, 2.0])


def test_the_semimetric_is_smallest_where_a_soft_label_says_so_and_dice_is_not() -> None:
    target = torch.full((1, 1, 1, 1), 0.5, dtype=torch.float64)
    costs = [DiceSemimetricLoss(**EXACT)(torch.tensor([[[[x]]]]).double(), target).item() for x in (-1.0, 0.0, 1.0)]
    assert costs[1] == pytest.approx(0, abs=1e-9)
    assert min(costs[0], costs[2]) > 0.1


def test_matthews_costs_1_without_gradient_where_the_truth_is_empty() -> None:
    logits = torch.zeros(1, 1, 2, 2, requires_grad=True)
    value = MatthewsLoss()(logits, torch.zeros(1, 1, 2, 2))
    value.backward()
    assert value.item() == 1
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_log_cosh_stays_exact_near_a_solved_region() -> None:
    logits, target = torch.full((1, 1, 1, 4), 8.0), torch.ones(1, 1, 1, 4)
    p = 1 / (1 + np.exp(-8.0))
    dice = 1 - 2 * p / (p + 1)  # 1.7e-4: log cosh is 1.4e-8, below fp32's step at 1
    assert LogCoshDiceLoss(**EXACT)(logits, target).item() == pytest.approx(dice**2 / 2, rel=5e-3)


@every_loss
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "multi"}, "mode: found 'multi'"),
        ({"smooth_dr": 0.0}, "smooth_dr: found 0.0"),
        ({"include_background": False}, "mode 'binary' has no background channel"),
        ({"ignore_index": 1}, "ignore_index: found 1"),
    ],
)
def test_constructors_refuse_what_does_not_fit(loss: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        loss(**options)


@pytest.mark.parametrize("loss", [loss for loss, _ in FORMULAS])
def test_class_weights_must_count_the_classes(loss: Any) -> None:
    with pytest.raises(InvalidInputError, match="class_weights: found 2 entries for 3 classes"):
        loss("multilabel", class_weights=[1.0, 2.0])(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2))
    with pytest.raises(InvalidInputError, match="class_weights: mode 'binary' has one class"):
        loss(class_weights=[1.0])
