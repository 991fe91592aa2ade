"""Losses for segmentation, their weighted sum, and schedules that move the weights.

Logits are `(B, C, *spatial)`, 2D or 3D. All sums are taken in fp32 (double stays double), also under autocast.

Example:
    >>> loss = LossManager.create_loss_function({"type": "combined", "dice_weight": 0.7, "bce_weight": 0.3})
    >>> scheduler = LossManager.create_loss_scheduler(loss, {"type": "adaptive"})
"""

from components.losses.bce import EnhancedBCELoss
from components.losses.breakdown import LossBreakdown, check_finite
from components.losses.combined import CombinedLoss
from components.losses.deep_supervision import DeepSupervisionLoss
from components.losses.dice import EnhancedDiceLoss
from components.losses.evaluation_result import LossEvaluation
from components.losses.inputs import Mode
from components.losses.manager import LossManager
from components.losses.presets import LossPreset
from components.losses.reference import ReferenceTerms
from components.losses.schedules import (
    AdaptiveSchedule,
    ConstantSchedule,
    CosineSchedule,
    DWASchedule,
    GradientNormSchedule,
    LinearSchedule,
    LossSchedule,
    RandomSchedule,
    ReLoBRaLoSchedule,
    SoftAdaptSchedule,
    StealSchedule,
    StepSchedule,
    UncertaintySchedule,
    UWSOSchedule,
)

__all__ = [
    "AdaptiveSchedule",
    "CombinedLoss",
    "ConstantSchedule",
    "CosineSchedule",
    "DWASchedule",
    "DeepSupervisionLoss",
    "EnhancedBCELoss",
    "EnhancedDiceLoss",
    "GradientNormSchedule",
    "LinearSchedule",
    "LossBreakdown",
    "LossEvaluation",
    "LossManager",
    "LossPreset",
    "LossSchedule",
    "Mode",
    "RandomSchedule",
    "ReLoBRaLoSchedule",
    "ReferenceTerms",
    "SoftAdaptSchedule",
    "StealSchedule",
    "StepSchedule",
    "UWSOSchedule",
    "UncertaintySchedule",
    "check_finite",
]
