"""Which logits and targets the losses take, and what the refusals say."""

from typing import Any

import pytest
import torch
from torch import Tensor

from components.errors import InvalidInputError
from components.losses import EnhancedBCELoss, EnhancedDiceLoss
from components.losses.inputs import prepare


@pytest.mark.parametrize("spatial", [(4, 3), (4, 3, 2)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool, torch.float32, torch.float64])
def test_binary_target_may_lack_the_channel_axis(spatial: tuple[int, ...], dtype: torch.dtype) -> None:
    logits = torch.linspace(-2, 2, 12 * (2 if len(spatial) == 3 else 1)).reshape(1, 1, *spatial)
    target = (logits > 0).to(dtype)
    for loss in (EnhancedDiceLoss(), EnhancedBCELoss()):
        assert torch.equal(loss(logits, target), loss(logits, target[:, 0]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_prepare_widens_half_precision_and_matches_the_target(dtype: torch.dtype) -> None:
    logits, target, valid = prepare(
        torch.zeros(1, 1, 2, 2, dtype=dtype), torch.ones(1, 2, 2, dtype=torch.uint8), "binary"
    )
    assert valid is None
    assert (logits.dtype, target.dtype, target.shape) == (torch.float32, torch.float32, logits.shape)


def test_prepare_keeps_double_and_makes_class_indices_int64() -> None:
    logits, target, _ = prepare(
        torch.zeros(1, 2, 2, 2, dtype=torch.float64), torch.ones(1, 2, 2, dtype=torch.uint8), "multiclass"
    )
    assert (logits.dtype, target.dtype) == (torch.float64, torch.int64)


IMAGE = torch.zeros(2, 1, 4, 4)
CLASSES = torch.zeros(2, 3, 4, 4)
INDICES = torch.zeros(2, 4, 4, dtype=torch.long)


@pytest.mark.parametrize(
    ("mode", "logits", "target", "message"),
    [
        ("binary", IMAGE.long(), IMAGE, "logits: found dtype torch.int64"),
        ("binary", IMAGE[0], IMAGE[0], r"logits: found shape \(1, 4, 4\); expected \(B, C, H, W\)"),
        ("binary", IMAGE[:0], IMAGE[:0], r"logits: found shape \(0, 1, 4, 4\)"),
        ("binary", CLASSES, CLASSES, "found 3 channels; mode 'binary' expects 1. Hint: 'multilabel'"),
        ("binary", IMAGE, IMAGE[:, :, :2], r"target: found shape \(2, 1, 2, 4\).*\(2, 1, 4, 4\) or \(2, 4, 4\)"),
        ("binary", IMAGE, IMAGE.to(torch.complex64), "target: found dtype torch.complex64"),
        ("binary", IMAGE, IMAGE.to("meta"), "target: found on meta; expected on the logits' device cpu"),
        ("multilabel", CLASSES, INDICES, "Hint: class indices need mode 'multiclass'"),
        ("multiclass", IMAGE, INDICES, "softmax over one is always 1. Hint: use mode 'binary'"),
        ("multiclass", CLASSES, INDICES[:, None], r"Hint: drop the channel axis, target\[:, 0\]"),
        ("multiclass", CLASSES, CLASSES, r"Hint: one-hot targets become indices by target.argmax\(1\)"),
        ("multiclass", CLASSES, INDICES.float(), r"found dtype torch.float32.*Hint: target.long\(\)"),
        ("multiclass", CLASSES, INDICES.bool(), "found dtype torch.bool"),
    ],
)
def test_prepare_says_what_does_not_fit(mode: Any, logits: Tensor, target: Tensor, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        prepare(logits, target, mode)
