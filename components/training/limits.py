"""When a training run ends: at its full budget, without a gain for long, or out of time."""

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
        self._stopping = None if patience is None else EarlyStopping(patience)
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
        stale = self._stopping is not None and self._stopping.step(dice)
        if epoch >= self._epochs:
            self.ended = f"budget of {self._epochs} epochs reached"
        elif stale:
            self.ended = f"no better Dice in {self._patience} epochs"
        elif self._max_minutes is not None and self._seconds >= self._max_minutes * _MINUTE_S:
            self.ended = f"{self._max_minutes:g} minutes have passed"
        return self.ended

    def state_dict(self) -> dict[str, Any]:
        """What has been seen so far; JSON values."""
        stopping = None if self._stopping is None else self._stopping.state_dict()
        return {"stopping": stopping, "seconds": self._seconds, "ended": self.ended}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        if self._stopping is not None and state_dict["stopping"] is not None:
            self._stopping.load_state_dict(state_dict["stopping"])
        self._seconds, self.ended = float(state_dict["seconds"]), str(state_dict["ended"])
