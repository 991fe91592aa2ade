"""One pass over softmax logits that yields every sum from which region and pixel losses are made, and one back.

With p the softmax over classes and t a pixel's true class, the sums run over the pixels of a sample, for each class c:

    overlap Σ[t=c] p_t   predicted Σp_c   truth Σ[t=c]   squares Σp_c²
    entropy Σ[t=c] -log p_t        plain -Σ log p_c        (CE is entropy over truth, each summed over c)
    focal Σ[t=c] -(1-p_t)^γ log p_t

All but `predicted`, `squares` and `plain` see a pixel only through log p_t, so that their gradients in the logits are
one number a pixel, a: δ_ct a - p_c a. The backward pass reads p and writes the gradient, whatever number of losses was
made of the sums; of the classes' size only p is kept.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


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


@dataclass(frozen=True)
class ClassNeeds:
    """Which sums are asked for; `truth` always comes.

    Attributes:
        regions: overlap and predicted.
        squares: of the probabilities.
        entropy: for cross-entropy.
        plain: for label smoothing.
        gamma: of the focal sum; None for none.
    """

    regions: bool = False
    squares: bool = False
    entropy: bool = False
    plain: bool = False
    gamma: float | None = None


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
        log_p, t = logits.flatten(2).log_softmax(1), target.flatten(1).unsqueeze(1)
        v = None if valid is None else valid.flatten(2)
        if v is not None:
            log_p.masked_fill_(~v, 0)
        log_true = log_p.gather(1, t)
        plain = -log_p.sum(2) if needs.plain else None
        p = log_p.exp_()
        if v is not None:
            p.masked_fill_(~v, 0)
        predicted = p.sum(2) if needs.regions else None
        squares = p.square().sum(2) if needs.squares else None
        values = _per_pixel(log_true, needs)
        overlap, entropy, focal, truth = _by_class(values, t, v, logits.shape[1])
        ctx.save_for_backward(p, t, log_true, v)
        ctx.needs, ctx.shape = needs, logits.shape
        ctx.mark_non_differentiable(truth)
        return overlap, predicted, truth, squares, entropy, plain, focal

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        p, t, log_true, v = ctx.saved_tensors
        overlap, predicted, _, squares, entropy, plain, focal = grads
        slope = _slope(p, predicted, squares)
        a = _pixel_gradient(t.squeeze(1), log_true.squeeze(1), overlap, entropy, focal, ctx.needs.gamma).unsqueeze(1)
        if v is not None:
            a = torch.where(v, a, 0)
        grad = torch.zeros_like(p) if slope is None else slope
        inner = a if slope is None else grad.sum(1, keepdim=True) + a
        if plain is not None:
            inner = inner - plain.sum(1)[:, None, None]
        grad.addcmul_(p, inner, value=-1).scatter_add_(1, t, a)
        if plain is not None:
            grad.sub_(plain.unsqueeze(2) if v is None else torch.where(v, plain.unsqueeze(2), 0))
        return grad.view(ctx.shape), None, None, None


def _per_pixel(log_true: Tensor, needs: ClassNeeds) -> list[Tensor | None]:
    """What each pixel adds to its true class: overlap, entropy, focal; `(B, 1, N)` each."""
    overlap = log_true.exp() if needs.regions else None
    focal = None if needs.gamma is None else _others(log_true).pow(needs.gamma).mul_(log_true).neg_()
    return [overlap, -log_true if needs.entropy else None, focal]


def _others(log_true: Tensor) -> Tensor:
    """1 - p_t, exact also where p_t is near 1; its floor keeps a power's slope finite."""
    return torch.expm1(log_true).neg_().clamp_min_(torch.finfo(log_true.dtype).tiny)


def _by_class(values: list[Tensor | None], t: Tensor, v: Tensor | None, classes: int) -> list[Any]:
    """Sum each value over the pixels of each true class; the last is their number."""
    sums: list[list[Tensor]] = [[] for _ in range(len(values) + 1)]
    dtype = next((value.dtype for value in values if value is not None), torch.get_default_dtype())
    for index in range(classes):
        of_class = (t == index if v is None else (t == index) & v).to(dtype)
        for value, column in zip(values, sums, strict=False):
            if value is not None:
                column.append((value * of_class).sum((1, 2)))
        sums[-1].append(of_class.sum((1, 2)))
    return [torch.stack(column, 1) if column else None for column in sums]


def _slope(p: Tensor, predicted: Tensor | None, squares: Tensor | None) -> Tensor | None:
    """p_c times dL/dp_c of the sums over all pixels."""
    if predicted is None and squares is None:
        return None
    if squares is None:
        return p * predicted.unsqueeze(2)  # type: ignore[union-attr]  # one of the two is given
    inner = p * (2 * squares.unsqueeze(2))
    return (inner if predicted is None else inner.add_(predicted.unsqueeze(2))).mul_(p)


def _pixel_gradient(
    t: Tensor, log_true: Tensor, overlap: Tensor | None, entropy: Tensor | None, focal: Tensor | None, gamma: Any
) -> Tensor:
    """dL/dlog p_t of each pixel, `(B, N)`."""
    a = torch.zeros_like(log_true)
    if overlap is not None:
        a = log_true.exp().mul_(overlap.gather(1, t))
    if entropy is not None:
        a.sub_(entropy.gather(1, t))
    if focal is not None:
        others = _others(log_true)
        slope = others.pow(gamma - 1).mul_(gamma * log_true.exp() * log_true).sub_(others.pow(gamma))
        a.addcmul_(slope, focal.gather(1, t))
    return a
