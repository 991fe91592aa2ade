"""`reduction`: what `sum` and `none` give, and that their mean is the loss."""

from typing import Any

import pytest
import torch
from torch import Tensor

from components.errors import InvalidInputError
from components.losses import CombinedLoss, EnhancedBCELoss, EnhancedDiceLoss
from components.losses.kinds import build_term, kinds
from components.losses.lovasz import LovaszLoss
from components.losses.region_loss import RegionLoss

IGNORED = 255
REGION_KINDS = [kind for kind in kinds() if isinstance(build_term(kind, "multiclass", {}), RegionLoss)]


def batch(mode: str) -> tuple[Tensor, Tensor]:
    """Two samples of three classes, about a third of the pixels ignored, in the second sample all of them."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, 4, dtype=torch.float64, generator=generator)
    shape = (2, 5, 4) if mode == "multiclass" else tuple(logits.shape)
    target = torch.randint(0, 3 if mode == "multiclass" else 2, shape, generator=generator)
    target = target.masked_fill(torch.rand(shape, generator=generator) < 0.3, IGNORED)
    target[1] = IGNORED
    return logits, target


@pytest.mark.parametrize("mode", ["multilabel", "multiclass"])
@pytest.mark.parametrize("kind", REGION_KINDS)
def test_regions_come_one_by_one_and_their_mean_is_the_loss(kind: str, mode: Any) -> None:
    logits, target = batch(mode)

    def value(reduction: str) -> Tensor:
        found: Tensor = build_term(kind, mode, {}, IGNORED, None)(logits, target)
        if reduction != "mean":
            term: Any = build_term(kind, mode, {}, IGNORED, None)
            term.reduction = reduction
            found = term(logits, target)
        return found

    regions = value("none")
    assert regions.shape[0] == 2
    assert bool((regions[1] == 0).all())  # nothing of the second sample counts
    assert regions.sum().item() == pytest.approx(value("sum").item(), rel=1e-12)
    assert regions[0].mean().item() == pytest.approx(value("mean").item(), rel=1e-9)


def test_pooled_regions_are_classes() -> None:
    logits, target = batch("multiclass")
    loss = EnhancedDiceLoss("multiclass", batch=True, include_background=False, reduction="none", ignore_index=IGNORED)
    assert loss(logits, target).shape == (2,)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("variant", ["bce", "focal"])
@pytest.mark.parametrize("mode", ["multilabel", "multiclass"])
def test_pixels_come_one_by_one_and_their_mean_is_the_loss(mode: Any, variant: Any, smoothing: float) -> None:
    logits, target = batch(mode)

    def value(reduction: Any, truth: Tensor, ignore_index: int | None) -> Tensor:
        loss = EnhancedBCELoss(mode, variant, label_smoothing=smoothing, ignore_index=ignore_index, reduction=reduction)
        found: Tensor = loss(logits, truth)
        return found

    pixels = value("none", target, IGNORED)
    valid = target != IGNORED
    assert pixels.shape == target.shape
    assert bool((pixels[~valid] == 0).all())
    assert pixels.sum().item() == pytest.approx(value("sum", target, IGNORED).item(), rel=1e-12)
    assert pixels[valid].mean().item() == pytest.approx(value("mean", target, IGNORED).item(), rel=1e-9)
    whole = target.masked_fill(~valid, 0)
    pixels = value("none", whole, None)
    assert pixels.sum().item() == pytest.approx(value("sum", whole, None).item(), rel=1e-12)
    assert pixels.mean().item() == pytest.approx(value("mean", whole, None).item(), rel=1e-9)


def test_focal_pixels_keep_alpha_and_class_weights() -> None:
    logits, target = batch("multilabel")
    options: dict[str, Any] = {"alpha": 0.25, "gamma": 1.5, "class_weights": [1.0, 2.0, 0.5], "ignore_index": IGNORED}
    pixels = EnhancedBCELoss("multilabel", "focal", reduction="none", **options)(logits, target)
    mean = EnhancedBCELoss("multilabel", "focal", **options)(logits, target)
    assert pixels[target != IGNORED].mean().item() == pytest.approx(mean.item(), rel=1e-9)


def test_focal_pixels_have_a_finite_gradient_where_the_prediction_is_sure() -> None:
    logits = torch.tensor([[[[200.0, -200.0]]]], requires_grad=True)
    loss = EnhancedBCELoss(variant="focal", gamma=0.5, reduction="sum")
    (gradient,) = torch.autograd.grad(loss(logits, torch.tensor([[[[1, 0]]]])), logits)
    assert bool((gradient == 0).all())


def test_a_combined_loss_wants_one_number_a_term() -> None:
    logits, target = torch.zeros(2, 1, 3, 3), torch.zeros(2, 1, 3, 3)
    combined = CombinedLoss({"dice": EnhancedDiceLoss(reduction="sum"), "bce": EnhancedBCELoss(reduction="none")})
    with pytest.raises(InvalidInputError, match=r"'bce' returned shape \(2, 1, 3, 3\).*Hint: reduction='mean'"):
        combined(logits, target)


@pytest.mark.parametrize("build", [EnhancedDiceLoss, EnhancedBCELoss, LovaszLoss])
def test_an_unknown_reduction_is_refused(build: Any) -> None:
    with pytest.raises(InvalidInputError, match="reduction: found 'max'; expected one of 'mean', 'sum', 'none'"):
        build(reduction="max")
