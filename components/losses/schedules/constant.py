"""Weights that stay."""

from collections.abc import Mapping
from typing import final

from components.losses.schedules.base import LossSchedule


@final
class ConstantSchedule(LossSchedule):
    """Keeps the base weights: the control that every schedule is compared with.

    Example:
        >>> ConstantSchedule(loss).step(1, {})  # base weights 0.7 and 0.3
        {'dice': 0.7, 'bce': 0.3}
    """

    def _next_weights(self, epoch: int, metrics: Mapping[str, float]) -> dict[str, float]:
        return dict(self.base_weights)
