"""Schedules that set a combined loss's weights at each epoch's end: a file a rule, all of one interface.

Example:
    >>> schedule = AdaptiveSchedule(loss)
    >>> weights = schedule.step(1, {"loss_dice": 0.8, "loss_bce": 0.6})
"""

from components.losses.schedules.adaptive import AdaptiveSchedule
from components.losses.schedules.base import LossSchedule
from components.losses.schedules.between import CosineSchedule, LinearSchedule
from components.losses.schedules.constant import ConstantSchedule
from components.losses.schedules.dwa import DWASchedule
from components.losses.schedules.gradient_norm import GradientNormSchedule
from components.losses.schedules.kinds import build_schedule, schedule_kinds
from components.losses.schedules.milestones import StepSchedule
from components.losses.schedules.random_weights import RandomSchedule
from components.losses.schedules.relobralo import ReLoBRaLoSchedule
from components.losses.schedules.softadapt import SoftAdaptSchedule
from components.losses.schedules.steal import StealSchedule
from components.losses.schedules.uncertainty import UncertaintySchedule, UncertaintyWeighting
from components.losses.schedules.uwso import UWSOSchedule

__all__ = [
    "AdaptiveSchedule",
    "ConstantSchedule",
    "CosineSchedule",
    "DWASchedule",
    "GradientNormSchedule",
    "LinearSchedule",
    "LossSchedule",
    "RandomSchedule",
    "ReLoBRaLoSchedule",
    "SoftAdaptSchedule",
    "StealSchedule",
    "StepSchedule",
    "UWSOSchedule",
    "UncertaintySchedule",
    "UncertaintyWeighting",
    "build_schedule",
    "schedule_kinds",
]
