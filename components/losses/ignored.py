"""Ignored pixels: which pixels remain, and the mean over those alone.

Only metadata decides anything here: no device is waited for, and `torch.compile` sees one graph.
"""

import torch
from torch import Tensor

from components.errors import InvalidInputError


def valid_pixels(target: Tensor, ignore_index: int, classes: int | None = None) -> Tensor:
    """Return where the target is not the index: bool, in the target's shape.

    Args:
        target: any shape, real dtype.
        ignore_index: value of the ignored pixels.
        classes: number of classes whose indices the target holds; None where it does not hold indices.

    Raises:
        InvalidInputError: the index is one of the classes, or the target's dtype cannot hold it.
    """
    if classes is not None and 0 <= ignore_index < classes:
        raise InvalidInputError(
            f"ignore_index: found {ignore_index}, which is one of the {classes} classes. "
            "Hint: mark ignored pixels by a value of their own, such as 255."
        )
    # torch wraps the index into the target's dtype: -1 would equal 255 in uint8, and 300 would equal 44.
    if not target.is_floating_point() and target.dtype != torch.bool:
        bounds = torch.iinfo(target.dtype)
        if not bounds.min <= ignore_index <= bounds.max:
            raise InvalidInputError(
                f"ignore_index: found {ignore_index}; a target of dtype {target.dtype} holds {bounds.min} to "
                f"{bounds.max}. Hint: use an index within them, or target.long()."
            )
    return target != ignore_index


def valid_mean(losses: Tensor, valid: Tensor | None, weights: Tensor | None = None) -> Tensor:
    """Return the mean of the valid entries; 0, with a gradient of 0, where none is valid.

    Args:
        losses: any shape, floating.
        valid: bool, broadcasts against the losses; None for all.
        weights: in the shape of the losses, which already carry them: their valid sum normalises then.
    """
    if valid is None:
        return losses.mean() if weights is None else over(losses.sum(), weights.sum())
    # where, not a product: an infinite loss of an ignored pixel times 0 would be NaN.
    total = torch.where(valid, losses, 0.0).sum()
    norm = valid.expand_as(losses).sum() if weights is None else torch.where(valid, weights, 0.0).sum()
    return over(total, norm)


def over(total: Tensor, norm: Tensor) -> Tensor:
    """Return total / norm; 0, with a gradient of 0, where there is nothing to divide by."""
    return torch.where(norm > 0, total, 0.0) / torch.where(norm > 0, norm, 1)
