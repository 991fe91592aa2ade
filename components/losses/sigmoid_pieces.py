"""The sums of sigmoid logits and their gradient on a CPU, piece by piece and in place.

See `components.losses.sigmoid_sums` for what is summed. Nothing of the logits' size is kept for the way back: to take a
sigmoid or a logarithm again costs less than the page faults of new memory for it.

Focal sums are made of φ(z) = sigmoid(z)^γ log(1 + e^z), g φ(-x) and (1 - g) φ(x). Where all labels are 0 or 1, only one
of the two counts: with z = (1 - 2g)x the error e = sigmoid(z) is |p - g|, the cost b = log(1 + e^z) is the pixel's
cross-entropy, and everything is made of these two. p is g - e then, whose tiny values are lost where the label is 1: at
such pixels the loss is large.
"""

import torch
from torch import Tensor

from components.losses.needs import NOWHERE, Needs
from components.losses.pieces import pieces, workspace

_SQUARE = 2.0
_FOLDS = 2  # a product of 2² factors of at least ½ each loses 4 bits of 24 at most


def piecewise_sums(x: Tensor, g: Tensor, needs: Needs) -> tuple[dict[str, Tensor], bool]:
    """Sums over the columns of logits and labels.

    Args:
        x: logits `(rows, columns)`.
        g: labels, same shape and dtype.
        needs: which sums.

    Returns:
        The sums by name, `(rows,)`, and whether the labels are hard, which is only asked for focal sums.
    """
    hard = needs.gamma is not None and _are_hard(g)
    sums_of = _hard_sums if hard else _soft_sums
    totals: dict[str, Tensor] = {}
    for piece in pieces(*x.shape):
        for name, value in sums_of(x[piece], g[piece], needs).items():
            if name not in totals:
                totals[name] = x.new_zeros(len(x))
            totals[name][piece[0]] += value
    return totals, hard


def piecewise_gradient(given: dict[str, Tensor], x: Tensor, g: Tensor, gamma: float | None, *, hard: bool) -> Tensor:
    """Gradient in the logits of the sums in `given`, each with its own gradient `(rows, 1)`."""
    grad = torch.empty_like(x)
    focal = "focal_true" in given or "focal_false" in given
    for piece in pieces(*x.shape):
        here = {name: value[piece[0]] for name, value in given.items()}
        if gamma is None or not focal:
            _write_soft_gradient(here, x[piece], g[piece], grad[piece])
        elif hard:
            _write_hard_gradient(here, x[piece], g[piece], grad[piece], gamma)
        else:
            _write_soft_gradient(here, x[piece], g[piece], grad[piece])
            _add_soft_focal_gradient(here, x[piece], g[piece], grad[piece], gamma)
    return grad


def _are_hard(g: Tensor) -> bool:
    for piece in pieces(*g.shape):
        (off,) = workspace(1, g[piece])
        if torch.mul(g[piece], g[piece], out=off).sub_(g[piece]).abs_().sum() > 0:
            return False
    return True


def _region_sums(p: Tensor, g: Tensor, needs: Needs, out: Tensor) -> dict[str, Tensor]:
    sums: dict[str, Tensor] = {}
    if needs.regions:
        sums |= {"overlap": torch.mul(p, g, out=out).sum(1), "predicted": p.sum(1), "truth": g.sum(1)}
    if needs.squares:
        sums["squares"] = torch.mul(p, p, out=out).sum(1)
    return sums


def _counted(logits: Tensor) -> Tensor:
    """0 in place of the logit of an ignored pixel, in place."""
    return logits.mul_(logits != NOWHERE)


def _power(values: Tensor, gamma: float) -> Tensor:
    return values.mul_(values) if gamma == _SQUARE else values.pow_(gamma)


def _hard_parts(x: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """e, b, p, z and a temporary tensor."""
    z, e, p, costs, one = workspace(5, x)
    torch.addcmul(x, x, g, value=-2, out=z)
    torch.sigmoid(z, out=e)
    # The tail is -log(1 - min(e, 1 - e)), exact where the label is right and e tiny.
    torch.minimum(e, torch.sub(1, e, out=one), out=costs).neg_().log1p_()
    torch.sub(torch.clamp(z, min=0, out=one), costs, out=costs)
    return e, costs, torch.sub(g, e, out=p).abs_(), z, one


def _hard_sums(x: Tensor, g: Tensor, needs: Needs) -> dict[str, Tensor]:
    e, costs, p, z, one = _hard_parts(x, g)
    sums = _region_sums(p, g, needs, one)
    every = costs.sum(1)
    if needs.entropy:
        sums["entropy"] = every
    if needs.even:
        sums["even"] = every - _counted(z).sum(1) / 2
    if needs.positive:
        sums["positive"] = torch.mul(costs, g, out=one).sum(1)
    if needs.gamma is not None:
        phi = _power(e, needs.gamma).mul_(costs)
        of_true = torch.mul(phi, g, out=one)
        sums |= {"focal_true": of_true.sum(1), "focal_false": phi.sub_(of_true).sum(1)}
    return sums


def _write_hard_gradient(given: dict[str, Tensor], x: Tensor, g: Tensor, grad: Tensor, gamma: float) -> None:
    e, costs, p, _, one = _hard_parts(x, g)
    _write_linear_gradient(given, p, g, grad, one)
    of_true, of_false = _focal_grads(given)
    torch.sub(gamma, e, alpha=gamma, out=one).mul_(costs).add_(e).mul_(_power(e, gamma))  # φ'(z)
    # of_false where g is 0, and -of_true where it is 1, as z is -x there
    grad.add_(one.mul_(torch.mul(g, -(of_true + of_false), out=p).add_(of_false)))


def _soft_sums(x: Tensor, g: Tensor, needs: Needs) -> dict[str, Tensor]:
    one, two, three = workspace(3, x)
    sums = _region_sums(torch.sigmoid(x, out=one), g, needs, two) if needs.regions or needs.squares else {}
    if not needs.logarithms:
        return sums
    tails = _tail(x, one).sum(1) if needs.positive or needs.gamma is not None else _tail_sum(x, one)
    if needs.entropy:  # for hard labels max(x, 0) - xg is exactly 0 where the sign is right
        sums["entropy"] = torch.clamp(x, min=0, out=two).addcmul_(x, g, value=-1).sum(1) + tails
    if needs.even:
        sums["even"] = _counted(two.copy_(x)).abs_().sum(1) / 2 + tails
    if needs.positive:
        sums["positive"] = torch.sub(one, torch.clamp(x, max=0, out=two), out=two).mul_(g).sum(1)
    if needs.gamma is not None:
        of_true = _phi(torch.neg(x, out=two), one, three, needs.gamma).mul_(g).sum(1)
        of_false = _phi(two.copy_(x), one, three, needs.gamma).mul_(torch.sub(1, g, out=two)).sum(1)
        sums |= {"focal_true": of_true, "focal_false": of_false}
    return sums


def _shrunk(x: Tensor, out: Tensor) -> Tensor:
    """-sigmoid(-|x|), of which the tail is -log(1 + ...), exact also where it is tiny."""
    return torch.abs(x, out=out).neg_().sigmoid_().neg_()


def _tail(x: Tensor, out: Tensor) -> Tensor:
    return _shrunk(x, out).log1p_().neg_()


def _tail_sum(x: Tensor, out: Tensor) -> Tensor:
    """The tails' sum over each row, with a quarter of the logarithms: (1 + a)(1 + b) = 1 + (a + b + ab)."""
    u = _shrunk(x, out)
    for _ in range(_FOLDS):
        if u.shape[1] % 2:
            break
        a, b = u.chunk(2, dim=1)
        u = a.addcmul_(a, b).add_(b)
    return u.log1p_().sum(1).neg_()


def _phi(z: Tensor, tail: Tensor, out: Tensor, gamma: float) -> Tensor:
    """φ(z) from the tail at |z|; writes to z."""
    return _power(torch.sigmoid(z, out=out), gamma).mul_(z.clamp_(min=0).add_(tail))


def _write_soft_gradient(given: dict[str, Tensor], x: Tensor, g: Tensor, grad: Tensor) -> None:
    p, one = workspace(2, x)
    _write_linear_gradient(given, torch.sigmoid(x, out=p), g, grad, one)


def _add_soft_focal_gradient(given: dict[str, Tensor], x: Tensor, g: Tensor, grad: Tensor, gamma: float) -> None:
    tail, z, e, slope = workspace(4, x)
    _tail(x, tail)
    of_true, of_false = _focal_grads(given)
    _phi_slope(torch.neg(x, out=z), tail, e, slope, gamma)
    grad.sub_(slope.mul_(g).mul_(of_true))
    _phi_slope(z.copy_(x), tail, e, slope, gamma)
    grad.add_(slope.mul_(torch.sub(1, g, out=z)).mul_(of_false))


def _phi_slope(z: Tensor, tail: Tensor, e: Tensor, slope: Tensor, gamma: float) -> None:
    """φ'(z) = e^γ (γ (1 - e) log(1 + e^z) + e); no power below γ: finite everywhere. Writes to z and e too."""
    torch.sigmoid(z, out=e)
    torch.sub(gamma, e, alpha=gamma, out=slope).mul_(z.clamp_(min=0).add_(tail)).add_(e).mul_(_power(e, gamma))


def _write_linear_gradient(given: dict[str, Tensor], p: Tensor, g: Tensor, grad: Tensor, one: Tensor) -> None:
    """The gradient of all but the focal sums: g p q, p q and 2p · p q; p - g; -g q; p - ½."""
    if "overlap" in given:
        torch.mul(g, given["overlap"], out=grad)
    else:
        grad.zero_()
    if "predicted" in given:
        grad.add_(given["predicted"])
    if "squares" in given:
        grad.add_(torch.mul(p, given["squares"], out=one), alpha=2)
    torch.ops.aten.sigmoid_backward.grad_input(grad, p, grad_input=grad)
    if "entropy" in given:
        grad.add_(torch.sub(p, g, out=one).mul_(given["entropy"]))
    if "positive" in given:
        grad.sub_(torch.sub(1, p, out=one).mul_(g).mul_(given["positive"]))
    if "even" in given:
        grad.add_(torch.sub(p, 0.5, out=one).mul_(given["even"]))


def _focal_grads(given: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The gradients that came back for the two focal sums, 0 for one that nothing was made of."""
    nothing = torch.zeros_like(next(iter(given.values())))
    return given.get("focal_true", nothing), given.get("focal_false", nothing)
