"""What the tests of the schedules share: a loss of two terms, and a configuration of every type."""

from typing import Any

import torch

from components.losses import CombinedLoss, EnhancedBCELoss, EnhancedDiceLoss

LOGITS = torch.tensor([[[[1.0, -1.0], [0.5, 2.0]]]])
TARGET = torch.tensor([[[[1, 0], [1, 0]]]])

CONFIGS: list[dict[str, Any]] = [
    {"type": "constant"},
    {"type": "linear", "end": {"dice": 0.1, "bce": 0.9}, "epochs": 6},
    {"type": "cosine", "end": {"dice": 0.1, "bce": 0.9}, "epochs": 6},
    {"type": "step", "milestones": {3: {"dice": 0.5, "bce": 0.5}, 5: {"bce": 1.0}}},
    {"type": "steal", "source": "dice", "target": "bce", "delta": 0.15},
    {"type": "adaptive"},
    {"type": "dwa", "temperature": 1.5},
    {"type": "softadapt", "beta": 2.0},
    {"type": "softadapt", "beta": 2.0, "normalized": False, "loss_weighted": True},
    {"type": "relobralo", "rho": 0.5, "seed": 3},
    {"type": "uwso"},
    {"type": "gradient_norm"},
    {"type": "uncertainty"},
    {"type": "random", "seed": 7},
]


def combined(dice: float = 0.5, bce: float = 0.5) -> CombinedLoss:
    return CombinedLoss({"dice": EnhancedDiceLoss(), "bce": EnhancedBCELoss()}, {"dice": dice, "bce": bce})


def losses(dice: float, bce: float) -> dict[str, float]:
    return {"loss_dice": dice, "loss_bce": bce, "val_dice": 0.5}


def norms(dice: float, bce: float) -> dict[str, float]:
    return {"gradient_norm_dice": dice, "gradient_norm_bce": bce}
