"""The sums of softmax logits and their gradient as plain expressions over whole tensors.

For a compiler, which makes one loop of each, and for devices where a large tensor costs no more than a small one. See
`components.losses.softmax_sums` for what is summed.
"""

import torch
from torch import Tensor

from components.losses.needs import ClassNeeds


def whole_class_sums(x: Tensor, t: Tensor, v: Tensor | None, needs: ClassNeeds) -> dict[str, Tensor]:
    """Sums by name, `(B, C)`, over the last axis of logits `(B, C, N)`, class indices `(B, N)`, valid `(B, 1, N)`."""
    log_p, p, true, log_true = _parts(x, t, v)
    sums = {"truth": true.sum(2)}
    if needs.regions:
        sums |= {"predicted": p.sum(2), "overlap": (p * true).sum(2)}
    if needs.squares:
        sums["squares"] = (p * p).sum(2)
    if needs.entropy:
        sums["entropy"] = -(true * log_true).sum(2)
    if needs.gamma is not None:
        sums["focal"] = -(true * others(log_true) ** needs.gamma * log_true).sum(2)
    if needs.plain:
        sums["plain"] = -(log_p if v is None else torch.where(v, log_p, 0)).sum(2)
    return sums


def whole_class_gradient(
    given: dict[str, Tensor], x: Tensor, t: Tensor, v: Tensor | None, gamma: float | None
) -> Tensor:
    """Gradient in the logits of the sums in `given`, each with its own gradient `(B, C)`."""
    _, p, true, log_true = _parts(x, t, v)
    given = {name: value.unsqueeze(2) for name, value in given.items()}
    of_true = torch.zeros_like(log_true)  # dL/dlog p of the true class
    if "overlap" in given:
        of_true = of_true + log_true.exp() * (true * given["overlap"]).sum(1, keepdim=True)
    if "entropy" in given:
        of_true = of_true - (true * given["entropy"]).sum(1, keepdim=True)
    if gamma is not None and "focal" in given:
        of_true = of_true + focal_slope(log_true, gamma) * (true * given["focal"]).sum(1, keepdim=True)
    grad = true * of_true
    if "predicted" in given:
        grad = grad + p * given["predicted"]
    if "squares" in given:
        grad = grad + 2 * given["squares"] * p * p
    inner = grad.sum(1, keepdim=True)
    if "plain" not in given:
        return grad - p * inner
    direct = given["plain"] if v is None else torch.where(v, given["plain"], 0)
    return grad - p * (inner - given["plain"].sum(1, keepdim=True)) - direct


def _parts(x: Tensor, t: Tensor, v: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Log p; p, 1 for the true class, and its log p, all three 0 where not valid."""
    log_p = x.log_softmax(1)
    classes = torch.arange(x.shape[1], device=x.device).unsqueeze(1)
    if v is None:
        p, true = log_p.exp(), (t.unsqueeze(1) == classes).to(x)
    else:
        p, true = torch.where(v, log_p.exp(), 0), ((t.unsqueeze(1) == classes) & v).to(x)
    return log_p, p, true, torch.where(true > 0, log_p, 0).sum(1, keepdim=True)


def others(log_true: Tensor) -> Tensor:
    """1 - p of the true class, exact also where p is near 1; its floor keeps a power's slope finite."""
    return (-torch.expm1(log_true)).clamp_min(torch.finfo(log_true.dtype).tiny)


def focal_slope(log_true: Tensor, gamma: float) -> Tensor:
    """Slope of -(1 - p)^γ log p in log p."""
    rest = others(log_true)
    return rest ** (gamma - 1) * (gamma * log_true.exp() * log_true) - rest**gamma
