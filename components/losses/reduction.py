"""From losses of regions or pixels to what a loss returns."""

from typing import Literal, get_args

import torch
from torch import Tensor

from components.losses.ignored import valid_mean

Reduction = Literal["mean", "sum", "none"]
REDUCTIONS: tuple[str, ...] = get_args(Reduction)


def reduced(losses: Tensor, valid: Tensor | None, reduction: Reduction, weights: Tensor | None = None) -> Tensor:
    """Return the mean or the sum of the valid entries, or all entries, 0 where not valid.

    Args:
        losses: any shape, floating.
        valid: bool, broadcasts against the losses; None for all.
        reduction: which.
        weights: in the shape of the losses, which already carry them: their valid sum normalises the mean.
    """
    if reduction == "mean":
        return valid_mean(losses, valid, weights)
    kept = losses if valid is None else torch.where(valid, losses, 0.0)
    return kept.sum() if reduction == "sum" else kept
