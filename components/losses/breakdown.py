"""What a combined loss is made of at one step, and the check that it is a number."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from components.errors import NonFiniteLossError


@dataclass(frozen=True)
class LossBreakdown:
    """A combined loss with its parts.

    Attributes:
        total: weighted sum, scalar, carries the gradient.
        terms: unweighted value of each term, scalar, detached.
        weighted: weight times value of each term, scalar, detached; 0 for a term that is only watched.
        gradient_norms: L2 norm of each trained term's unweighted gradient at the logits, scalar; empty unless measured.
        gradient_shares: share of each trained term, with its weight, in the sum of these norms, 0-1; empty likewise.
            Gradients of different terms may oppose each other, so it is a share of effort, not of progress.
    """

    total: Tensor
    terms: dict[str, Tensor]
    weighted: dict[str, Tensor]
    gradient_norms: dict[str, Tensor] = field(default_factory=dict)
    gradient_shares: dict[str, Tensor] = field(default_factory=dict)


def gradient_norms(values: Mapping[str, Tensor], logits: Tensor) -> dict[str, Tensor]:
    """L2 norm of each value's gradient at the logits; the graph is kept for the backward pass that trains.

    Args:
        values: scalars that were computed from the logits; one without a gradient gets 0.
        logits: any shape, requires a gradient.
    """
    norms = {}
    for name, value in values.items():
        gradient = None
        if value.requires_grad:
            (gradient,) = torch.autograd.grad(value, logits, retain_graph=True, allow_unused=True)
        norms[name] = logits.new_zeros(()) if gradient is None else torch.linalg.vector_norm(gradient)
    return norms


def shares(amounts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each amount over their sum; all 0 where there is nothing to share."""
    if not amounts:
        return {}
    total = torch.stack(list(amounts.values())).sum()
    return {name: amount / torch.where(total > 0, total, 1) for name, amount in amounts.items()}


def check_finite(breakdown: LossBreakdown, epoch: int, where: str, batch: Mapping[str, Tensor] | None = None) -> None:
    """Refuse a breakdown with NaN or infinity in it.

    Waits for the device once, so the caller chooses the moment.

    Args:
        breakdown: what `CombinedLoss.breakdown` returned.
        epoch: 1-based, for the error's text.
        where: place in the epoch, such as `batch 7`, for the error's text.
        batch: tensors by name, such as images, logits and target, whose statistics the error gives.

    Raises:
        NonFiniteLossError: names each such term and its value; `total` when only the weighted sum overflowed.
    """
    total = breakdown.total.detach()
    names = [*breakdown.terms, "total"]
    values: list[float] = torch.stack([*(term.to(total) for term in breakdown.terms.values()), total]).tolist()
    broken = {name: value for name, value in zip(names, values, strict=True) if not math.isfinite(value)}
    if not broken:
        return
    culprits = {name: value for name, value in broken.items() if name != "total"} or broken
    found = ", ".join(f"{name!r} is {value}" for name, value in culprits.items())
    seen = "".join(f" {name}: {_described(values)}." for name, values in (batch or {}).items())
    raise NonFiniteLossError(
        f"epoch {epoch}, {where}: loss term {found}.{seen} "
        "Hint: lower the learning rate, clip the gradient, or check images and masks for NaN."
    )


def _described(values: Tensor) -> str:
    """Shape, type, and the range and mean of the finite values, with the number of others."""
    numbers = values.detach().double()
    finite = numbers[torch.isfinite(numbers)]
    text = f"{'×'.join(map(str, values.shape))} {str(values.dtype).removeprefix('torch.')}"
    if finite.numel():
        text += f", {finite.min().item():.4g} to {finite.max().item():.4g}, mean {finite.mean().item():.4g}"
    others = numbers.numel() - finite.numel()
    return f"{text}, {others} of {numbers.numel()} not finite" if others else text
