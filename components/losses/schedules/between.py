"""Weights that move from the base weights to others, by epoch over the full budget."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import final

from components.errors import InvalidInputError
from components.losses._checks import require_whole
from components.losses.combined import CombinedLoss
from components.losses.schedules.base import LossSchedule


class BetweenSchedule(LossSchedule):
    """Base of schedules from one weight vector to another: w = (1 - s)·base + s·end, a share s of the way.

    Args:
        loss: whose weights are set.
        end: weights after the last epoch; terms left out end at 0.
        epochs: full budget, also when a search may stop the run earlier.

    Raises:
        InvalidInputError: the weights or the budget do not fit.
    """

    def __init__(self, loss: CombinedLoss, *, end: Mapping[str, float], epochs: int) -> None:
        super().__init__(loss)
        if not isinstance(end, Mapping):
            raise InvalidInputError(f"end: found {end!r}; expected weights by term name.")
        self.epochs = require_whole("epochs", epochs, low=1, meaning="the full budget")
        self.end = loss.checked_weights(end)

    def _next_weights(self, epoch: int, metrics: Mapping[str, float]) -> dict[str, float]:
        share = self._share(min(epoch / self.epochs, 1.0))
        return {name: (1 - share) * start + share * self.end[name] for name, start in self.base_weights.items()}

    @abstractmethod
    def _share(self, progress: float) -> float:
        """Return how far the weights are at a progress, both from 0 to 1."""


@final
class LinearSchedule(BetweenSchedule):
    """Moves from the base weights to others in a straight line: s = epoch / epochs.

    Arguments and errors are those of `BetweenSchedule`.

    Example:
        >>> schedule = LinearSchedule(loss, end={"bce": 1.0}, epochs=2)  # from {"dice": 1.0, "bce": 0.0}
        >>> schedule.step(1, {})
        {'dice': 0.5, 'bce': 0.5}
    """

    def _share(self, progress: float) -> float:
        return progress


@final
class CosineSchedule(BetweenSchedule):
    """Moves from the base weights to others in half a cosine: s = (1 - cos(π·epoch / epochs)) / 2.

    Slow at both ends, the shape that Loshchilov & Hutter 2017 (SGDR) give the learning rate. Arguments and errors are
    those of `BetweenSchedule`.

    Example:
        >>> schedule = CosineSchedule(loss, end={"bce": 1.0}, epochs=3)  # from {"dice": 1.0, "bce": 0.0}
        >>> round(schedule.step(1, {})["bce"], 6)
        0.25
    """

    def _share(self, progress: float) -> float:
        return (1 - math.cos(math.pi * progress)) / 2
