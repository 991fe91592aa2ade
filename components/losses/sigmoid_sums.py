"""One pass over sigmoid logits that yields every sum from which region and pixel losses are made, and one back.

With p = sigmoid(x), q = 1 - p, s = log(1 + e^x) and r = log(1 + e^-x), all sums run over the pixels of one (sample,
class):

    overlap Σpg        predicted Σp      truth Σg      squares Σp²
    entropy Σ(s - xg), which is BCE      positive Σgr, for pos_weight      even Σ(s - x/2), for label smoothing
    focal_true Σ g q^γ r                 focal_false Σ (1-g) p^γ s

Their gradients in x are written out below, so that the backward pass reads x and g and writes the gradient, whatever
number of losses was made of the sums. No further tensor of their size is made: on a CPU both passes go piece by piece,
so that all temporary values stay in the cache, and a sigmoid taken again costs less than one kept. Nothing is a
difference of large sums: each pixel's part is exact where it is tiny.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# An ignored pixel gets this logit and target 0: its p, s and p^γ s are exactly 0 in fp32 and fp64 alike.
_NOWHERE = -1e4
_SQUARE = 2.0
_PIECE = 65_536  # pixels; a few temporary tensors of so many fp32 numbers fit into a core's second-level cache


@dataclass(frozen=True)
class Needs:
    """Which sums are asked for.

    Attributes:
        regions: overlap, predicted and truth.
        squares: of the probabilities.
        entropy: for BCE.
        positive: for `pos_weight`.
        even: for label smoothing.
        gamma: of the focal sums; None for none.
    """

    regions: bool = False
    squares: bool = False
    entropy: bool = False
    positive: bool = False
    even: bool = False
    gamma: float | None = None

    @property
    def logarithms(self) -> bool:
        """Whether a sum needs log(1 + e^-|x|)."""
        return self.entropy or self.positive or self.even or self.gamma is not None


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
    if not needs.logarithms:
        return _region_sums(logits, target, needs, valid)
    return SigmoidSums(*_SigmoidSums.apply(logits, target, needs, valid))  # type: ignore[no-untyped-call]


def _region_sums(logits: Tensor, target: Tensor, needs: Needs, valid: Tensor | None) -> SigmoidSums:
    """Without logarithms there is so little to compute that autograd's own backward pass is faster (measured)."""
    # where, not a product: its gradient is exactly 0 whatever comes back from a region without valid pixels.
    probs = logits.sigmoid() if valid is None else torch.where(valid, logits.sigmoid(), 0.0)
    p, g = probs.flatten(2), target.flatten(2)
    squares = p.square().sum(2) if needs.squares else None
    if not needs.regions:
        return SigmoidSums(squares=squares)
    return SigmoidSums(overlap=(p * g).sum(2), predicted=p.sum(2), truth=g.sum(2), squares=squares)


class _SigmoidSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, needs: Needs, valid: Tensor | None) -> tuple[Any, ...]:
        x = logits if valid is None else torch.where(valid, logits, _NOWHERE)
        rows = logits.shape[0] * logits.shape[1]
        x, g = x.reshape(rows, -1), target.reshape(rows, -1)
        totals: dict[str, Tensor] = {}
        for piece, work in _pieces(x):
            for name, value in _piece_sums(x[piece], g[piece], work, needs).items():
                if name not in totals:
                    totals[name] = x.new_zeros(rows)
                totals[name][piece[0]] += value
        if valid is not None and "even" in totals:
            totals["even"] += _NOWHERE / 2 * (~valid).reshape(rows, -1).sum(1)
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
        grad = torch.empty_like(x)
        for piece, work in _pieces(x):
            here = {name: value[piece[0]] for name, value in given.items()}
            torch.sigmoid(x[piece], out=work.p)
            _linear_gradient(here, g[piece], work, grad[piece])
            if "focal_true" in here or "focal_false" in here:
                _add_focal_gradient(here, x[piece], g[piece], work, ctx.gamma, grad[piece])
        grad = grad.view(ctx.shape)
        return grad if valid is None else torch.where(valid, grad, 0.0), None, None, None


class _Work(NamedTuple):
    """Temporary tensors of one piece, used again for the next."""

    p: Tensor
    tail: Tensor
    one: Tensor
    two: Tensor


def _pieces(x: Tensor) -> Iterator[tuple[tuple[slice, slice], _Work]]:
    """Slices of rows and columns that cover a matrix; on a CPU each is small enough for the cache."""
    rows, columns = x.shape
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        yield (slice(0, rows), slice(0, columns)), _Work(*(torch.empty_like(x) for _ in _Work._fields))
        return
    height, width = max(1, _PIECE // columns), min(_PIECE, columns)
    work = x.new_empty(len(_Work._fields), min(height, rows), width)
    for top in range(0, rows, height):
        bottom = min(top + height, rows)
        for left in range(0, columns, width):
            right = min(left + width, columns)
            part = work[:, : bottom - top, : right - left]
            yield (slice(top, bottom), slice(left, right)), _Work(*part.unbind())


def _piece_sums(x: Tensor, g: Tensor, work: _Work, needs: Needs) -> dict[str, Tensor]:
    p = torch.sigmoid(x, out=work.p)
    sums: dict[str, Tensor] = {}
    if needs.regions:
        sums |= {"overlap": torch.mul(p, g, out=work.one).sum(1), "predicted": p.sum(1), "truth": g.sum(1)}
    if needs.squares:
        sums["squares"] = torch.mul(p, p, out=work.one).sum(1)
    if needs.logarithms:
        _fill_tail(x, work)
        sums |= _logarithmic_sums(x, g, work, needs)
        if needs.gamma is not None:
            sums |= _focal_sums(x, g, work, needs.gamma)
    return sums


def _fill_tail(x: Tensor, work: _Work) -> None:
    """log(1 + e^-|x|), exact also where it is tiny."""
    torch.abs(x, out=work.tail).neg_().sigmoid_().neg_().log1p_().neg_()


def _logarithmic_sums(x: Tensor, g: Tensor, work: _Work, needs: Needs) -> dict[str, Tensor]:
    sums: dict[str, Tensor] = {}
    tails = work.tail.sum(1)
    if needs.entropy:  # for hard targets max(x, 0) - xg is exactly 0 where the sign is right
        sums["entropy"] = torch.clamp(x, min=0, out=work.one).addcmul_(x, g, value=-1).sum(1) + tails
    if needs.positive:
        sums["positive"] = _of_true(x, work).mul_(g).sum(1)
    if needs.even:
        sums["even"] = torch.abs(x, out=work.one).sum(1) / 2 + tails
    return sums


def _of_true(x: Tensor, work: _Work) -> Tensor:
    """R = log(1 + e^-x), in the first temporary tensor."""
    return torch.sub(work.tail, torch.clamp(x, max=0, out=work.one), out=work.one)


def _of_false(x: Tensor, work: _Work) -> Tensor:
    """S = log(1 + e^x), in the first temporary tensor."""
    return torch.clamp(x, min=0, out=work.one).add_(work.tail)


def _power(values: Tensor, gamma: float, out: Tensor) -> Tensor:
    return torch.mul(values, values, out=out) if gamma == _SQUARE else torch.pow(values, gamma, out=out)


def _focal_sums(x: Tensor, g: Tensor, work: _Work, gamma: float) -> dict[str, Tensor]:
    q = torch.sub(1, work.p, out=work.two)
    true = _of_true(x, work).mul_(_power(q, gamma, work.two)).mul_(g).sum(1)
    false = _of_false(x, work).mul_(_power(work.p, gamma, work.two)).mul_(torch.sub(1, g, out=work.two)).sum(1)
    return {"focal_true": true, "focal_false": false}


def _linear_gradient(given: dict[str, Tensor], g: Tensor, work: _Work, grad: Tensor) -> None:
    """Write the gradient of all but the focal sums: g p q, p q and 2p · p q; p - g; -g q; p - ½."""
    p = work.p
    if "overlap" in given:
        torch.mul(g, given["overlap"], out=grad)
        if "predicted" in given:
            grad.add_(given["predicted"])
    elif "predicted" in given:
        grad.copy_(given["predicted"].expand_as(grad))
    else:
        grad.zero_()
    if "squares" in given:
        grad.addcmul_(given["squares"], p, value=2)
    torch.ops.aten.sigmoid_backward.grad_input(grad, p, grad_input=grad)
    if "entropy" in given:
        grad.addcmul_(given["entropy"], torch.sub(p, g, out=work.one))
    if "positive" in given:
        grad.addcmul_(given["positive"], torch.sub(1, p, out=work.one).mul_(g), value=-1)
    if "even" in given:
        grad.addcmul_(given["even"], torch.sub(p, 0.5, out=work.one))


def _add_focal_gradient(
    given: dict[str, Tensor], x: Tensor, g: Tensor, work: _Work, gamma: float, grad: Tensor
) -> None:
    """Foreground: -g q^γ (γ p r + q); background: (1-g) p^γ (γ q s + p). No power below γ: finite everywhere."""
    _fill_tail(x, work)
    if "focal_true" in given:
        q = torch.sub(1, work.p, out=work.two)
        slope = _of_true(x, work).mul_(work.p).mul_(gamma).add_(q).mul_(_power(q, gamma, work.two)).mul_(g)
        grad.addcmul_(given["focal_true"], slope, value=-1)
    if "focal_false" in given:
        q = torch.sub(1, work.p, out=work.two)
        slope = _of_false(x, work).mul_(q).mul_(gamma).add_(work.p).mul_(_power(work.p, gamma, work.two))
        grad.addcmul_(given["focal_false"], slope.mul_(torch.sub(1, g, out=work.two)))
