"""The few sums through which every region loss sees the prediction."""

from typing import NamedTuple

from torch import Tensor

from components.losses.shared_sums import Summed, required
from components.mask_policy import MaskPolicy


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


def region_sums(summed: Summed, *, pooled: bool) -> RegionSums:
    """The three sums of each region.

    Args:
        summed: with the sums that `regions` asks for.
        pooled: one sum for the whole batch instead of one per sample.
    """
    sums = summed.sums
    found = [required(value) for value in (sums.overlap, sums.predicted, sums.truth)]
    return RegionSums(*((value.sum(0) for value in found) if pooled else found))


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


def present_regions(truth: Tensor, policy: MaskPolicy, *, pooled: bool) -> Tensor:
    """Return which regions the policy keeps: bool, broadcasts against the sums. Nothing is waited for.

    Args:
        truth: true pixels of each region, `(B, C, ...)`, or `(C,)` when pooled.
        policy: one that skips empty masks or absent classes.
        pooled: as in `region_sums`.
    """
    filled = truth > 0
    return filled if pooled or policy.empty == "skip" else filled.any(0, keepdim=True)
