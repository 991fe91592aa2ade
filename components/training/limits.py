"""When a training run ends: at its full budget, without a gain for long, or out of time."""

import sys
from collections.abc import Mapping
from typing import Any

from components.errors import InvalidInputError
from components.training.early_stopping import EarlyStopping

_MINUTE_S = 60.0


class TrainingLimits:
    """The limits of one training run; they hold over interruptions if its state is saved.

    Args:
        epochs: full budget.
        patience: epochs without a better metric after which it ends; None for the full budget.
        max_minutes: of training after which it ends; None for as long as it takes.

    Attributes:
        ended: why it has ended; empty until then.

    Raises:
        InvalidInputError: a number is out of range.

    Example:
        >>> limits = TrainingLimits(epochs=10, patience=2)
        >>> [limits.ends_after(epoch, dice, 1.0) for epoch, dice in enumerate((0.5, 0.4, 0.5), start=1)]
        ['', '', 'no better Dice in 2 epochs']
    """

    def __init__(self, epochs: int, patience: int | None = None, max_minutes: float | None = None) -> None:
        if epochs < 1 or not (max_minutes is None or max_minutes > 0):
            raise InvalidInputError(f"limits: found {epochs} epochs, {max_minutes} minutes; both must be above 0.")
        self._epochs, self._patience, self._max_minutes = epochs, patience, max_minutes
        # Without a patience it counts all the same, for a training that goes on with one.
        self._stopping = EarlyStopping(sys.maxsize if patience is None else patience)
        self._seconds = 0.0
        self.ended = ""

    def ends_after(self, epoch: int, dice: float, seconds: float) -> str:
        """Why training ends after this epoch; empty when it goes on.

        Args:
            epoch: that has just been trained, from 1.
            dice: of this epoch; higher is better.
            seconds: that it took.
        """
        self._seconds += seconds
        self._stopping.step(dice)
        self.ended = self._end_at(epoch)
        return self.ended

    def state_dict(self) -> dict[str, Any]:
        """What has been seen so far; JSON values."""
        return {"stopping": self._stopping.state_dict(), "seconds": self._seconds}

    def load_state_dict(self, state_dict: Mapping[str, Any], epoch: int) -> None:
        """Go on where `state_dict` was taken; these limits, not those of then, say whether that was the end.

        Args:
            state_dict: of limits that may have been others.
            epoch: that had been trained.
        """
        if state_dict["stopping"] is not None:  # so it was before limits counted without a patience
            self._stopping.load_state_dict(state_dict["stopping"])
        self._seconds = float(state_dict["seconds"])
        self.ended = self._end_at(epoch)

    def _end_at(self, epoch: int) -> str:
        if epoch >= self._epochs:
            return f"budget of {self._epochs} epochs reached"
        if self._patience is not None and self._stopping.since >= self._patience:
            return f"no better Dice in {self._patience} epochs"
        if self._max_minutes is not None and self._seconds >= self._max_minutes * _MINUTE_S:
            return f"{self._max_minutes:g} minutes have passed"
        return ""
