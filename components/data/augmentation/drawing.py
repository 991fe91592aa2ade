"""What every augmentation draws, from a generator on the CPU, so that no device has to be waited for."""

from collections.abc import Callable

import torch
from torch import Tensor

Batch = tuple[Tensor, Tensor]
Augmentation = Callable[[Tensor, Tensor, torch.Generator], Batch]


def draw_some(count: int, probability: float, generator: torch.Generator) -> Tensor:
    """Whether each of the cases is chosen, `(count,)` on the CPU."""
    return torch.rand(count, generator=generator) < probability


def draw_rows(count: int, probability: float, generator: torch.Generator) -> Tensor:
    """Which of the cases are chosen, their places on the CPU."""
    return draw_some(count, probability, generator).nonzero().flatten()


def draw_normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal numbers, drawn where they are needed: as many as pixels are too many to send."""
    if like.device.type != "cpu":
        seed = int(torch.randint(2**62, (), generator=generator))
        generator = torch.Generator(like.device).manual_seed(seed)
    return torch.randn(like.shape, dtype=like.dtype, device=like.device, generator=generator)


def per_case(values: Tensor, like: Tensor) -> Tensor:
    """Values `(B,)` or `(B, C)` as they are multiplied with a batch, on its device and in its type."""
    shaped = values.view(*values.shape, *[1] * (like.ndim - values.ndim))
    return shaped.to(device=like.device, dtype=like.dtype, non_blocking=True)
