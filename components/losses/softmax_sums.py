"""One pass over softmax logits that yields every sum from which region and pixel losses are made, and one back.

With p the softmax over classes and t a pixel's true class, the sums run over the pixels of a sample, for each class c:

    overlap Σ[t=c] p_t   predicted Σp_c   truth Σ[t=c]   squares Σp_c²
    entropy Σ[t=c] -log p_t        plain -Σ log p_c        (CE is entropy over truth, each summed over c)
    focal Σ[t=c] -(1-p_t)^γ log p_t

All but `predicted`, `squares` and `plain` see a pixel only through log p_t, so that their gradients in the logits are
one number a pixel, a: δ_ct a - p_c a. The backward pass reads p and writes the gradient, whatever number of losses
was made of the sums.

On a CPU both passes go piece by piece (`softmax_pieces`); a compiler and other devices get whole tensors
(`softmax_whole`).
"""

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from components.losses.needs import ClassNeeds
from components.losses.pieces import in_pieces
from components.losses.softmax_pieces import piecewise_class_gradient, piecewise_class_sums
from components.losses.softmax_whole import whole_class_gradient, whole_class_sums


@dataclass(frozen=True)
class SoftmaxSums:
    """The sums that were asked for, `(B, C)` each; the others are None."""

    overlap: Tensor | None = None
    predicted: Tensor | None = None
    truth: Tensor | None = None
    squares: Tensor | None = None
    entropy: Tensor | None = None
    plain: Tensor | None = None
    focal: Tensor | None = None


_NAMES = tuple(field.name for field in fields(SoftmaxSums))


def softmax_sums(logits: Tensor, target: Tensor, needs: ClassNeeds, valid: Tensor | None = None) -> SoftmaxSums:
    """Sum over the valid pixels of each sample.

    Args:
        logits: `(B, C, *spatial)` fp32 or fp64.
        target: class indices `(B, *spatial)` int64.
        needs: which sums.
        valid: bool `(B, 1, *spatial)`; None for all.
    """
    return SoftmaxSums(*_SoftmaxSums.apply(logits, target, needs, valid))  # type: ignore[no-untyped-call]


class _SoftmaxSums(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, target: Tensor, needs: ClassNeeds, valid: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        # What stands at ignored pixels, NaN even, is not looked at.
        x = (logits if valid is None else torch.where(valid, logits, 0.0)).flatten(2)
        t, v = target.flatten(1), None if valid is None else valid.flatten(2)
        ctx.pieces = in_pieces(x)
        if ctx.pieces:
            sums, p, log_true = piecewise_class_sums(x, t, v, needs)
            ctx.save_for_backward(t, v, p, log_true)
        else:
            sums = whole_class_sums(x, t, v, needs)
            ctx.save_for_backward(t, v, x)
        ctx.mark_non_differentiable(sums["truth"])
        ctx.gamma, ctx.shape = needs.gamma, logits.shape
        ctx.set_materialize_grads(False)
        return tuple(sums.get(name) for name in _NAMES)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        given = {name: grad for name, grad in zip(_NAMES, grads, strict=True) if grad is not None}
        if ctx.pieces:
            t, v, p, log_true = ctx.saved_tensors
            grad = piecewise_class_gradient(given, p, log_true, t, v, ctx.gamma)
        else:
            t, v, x = ctx.saved_tensors
            grad = whole_class_gradient(given, x, t, v, ctx.gamma)
        return grad.view(ctx.shape), None, None, None
