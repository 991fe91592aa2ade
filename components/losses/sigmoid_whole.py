"""The sums of sigmoid logits and their gradient as plain expressions over whole tensors.

For a compiler, which makes one loop of each, and for devices where a large tensor costs no more than a small one. See
`components.losses.sigmoid_sums` for what is summed.
"""

import torch
from torch import Tensor

from components.losses.needs import NOWHERE, Needs


def whole_sums(x: Tensor, g: Tensor, needs: Needs) -> dict[str, Tensor]:
    """Sums by name over the columns of logits and labels `(rows, columns)`."""
    p, q, tail = _parts(x)
    sums: dict[str, Tensor] = {}
    if needs.regions:
        sums |= {"overlap": (p * g).sum(1), "predicted": p.sum(1), "truth": g.sum(1)}
    if needs.squares:
        sums["squares"] = (p * p).sum(1)
    if needs.entropy:
        sums["entropy"] = (x.clamp_min(0) - x * g + tail).sum(1)
    if needs.positive:
        sums["positive"] = (g * (tail - x.clamp_max(0))).sum(1)
    if needs.even:
        sums["even"] = (x.abs() / 2 * (x != NOWHERE) + tail).sum(1)
    if needs.gamma is not None:
        sums["focal_true"] = (g * q**needs.gamma * (tail - x.clamp_max(0))).sum(1)
        sums["focal_false"] = ((1 - g) * p**needs.gamma * (tail + x.clamp_min(0))).sum(1)
    return sums


def whole_gradient(given: dict[str, Tensor], x: Tensor, g: Tensor, gamma: float | None) -> Tensor:
    """Gradient in the logits of the sums in `given`, each with its own gradient `(rows, 1)`."""
    p, q, tail = _parts(x)
    slope = torch.zeros_like(x)  # in p
    if "overlap" in given:
        slope = slope + given["overlap"] * g
    if "predicted" in given:
        slope = slope + given["predicted"]
    if "squares" in given:
        slope = slope + 2 * given["squares"] * p
    grad = slope * p * q
    if "entropy" in given:
        grad = grad + given["entropy"] * (p - g)
    if "positive" in given:
        grad = grad - given["positive"] * g * q
    if "even" in given:
        grad = grad + given["even"] * (p - 0.5)
    if gamma is not None and "focal_true" in given:
        grad = grad - given["focal_true"] * g * q**gamma * (gamma * p * (tail - x.clamp_max(0)) + q)
    if gamma is not None and "focal_false" in given:
        grad = grad + given["focal_false"] * (1 - g) * p**gamma * (gamma * q * (tail + x.clamp_min(0)) + p)
    return grad


def _parts(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """p, q and the tail log(1 + e^-|x|), all exact where they are tiny."""
    e = torch.exp(-x.abs())
    high = 1 / (1 + e)
    low = e * high
    right = x >= 0
    return torch.where(right, high, low), torch.where(right, low, high), torch.log1p(e)
