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


def region_sums(logits: Tensor, target: Tensor, mode: Mode, valid: Tensor | None = None, *, pooled: bool) -> RegionSums:
    """Sum p*g, p and g over the valid pixels of space, and over the batch when pooled.

    Args:
        logits: `(B, C, *spatial)` fp32 or fp64, as `prepare` returns them.
        target: as `prepare` returns it.
        mode: softmax over C for `multiclass`, otherwise a sigmoid per channel.
        valid: as `prepare` returns it; None for all.
        pooled: one sum for the whole batch instead of one per sample.
    """
    if mode == "multiclass":
        probs = logits.softmax(1)
        one = 1.0 if valid is None else valid.to(probs)
        target = torch.zeros_like(probs).scatter_(1, target.unsqueeze(1), one)
    else:
        probs = logits.sigmoid()
    if valid is not None:
        # where, not a product: its gradient is exactly 0 whatever comes back from a region without valid pixels.
        probs = torch.where(valid, probs, 0.0)
    axes = tuple(range(2, logits.ndim))
    if pooled:
        axes = (0, *axes)
    return RegionSums((probs * target).sum(axes), probs.sum(axes), target.sum(axes))


def counted_regions(valid: Tensor | None, *, pooled: bool) -> Tensor | None:
    """Return which regions have a valid pixel: bool, broadcasts against the sums; None for all.

    Args:
        valid: as `prepare` returns it.
        pooled: as in `region_sums`.
    """
    if valid is None:
        return None
    found = valid.flatten(2).any(2)
    return found.any(0) if pooled else found
