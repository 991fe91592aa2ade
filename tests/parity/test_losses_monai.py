"""Values and gradients against MONAI and torch, in every mode, 2D and 3D."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from monai.losses import DiceLoss, FocalLoss, TverskyLoss
from torch import Tensor, nn
from torch.nn.functional import one_hot

from components.losses import EnhancedBCELoss, EnhancedDiceLoss

MODES = ["binary", "multilabel", "multiclass"]
SPATIAL = [(7, 5), (4, 3, 5)]

Loss = Callable[[Tensor, Tensor], Tensor]


def batch(mode: str, spatial: tuple[int, ...], seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Return double logits, our target and the same target with one channel per class."""
    generator = torch.Generator().manual_seed(seed)
    channels = 1 if mode == "binary" else 3
    logits = 2 * torch.randn(2, channels, *spatial, dtype=torch.float64, generator=generator)
    if mode == "multiclass":
        target = torch.randint(0, channels, (2, *spatial), generator=generator)
        return logits, target, one_hot(target, channels).movedim(-1, 1).double()
    target = torch.randint(0, 2, logits.shape, generator=generator)
    return logits, target, target.double()


def agree(ours: Loss, theirs: Loss, logits: Tensor, target: Tensor, their_target: Tensor, rel: float = 1e-9) -> None:
    """Assert that value and gradient are equal up to rounding."""
    results = []
    for loss, truth in ((ours, target), (theirs, their_target)):
        leaf = logits.clone().requires_grad_()
        value = loss(leaf, truth)
        (gradient,) = torch.autograd.grad(value, leaf)
        results.append((value.detach(), gradient))
    torch.testing.assert_close(results[0], results[1], rtol=rel, atol=rel * 1e-2, check_dtype=False)


def activation(mode: str) -> dict[str, bool]:
    return {"softmax": True} if mode == "multiclass" else {"sigmoid": True}


@pytest.mark.parametrize("spatial", SPATIAL)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("variant", ["dice", "jaccard"])
def test_dice_and_jaccard_are_monais(variant: Any, pooled: bool, mode: Any, spatial: tuple[int, ...]) -> None:  # noqa: FBT001
    smooth: dict[str, Any] = {"smooth_nr": 0.1, "smooth_dr": 0.3}
    ours = EnhancedDiceLoss(mode, variant, batch=pooled, **smooth)
    theirs = DiceLoss(**activation(mode), jaccard=variant == "jaccard", batch=pooled, **smooth)
    agree(ours, theirs, *batch(mode, spatial))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("variant", ["dice", "jaccard"])
def test_default_smoothing_is_monais(variant: Any, mode: Any) -> None:
    theirs = DiceLoss(**activation(mode), jaccard=variant == "jaccard")
    agree(EnhancedDiceLoss(mode, variant), theirs, *batch(mode, (6, 6)))


@pytest.mark.parametrize("spatial", SPATIAL)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pooled", [False, True])
def test_tversky_is_monais(pooled: bool, mode: Any, spatial: tuple[int, ...]) -> None:  # noqa: FBT001
    ours = EnhancedDiceLoss(mode, "tversky", alpha=0.2, beta=0.9, batch=pooled)
    agree(ours, TverskyLoss(**activation(mode), alpha=0.2, beta=0.9, batch=pooled), *batch(mode, spatial))


def test_background_left_out_and_class_weights_are_monais() -> None:
    ours = EnhancedDiceLoss("multiclass", include_background=False, class_weights=[0.5, 2.0])
    agree(ours, DiceLoss(softmax=True, include_background=False, weight=[0.5, 2.0]), *batch("multiclass", (6, 6)))


@pytest.mark.parametrize("variant", ["dice", "jaccard", "tversky"])
def test_empty_masks_are_treated_as_in_monai(variant: Any) -> None:
    logits, target, _ = batch("binary", (6, 6))
    empty = torch.zeros_like(target)
    theirs = {
        "dice": DiceLoss(sigmoid=True),
        "jaccard": DiceLoss(sigmoid=True, jaccard=True),
        "tversky": TverskyLoss(sigmoid=True, alpha=0.3, beta=0.7),
    }
    agree(EnhancedDiceLoss(variant=variant), theirs[variant], logits, empty, empty.double())


# MONAI's focal loss computes in fp32 whatever it is given.
FP32 = 2e-5


@pytest.mark.parametrize("spatial", SPATIAL)
@pytest.mark.parametrize("mode", ["binary", "multilabel"])
@pytest.mark.parametrize("alpha", [None, 0.25])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_sigmoid_focal_is_monais(gamma: float, alpha: float | None, mode: Any, spatial: tuple[int, ...]) -> None:
    ours = EnhancedBCELoss(mode, "focal", gamma=gamma, alpha=alpha)
    agree(ours, FocalLoss(gamma=gamma, alpha=alpha), *batch(mode, spatial), rel=FP32)


@pytest.mark.parametrize("spatial", SPATIAL)
@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
def test_softmax_focal_is_monais_times_the_classes(gamma: float, spatial: tuple[int, ...]) -> None:
    logits, target, channels = batch("multiclass", spatial)
    monai = FocalLoss(gamma=gamma, use_softmax=True)
    ours = EnhancedBCELoss("multiclass", "focal", gamma=gamma)
    agree(ours, lambda x, y: 3 * monai(x, y), logits, target, channels, rel=FP32)


@pytest.mark.parametrize("spatial", SPATIAL)
@pytest.mark.parametrize("mode", ["binary", "multilabel"])
def test_bce_is_torchs(mode: Any, spatial: tuple[int, ...]) -> None:
    logits, target, channels = batch(mode, spatial)
    agree(EnhancedBCELoss(mode), nn.BCEWithLogitsLoss(), logits, target, channels)
    ours = EnhancedBCELoss(mode, pos_weight=3.0)
    agree(ours, nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0)), logits, target, channels)


@pytest.mark.parametrize("spatial", SPATIAL)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, [0.5, 1.0, 2.0]])
def test_ce_is_torchs(smoothing: float, weights: list[float] | None, spatial: tuple[int, ...]) -> None:
    logits, target, _ = batch("multiclass", spatial)
    ours = EnhancedBCELoss("multiclass", label_smoothing=smoothing, class_weights=weights)
    weight = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    theirs = nn.CrossEntropyLoss(weight=weight, label_smoothing=smoothing)
    agree(ours, theirs, logits, target, target)


@pytest.mark.parametrize("mode", ["binary", "multilabel"])
def test_soft_targets_follow_monai_and_torch(mode: Any) -> None:
    logits, _, _ = batch(mode, (6, 6))
    soft = torch.rand(logits.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    agree(EnhancedDiceLoss(mode), DiceLoss(sigmoid=True), logits, soft, soft)
    agree(EnhancedBCELoss(mode), nn.BCEWithLogitsLoss(), logits, soft, soft)
