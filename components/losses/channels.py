"""One probability and one truth per class and pixel, for losses that look at more than sums."""

from typing import NamedTuple

import torch
from torch import Tensor

from components.losses.inputs import Mode, prepare
from components.mask_policy import MaskPolicy


class Channels(NamedTuple):
    """A batch, class by class.

    Attributes:
        probs: `(B, C, *spatial)`, fp32 or fp64; 0 at ignored pixels.
        truth: same shape and dtype, between 0 and 1; 0 at ignored pixels.
        valid: False at ignored pixels, bool, broadcasts against the others; None when no index is ignored.
    """

    probs: Tensor
    truth: Tensor
    valid: Tensor | None


def channels(logits: Tensor, target: Tensor, mode: Mode, policy: MaskPolicy) -> Channels:
    """Take the sigmoid, or the softmax in `multiclass`, and give every class a truth of its own.

    Args:
        logits: `(B, C, *spatial)`, floating.
        target: see `components.losses.inputs.prepare`.
        mode: what the channels mean.
        policy: which pixels do not count, and what soft labels mean.
    """
    logits, target, valid = prepare(logits, target, mode, policy)
    logits = kept(logits, valid, 0.0)
    if mode != "multiclass":
        return Channels(kept(logits.sigmoid(), valid, 0.0), target, valid)
    return Channels(kept(logits.softmax(1), valid, 0.0), kept(one_hot(target, logits), valid, 0.0), valid)


def one_hot(target: Tensor, logits: Tensor) -> Tensor:
    """Return class indices `(B, *spatial)` as zeros and ones in the logits' shape and dtype."""
    classes = torch.arange(logits.shape[1], device=target.device).view(-1, *[1] * (logits.ndim - 2))
    return (target.unsqueeze(1) == classes).to(logits.dtype)


def kept(values: Tensor, valid: Tensor | None, otherwise: float) -> Tensor:
    """Return the values with another number, and no gradient, at ignored pixels."""
    return values if valid is None else torch.where(valid, values, otherwise)
