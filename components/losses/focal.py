"""Focal loss, pixel by pixel (Lin et al. 2017, eq. 4 and 5)."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def softmax_focal(logits: Tensor, gamma: float) -> Tensor:
    """Return `-(1 - p_c)^gamma log p_c` for every pixel and class c, as if c were true.

    Args:
        logits: `(B, C, *spatial)`, floating.
        gamma: focus; 0 gives CE.

    Returns:
        `(B, C, *spatial)`; the entry of the true class is the pixel's focal loss.
    """
    return _focal(logits.log_softmax(1), gamma)


def sigmoid_focal(logits: Tensor, target: Tensor, gamma: float, alpha: float | None) -> Tensor:
    """Return `-alpha g (1 - p)^gamma log p - (1 - alpha) (1 - g) p^gamma log(1 - p)` for every entry.

    Args:
        logits: any shape, floating.
        target: 0-1, soft allowed, same shape and dtype.
        gamma: focus; 0 gives BCE.
        alpha: weight of foreground, 1 - alpha of background; None weighs neither.
    """
    of_true, of_false = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
    true, false = _focal(logsigmoid(logits), gamma), _focal(logsigmoid(-logits), gamma)
    return of_true * target * true + of_false * (1 - target) * false


def _focal(log_p: Tensor, gamma: float) -> Tensor:
    # The floor keeps the slope of the power finite where p rounds to 1; there the loss itself is 0.
    others = (-torch.expm1(log_p)).clamp_min(torch.finfo(log_p.dtype).tiny)
    return -others.pow(gamma) * log_p
