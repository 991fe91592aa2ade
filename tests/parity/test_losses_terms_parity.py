"""The further terms against MONAI, where it has them and is right."""

from collections.abc import Callable
from typing import Any

import monai.losses
import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from components.losses.distance import BoundaryLoss, HausdorffLoss
from components.losses.generalized import GeneralizedDiceLoss
from components.losses.matthews import MatthewsLoss
from components.losses.skeleton import ClDiceLoss
from components.losses.squared import SquaredDiceLoss
from components.losses.unified_focal import UnifiedFocalLoss

MODES = ["binary", "multilabel", "multiclass"]
SPATIAL = [(7, 6), (4, 5, 6)]
every_mode = pytest.mark.parametrize("mode", MODES)
both_dimensions = pytest.mark.parametrize("spatial", SPATIAL)
newer = {
    name: pytest.mark.skipif(not hasattr(monai.losses, name), reason="newer MONAI")
    for name in ("MCCLoss", "BoundaryLoss")
}

Loss = Callable[[Tensor, Tensor], Tensor]


def batch(mode: str, spatial: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Return double logits, our target and the same target with one channel per class."""
    generator = torch.Generator().manual_seed(11)
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


@both_dimensions
@every_mode
@pytest.mark.parametrize("pooled", [False, True])
def test_squared_dice_is_monais(pooled: bool, mode: Any, spatial: tuple[int, ...]) -> None:  # noqa: FBT001
    theirs = monai.losses.DiceLoss(**activation(mode), squared_pred=True, batch=pooled)
    agree(SquaredDiceLoss(mode, batch=pooled), theirs, *batch(mode, spatial))


@both_dimensions
@every_mode
@pytest.mark.parametrize("pooled", [False, True])
def test_generalised_dice_is_monais_but_for_the_smoothings_scale(
    pooled: bool,  # noqa: FBT001
    mode: Any,
    spatial: tuple[int, ...],
) -> None:
    smooth: dict[str, Any] = {"smooth_nr": 0.0, "smooth_dr": 1e-15}
    theirs = monai.losses.GeneralizedDiceLoss(**activation(mode), batch=pooled, **smooth)
    # MONAI takes its weights in fp32.
    agree(GeneralizedDiceLoss(mode, batch=pooled, **smooth), theirs, *batch(mode, spatial), rel=1e-6)


@newer["MCCLoss"]
@both_dimensions
@every_mode
@pytest.mark.parametrize("pooled", [False, True])
def test_matthews_is_monais(pooled: bool, mode: Any, spatial: tuple[int, ...]) -> None:  # noqa: FBT001
    theirs = monai.losses.MCCLoss(**activation(mode), batch=pooled)
    agree(MatthewsLoss(mode, batch=pooled), theirs, *batch(mode, spatial))


@both_dimensions
@every_mode
@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_hausdorff_is_monais(alpha: float, mode: Any, spatial: tuple[int, ...]) -> None:
    pytest.importorskip("scipy")
    theirs = monai.losses.HausdorffDTLoss(**activation(mode), alpha=alpha, include_background=mode != "multiclass")
    agree(HausdorffLoss(mode, alpha=alpha), theirs, *batch(mode, spatial), rel=1e-6)


@newer["BoundaryLoss"]
@both_dimensions
@every_mode
def test_boundary_is_monais(mode: Any, spatial: tuple[int, ...]) -> None:
    pytest.importorskip("scipy")
    theirs = monai.losses.BoundaryLoss(**activation(mode), include_background=mode != "multiclass")
    agree(BoundaryLoss(mode), theirs, *batch(mode, spatial), rel=1e-6)


@both_dimensions
def test_cldice_of_one_channel_is_monais(spatial: tuple[int, ...]) -> None:
    """With more, MONAI pools the classes of a sample."""
    theirs = monai.losses.SoftclDiceLoss(sigmoid=True, iter_=3, smooth=1e-15)
    agree(ClDiceLoss(), theirs, *batch("binary", spatial))


@both_dimensions
@pytest.mark.parametrize("mode", ["binary", "two classes"])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_unified_focal_is_monais_with_the_authors_weights(weight: float, mode: str, spatial: tuple[int, ...]) -> None:
    """MONAI swaps the parts' weights and halves the focal part."""
    logits, target, _ = batch("binary", spatial)
    focal = monai.losses.unified_focal_loss.AsymmetricFocalLoss(delta=0.6, gamma=0.5)
    tversky = monai.losses.unified_focal_loss.AsymmetricFocalTverskyLoss(delta=0.6, gamma=0.5)

    def theirs(x: Tensor, truth: Tensor) -> Tensor:
        p = x.softmax(1) if mode == "two classes" else torch.cat([1 - x.sigmoid(), x.sigmoid()], 1)
        both = torch.cat([1 - truth, truth], 1)
        combined: Tensor = weight * tversky(p, both) + (1 - weight) * 2 * focal(p, both)
        return combined

    if mode == "binary":
        agree(UnifiedFocalLoss(weight=weight, smooth=1e-7), theirs, logits, target, target.double())
    else:
        two = torch.cat([-logits, logits.flip(0)], 1)
        ours = UnifiedFocalLoss("multiclass", weight=weight, smooth=1e-7)
        agree(ours, theirs, two, target[:, 0], target.double())
