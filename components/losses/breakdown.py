"""What a combined loss is made of at one step, and the check that it is a number."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from components.errors import NonFiniteLossError


@dataclass(frozen=True)
class LossBreakdown:
    """A combined loss with its parts.

    Attributes:
        total: weighted sum, scalar, carries the gradient.
        terms: unweighted value of each term, scalar, detached.
    """

    total: Tensor
    terms: dict[str, Tensor]


def check_finite(breakdown: LossBreakdown, epoch: int, where: str) -> None:
    """Refuse a breakdown with NaN or infinity in it.

    Waits for the device once, so the caller chooses the moment.

    Args:
        breakdown: what `CombinedLoss.breakdown` returned.
        epoch: 1-based, for the error's text.
        where: place in the epoch, such as `batch 7`, for the error's text.

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
    raise NonFiniteLossError(
        f"epoch {epoch}, {where}: loss term {found}. "
        "Hint: lower the learning rate, clip the gradient, or check images and masks for NaN."
    )
