"""One pass over sigmoid logits that yields every sum from which region and pixel losses are made, and one back.

With p = sigmoid(x), q = 1 - p, s = log(1 + e^x) and r = log(1 + e^-x), all sums run over the pixels of one (sample,
class):

    overlap Σpg        predicted Σp      truth Σg      squares Σp²
    entropy Σ(s - xg), which is BCE      positive Σgr, for pos_weight      even Σ(s - x/2), for label smoothing
    focal_true Σ g q^γ r                 focal_false Σ (1-g) p^γ s

Their gradients in x are written out, so that the backward pass reads x and g and writes the gradient, whatever number
of losses was made of the sums. s and r are made of the tail log(1 + e^-|x|), and nothing is a difference of large sums:
each pixel's part is exact where it is tiny.

On a CPU both passes go piece by piece (`sigmoid_pieces`); a compiler and other devices get whole tensors
(`sigmoid_whole`).
"""

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from components.losses.needs import NOWHERE, Needs
from components.losses.pieces import in_pieces
from components.losses.sigmoid_pieces import piecewise_gradient, piecewise_sums
from components.losses.sigmoid_whole import whole_gradient, whole_sums


@dataclass(frozen=True)
class SigmoidSums:
    """The sums that were asked for, `(B, C)` each; the others are None."""

    overlap: Tensor | None = None
    predicted: Tensor | None = None
    truth: Tensor | None = None
    squares: Tensor | None = None
    entropy: Tensor | None = None
    positive: Tensor | None = None
    even: Tensor | None = None
    focal_true: Tensor | None = None
    focal_false: Tensor | None = None


_NAMES = tuple(field.name for field in fields(SigmoidSums))


def sigmoid_sums(logits: Tensor, target: Tensor, needs: Needs, valid: Tensor | None = None) -> SigmoidSums:
    """Sum over the valid pixels of each (sample, class).

    Args:
        logits: `(B, C, *spatial)` fp32 or fp64.
        target: 0-1, soft allowed, same shape and dtype, 0 where not valid; gets no gradient.
        needs: which sums.
        valid: bool, same shape; None for all.
    """
    return SigmoidSums(*_SigmoidSums.apply(logits, target, needs, valid))  # type: ignore[no-untyped-call]


class _SigmoidSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, needs: Needs, valid: Tensor | None) -> tuple[Any, ...]:
        x = logits if valid is None else torch.where(valid, logits, NOWHERE)
        rows = logits.shape[0] * logits.shape[1]
        x, g = x.reshape(rows, -1), target.reshape(rows, -1)
        ctx.pieces, ctx.hard = in_pieces(x), False
        if ctx.pieces:
            totals, ctx.hard = piecewise_sums(x, g, needs)
        else:
            totals = whole_sums(x, g, needs)
        sums = {name: total.view(logits.shape[:2]) for name, total in totals.items()}
        if "truth" in sums:
            ctx.mark_non_differentiable(sums["truth"])
        ctx.save_for_backward(x, g, valid)
        ctx.gamma, ctx.shape = needs.gamma, logits.shape
        ctx.set_materialize_grads(False)
        return tuple(sums.get(name) for name in _NAMES)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        x, g, valid = ctx.saved_tensors
        given = {name: grad.reshape(-1, 1) for name, grad in zip(_NAMES, grads, strict=True) if grad is not None}
        if ctx.pieces:
            grad = piecewise_gradient(given, x, g, ctx.gamma, hard=ctx.hard)
        else:
            grad = whole_gradient(given, x, g, ctx.gamma)
        grad = grad.view(ctx.shape)
        return grad if valid is None else torch.where(valid, grad, 0.0), None, None, None
