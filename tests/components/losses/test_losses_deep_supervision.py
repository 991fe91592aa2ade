"""Deep supervision: the weighted mean over outputs, whichever way they come, and what is resized."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from components.errors import InvalidInputError
from components.losses import CombinedLoss, DeepSupervisionLoss, EnhancedBCELoss, EnhancedDiceLoss, LossManager


def outputs(channels: int = 1, spatial: tuple[int, ...] = (8, 8), levels: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    sizes = [[size // 2**level for size in spatial] for level in range(levels)]
    return [torch.randn(2, channels, *size, generator=generator) for size in sizes]


def target_of(spatial: tuple[int, ...] = (8, 8)) -> Tensor:
    return torch.randint(0, 2, (2, 1, *spatial), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("spatial", [(8, 8), (4, 8, 8)])
def test_weights_halve_and_coarse_logits_grow_to_the_target(spatial: tuple[int, ...]) -> None:
    levels, target, dice = outputs(spatial=spatial), target_of(spatial), EnhancedDiceLoss()
    mode = "bilinear" if len(spatial) == 2 else "trilinear"
    grown = [interpolate(level, spatial, mode=mode, align_corners=False) for level in levels]
    expected = sum(weight / 7 * dice(level, target).item() for weight, level in zip((4, 2, 1), grown, strict=True))
    assert DeepSupervisionLoss(dice)(levels, target).item() == pytest.approx(expected, rel=1e-6)


def test_given_weights_are_scaled_to_one() -> None:
    levels, target, dice = outputs(levels=2), target_of(), EnhancedDiceLoss()
    only_first = DeepSupervisionLoss(dice, weights=[5.0, 0.0])
    assert only_first(levels, target).item() == pytest.approx(dice(levels[0], target).item())


def test_one_output_is_the_loss_itself() -> None:
    levels, target, dice = outputs(), target_of(), EnhancedDiceLoss()
    for given in (levels[0], [levels[0]], (levels[0],)):
        assert torch.equal(DeepSupervisionLoss(dice)(given, target), dice(levels[0], target))


@pytest.mark.parametrize(
    ("mode", "channels", "spatial", "target_shape"),
    [
        ("binary", 1, (4, 4), (2, 1, 4, 4)),
        ("binary", 1, (4, 4), (2, 4, 4)),
        ("binary", 1, (3, 4, 4), (2, 1, 3, 4, 4)),
        ("binary", 1, (3, 4, 4), (2, 3, 4, 4)),
        ("multilabel", 2, (4, 4), (2, 2, 4, 4)),
        ("multilabel", 3, (3, 4, 4), (2, 3, 3, 4, 4)),
        ("multiclass", 2, (4, 4), (2, 4, 4)),
        ("multiclass", 3, (3, 4, 4), (2, 3, 4, 4)),
    ],
)
def test_stacked_outputs_are_told_from_a_volume(
    mode: Any, channels: int, spatial: tuple[int, ...], target_shape: tuple[int, ...]
) -> None:
    target = torch.randint(0, 2, target_shape, generator=torch.Generator().manual_seed(1))
    levels = [torch.randn(2, channels, *spatial, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    loss = DeepSupervisionLoss(EnhancedDiceLoss(mode))
    assert torch.equal(loss(torch.stack(levels, 1), target), loss(levels, target))
    assert torch.equal(loss(levels[0], target), EnhancedDiceLoss(mode)(levels[0], target))


def test_a_small_lesion_survives_only_where_the_logits_are_resized() -> None:
    target = torch.zeros(1, 8, 8, dtype=torch.long)
    target[0, 0, 0] = 1  # one pixel, between those that nearest neighbours take
    coarse = torch.zeros(1, 2, 2, 2, requires_grad=True)
    empty = torch.zeros(1, 2, 2, dtype=torch.long)
    loss = EnhancedDiceLoss("multiclass", include_background=False)
    shrunk = DeepSupervisionLoss(loss, weights=[0.0, 1.0], resize="target")
    grown = DeepSupervisionLoss(loss, weights=[0.0, 1.0])
    fine = torch.zeros(1, 2, 8, 8)
    assert shrunk([fine, coarse], target).item() == pytest.approx(loss(coarse, empty).item())
    (gradient,) = torch.autograd.grad(grown([fine, coarse], target), coarse)
    assert gradient[0, 1, 0, 0] < 0 < gradient[0, 1, 1, 1]


def test_a_shrunk_target_is_the_mean_of_its_valid_pixels() -> None:
    target = torch.tensor([[[[1.0, 0, 255, 255], [1, 1, 255, 255], [0, 255, 0, 0], [1, 255, 0, 0]]]])
    expected = torch.tensor([[[[0.75, 255], [0.5, 0.0]]]])
    seen: list[Tensor] = []

    class Sees(EnhancedBCELoss):
        def forward(self, logits: Tensor, target: Tensor) -> Tensor:
            seen.append(target)
            return super().forward(logits, target)

    loss = DeepSupervisionLoss(Sees(ignore_index=255), resize="target")
    loss([torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 2, 2)], target)
    assert torch.equal(seen[0], target)
    assert torch.equal(seen[1], expected)


def test_shrunk_class_indices_keep_the_ignored_one() -> None:
    target = torch.full((1, 4, 4), 255, dtype=torch.uint8)
    loss = DeepSupervisionLoss(EnhancedDiceLoss("multiclass", ignore_index=255), resize="target")
    assert loss([torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 2, 2)], target).item() == 0


def test_a_combined_loss_is_broken_down_over_the_outputs() -> None:
    levels, target = outputs(levels=2), target_of()
    combined = LossManager.create_loss_function(
        {"terms": {"dice": {}, "bce": {}}, "weights": {"dice": 0.3, "bce": 0.7}}
    )
    loss = DeepSupervisionLoss(combined)
    parts = loss.breakdown(levels, target)
    assert torch.equal(parts.total, loss(levels, target))
    for name, term in combined.terms.items():
        assert parts.terms[name].item() == pytest.approx(DeepSupervisionLoss(term)(levels, target).item(), rel=1e-6)
    total = 0.3 * parts.terms["dice"] + 0.7 * parts.terms["bce"]
    assert parts.total.item() == pytest.approx(total.item(), rel=1e-6)


def test_half_precision_outputs_are_resized_in_fp32() -> None:
    levels, target = outputs(), target_of()
    loss = DeepSupervisionLoss(EnhancedDiceLoss())
    narrow = [level.bfloat16() for level in levels]
    assert torch.equal(loss(narrow, target), loss([level.float() for level in narrow], target))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DeepSupervisionLoss(EnhancedDiceLoss(), weights=[0.0]), "weights: found .0.0."),
        (lambda: DeepSupervisionLoss(EnhancedDiceLoss(), weights=[1.0, -1.0]), "weights: found"),
        (lambda: DeepSupervisionLoss(EnhancedDiceLoss(), resize="both"), "resize: found 'both'"),  # type: ignore[arg-type]
        (lambda: DeepSupervisionLoss(nn.Identity(), resize="target"), "needs to know the loss's mode"),
        (lambda: DeepSupervisionLoss("dice"), "loss: found str"),  # type: ignore[arg-type]
        (
            lambda: DeepSupervisionLoss(EnhancedDiceLoss(), weights=[1.0])(outputs(), target_of()),
            "weights: found 1 for 3 outputs",
        ),
        (lambda: DeepSupervisionLoss(EnhancedDiceLoss())([], target_of()), "logits: found list; expected a tensor, or"),
        (
            lambda: DeepSupervisionLoss(EnhancedDiceLoss()).breakdown(outputs(), target_of()),
            "breakdown: found EnhancedDiceLoss; expected a CombinedLoss",
        ),
        (
            lambda: DeepSupervisionLoss(CombinedLoss({"dice": EnhancedDiceLoss()}))([torch.zeros(2, 1)], target_of()),
            "logits: found shape",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        call()
