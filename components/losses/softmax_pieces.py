"""The sums of softmax logits and their gradient on a CPU, piece by piece and in place.

See `components.losses.softmax_sums` for what is summed. Of the logits' size only the probabilities are kept for the way
back. e^y is taken as 2^(y log2 e), which vectorises three times as well; its relative error is that of rounding y.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from components.losses.needs import ClassNeeds
from components.losses.pieces import column_pieces, workspace
from components.losses.softmax_whole import focal_slope, others

_LOG2_E = math.log2(math.e)


def piecewise_class_sums(
    x: Tensor, t: Tensor, v: Tensor | None, needs: ClassNeeds
) -> tuple[dict[str, Tensor], Tensor, Tensor | None]:
    """Sums over the pixels of each sample.

    Args:
        x: logits `(B, C, N)`.
        t: class indices `(B, N)`.
        v: which pixels are valid, bool `(B, 1, N)`; None for all.
        needs: which sums.

    Returns:
        The sums by name, `(B, C)`; the probabilities, 0 where not valid; log p of the true class, `(B, 1, N)`, 0 where
        not valid, for focal sums only.
    """
    totals: dict[str, Tensor] = {}
    probs = torch.empty_like(x)
    log_trues = None if needs.gamma is None else x.new_empty((len(x), 1, x.shape[2]))
    for sample, columns in _pieces(x):
        here = (sample, slice(None), columns)
        valid = None if v is None else v[here].to(x.dtype)
        log_true = x.new_empty((1, x[here].shape[1])) if log_trues is None else log_trues[here]
        for name, value in _piece_sums(x[here], t[sample, columns], valid, needs, probs[here], log_true):
            if name not in totals:
                totals[name] = x.new_zeros(x.shape[:2])
            totals[name][sample] += value
    return totals, probs, log_trues


def piecewise_class_gradient(
    given: dict[str, Tensor],
    p: Tensor,
    log_trues: Tensor | None,
    t: Tensor,
    v: Tensor | None,
    gamma: float | None,
) -> Tensor:
    """Gradient in the logits of the sums in `given`, each with its own gradient `(B, C)`."""
    grad = torch.empty_like(p)
    for sample, columns in _pieces(p):
        here = (sample, slice(None), columns)
        labels, valid = t[sample, columns], None if v is None else v[here].to(p.dtype)
        sums = {name: value[sample] for name, value in given.items()}
        slope = p.new_zeros((1, len(labels)))  # dL/dlog p of the true class
        if "entropy" in sums:
            slope.sub_(sums["entropy"].index_select(0, labels))
        if "focal" in sums and gamma is not None and log_trues is not None:
            slope.addcmul_(focal_slope(log_trues[here], gamma), sums["focal"].index_select(0, labels))
        true, spare = workspace(2, p[here])
        _write_gradient(sums, p[here], _write_one_hot(labels, valid, true), slope, spare, grad[here])
        if "plain" in sums:
            direct = sums["plain"].unsqueeze(1)
            grad[here].sub_(direct if valid is None else direct * valid)
    return grad


def _pieces(x: Tensor) -> Iterator[tuple[int, slice]]:
    for sample in range(len(x)):
        for columns in column_pieces(*x.shape[1:]):
            yield sample, columns


def _write_one_hot(t: Tensor, valid: Tensor | None, out: Tensor) -> Tensor:
    """1 for the true class and 0 for others, and where not valid."""
    classes = torch.arange(len(out), dtype=out.dtype, device=out.device).unsqueeze(1)
    torch.eq(t.to(out.dtype), classes, out=out)  # of floats: five times as fast as of integers
    return out if valid is None else out.mul_(valid)


def _piece_sums(
    x: Tensor, t: Tensor, valid: Tensor | None, needs: ClassNeeds, p: Tensor, log_true: Tensor
) -> Iterator[tuple[str, Tensor]]:
    """The sums of some pixels of one sample, `(C,)`; writes `p` and `log_true`."""
    shifted, true, spare = workspace(3, x)
    torch.sub(x, x.amax(0), out=shifted)
    norm = torch.exp2(torch.mul(shifted, _LOG2_E, out=p), out=p).sum(0, keepdim=True)
    log_norm = torch.log1p(norm - 1)  # the norm is at least 1; vectorises better than log
    _write_one_hot(t, valid, true)
    # Picked, not multiplied by 0: a logit of minus infinity masks a class.
    torch.sub(shifted.gather(0, t.unsqueeze(0)), log_norm, out=log_true)
    p.mul_(norm.reciprocal_())
    if valid is not None:
        p.mul_(valid)
        log_true.mul_(valid)
    yield "truth", true.sum(1)
    if needs.regions:
        yield "predicted", p.sum(1)
        yield "overlap", torch.mul(p, true, out=spare).sum(1)
    if needs.squares:
        yield "squares", torch.mul(p, p, out=spare).sum(1)
    if needs.entropy:
        yield "entropy", torch.mul(true, log_true, out=spare).sum(1).neg_()
    if needs.gamma is not None:
        focal = others(log_true) ** needs.gamma * log_true
        yield "focal", torch.mul(true, focal, out=spare).sum(1).neg_()
    if needs.plain:
        plain = torch.sub(log_norm, shifted, out=spare)
        yield "plain", (plain if valid is None else plain.mul_(valid)).sum(1)


def _write_gradient(
    given: dict[str, Tensor], p: Tensor, true: Tensor, slope: Tensor, spare: Tensor, grad: Tensor
) -> None:
    """All but the direct part of `plain`."""
    torch.mul(true, slope, out=grad)
    if "overlap" in given:
        grad.add_(torch.mul(true, given["overlap"].unsqueeze(1), out=spare).mul_(p))
    if "predicted" in given:
        grad.add_(torch.mul(p, given["predicted"].unsqueeze(1), out=spare))
    if "squares" in given:
        grad.add_(torch.mul(p, p, out=spare).mul_(given["squares"].unsqueeze(1)), alpha=2)
    inner = grad.sum(0, keepdim=True)
    if "plain" in given:
        inner -= given["plain"].sum()
    grad.sub_(torch.mul(p, inner, out=spare))
