"""Softmax focal loss, pixel by pixel (Lin et al. 2017, eq. 4)."""

import torch
from torch import Tensor


def softmax_focal(logits: Tensor, gamma: float) -> Tensor:
    """Return `-(1 - p_c)^gamma log p_c` for every pixel and class c, as if c were true.

    Args:
        logits: `(B, C, *spatial)`, floating.
        gamma: focus; 0 gives CE.

    Returns:
        `(B, C, *spatial)`; the entry of the true class is the pixel's focal loss.
    """
    log_p = logits.log_softmax(1)
    # The floor keeps the slope of the power finite where p rounds to 1; there the loss itself is 0.
    others = (-torch.expm1(log_p)).clamp_min(torch.finfo(log_p.dtype).tiny)
    return -others.pow(gamma) * log_p
