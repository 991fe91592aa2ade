"""The statistics pass: the few sums through which every region loss sees the prediction."""

from typing import NamedTuple

import torch
from torch import Tensor

from components.losses.inputs import Mode


class RegionSums(NamedTuple):
    """Sums over the pixels of one (sample, class), or of one class when pooled over the batch.

    Attributes:
        overlap: sum of p*g, `(B, C)` or `(C,)`, in the logits' dtype.
        predicted: sum of p, same shape.
        truth: sum of g, same shape.
    """

    overlap: Tensor
    predicted: Tensor
    truth: Tensor


def region_sums(logits: Tensor, target: Tensor, mode: Mode, *, pooled: bool) -> RegionSums:
    """Sum p*g, p and g over space, and over the batch when pooled.

    Args:
        logits: `(B, C, *spatial)` fp32 or fp64, as `prepare` returns them.
        target: as `prepare` returns it.
        mode: softmax over C for `multiclass`, otherwise a sigmoid per channel.
        pooled: one sum for the whole batch instead of one per sample.
    """
    if mode == "multiclass":
        probs = logits.softmax(1)
        target = torch.zeros_like(probs).scatter_(1, target.unsqueeze(1), 1.0)
    else:
        probs = logits.sigmoid()
    axes = tuple(range(2, logits.ndim))
    if pooled:
        axes = (0, *axes)
    return RegionSums((probs * target).sum(axes), probs.sum(axes), target.sum(axes))
