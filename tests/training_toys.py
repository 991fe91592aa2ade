"""A task that a tiny network learns in a moment: which pixels are bright."""

from typing import Any

import torch
from torch import Tensor, nn


def batch(count: int = 8, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images, and masks that say where they are bright."""
    images = torch.randn(count, 1, 16, 16, generator=torch.Generator().manual_seed(seed))
    return images, (images > 0.5).float()


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 8, 1), nn.ReLU(), nn.Conv2d(8, 1, 1))


CONFIG: dict[str, dict[str, Any]] = {
    "training": {"epochs": 6, "lr": 0.05, "precision": "fp32"},
    "checkpoint": {"strategy": "epoch"},
}
