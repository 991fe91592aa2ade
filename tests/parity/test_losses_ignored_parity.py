"""Ignored pixels against torch's `ignore_index`, its masked BCE and MONAI's Dice of masked probabilities."""

from typing import Any

import pytest
import torch
from monai.losses import DiceLoss, TverskyLoss
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from components.losses import EnhancedBCELoss, EnhancedDiceLoss

SPATIAL = [(7, 5), (4, 3, 5)]
IGNORED = 255


def batch(mode: str, spatial: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Return double logits that record gradients, the target with ignored pixels, and where it is valid."""
    generator = torch.Generator().manual_seed(4)
    channels = 1 if mode == "binary" else 3
    logits = 2 * torch.randn(2, channels, *spatial, dtype=torch.float64, generator=generator)
    shape, classes = ((2, *spatial), channels) if mode == "multiclass" else (tuple(logits.shape), 2)
    target = torch.randint(0, classes, shape, generator=generator)
    valid = torch.rand(shape, generator=generator) > 0.3
    return logits.requires_grad_(), target.masked_fill(~valid, IGNORED), valid


def agree(ours: Tensor, theirs: Tensor, logits: Tensor) -> None:
    """Assert that value and gradient are equal up to rounding."""
    (our_gradient,) = torch.autograd.grad(ours, logits)
    (their_gradient,) = torch.autograd.grad(theirs, logits)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(our_gradient, their_gradient, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("spatial", SPATIAL)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, [0.5, 1.0, 2.0]])
@pytest.mark.parametrize("variant", ["bce", "focal"])
def test_ce_ignores_as_torch_does(
    variant: Any, weights: list[float] | None, smoothing: float, spatial: tuple[int, ...]
) -> None:
    logits, target, _ = batch("multiclass", spatial)
    options: dict[str, Any] = {"label_smoothing": smoothing, "class_weights": weights}
    ours = EnhancedBCELoss("multiclass", variant, gamma=0.0, ignore_index=IGNORED, **options)(logits, target)
    weight = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    theirs = cross_entropy(logits, target, weight=weight, label_smoothing=smoothing, ignore_index=IGNORED)
    agree(ours, theirs, logits)


@pytest.mark.parametrize("spatial", SPATIAL)
@pytest.mark.parametrize("mode", ["binary", "multilabel"])
def test_bce_is_torchs_over_the_valid_pixels(mode: Any, spatial: tuple[int, ...]) -> None:
    logits, target, valid = batch(mode, spatial)
    ours = EnhancedBCELoss(mode, ignore_index=IGNORED)(logits, target)
    agree(ours, binary_cross_entropy_with_logits(logits[valid], target[valid].double()), logits)


@pytest.mark.parametrize("spatial", SPATIAL)
@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("mode", ["binary", "multilabel", "multiclass"])
@pytest.mark.parametrize("variant", ["dice", "jaccard", "tversky"])
def test_region_losses_are_monais_of_masked_probabilities(
    variant: Any,
    mode: Any,
    pooled: bool,  # noqa: FBT001
    spatial: tuple[int, ...],
) -> None:
    logits, target, valid = batch(mode, spatial)
    ours = EnhancedDiceLoss(mode, variant, batch=pooled, ignore_index=IGNORED)(logits, target)
    truth = target.masked_fill(~valid, 0)
    if mode == "multiclass":
        truth, valid = one_hot(truth, 3).movedim(-1, 1), valid.unsqueeze(1)
    probs = logits.softmax(1) if mode == "multiclass" else logits.sigmoid()
    if variant == "tversky":
        monai: Any = TverskyLoss(alpha=0.3, beta=0.7, batch=pooled)
    else:
        monai = DiceLoss(jaccard=variant == "jaccard", batch=pooled)
    agree(ours, monai(probs * valid, (truth * valid).double()), logits)
