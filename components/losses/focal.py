"""Focal losses in logits, pixel by pixel (Lin et al. 2017, eq. 4-5)."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def sigmoid_focal(logits: Tensor, target: Tensor, *, gamma: float, alpha: float | None) -> Tensor:
    """Return `-a_t (1 - p_t)^gamma log p_t` of every pixel and channel.

    Soft targets mix the loss of 1 and of 0 linearly. The power is taken as exp(gamma log(1 - p)), which has a finite
    slope everywhere, also for gamma below 1.

    Args:
        logits: any shape, floating.
        target: same shape, 0-1.
        gamma: focus; 0 gives BCE.
        alpha: weight of the foreground, 1 - alpha of the background; None leaves both at 1.
    """
    log_p, log_q = logsigmoid(logits), logsigmoid(-logits)
    foreground = -(gamma * log_q).exp() * log_p * target
    background = -(gamma * log_p).exp() * log_q * (1 - target)
    if alpha is None:
        return foreground + background
    return alpha * foreground + (1 - alpha) * background


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
