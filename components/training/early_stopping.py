"""Ends a training whose validation metric no longer gets better."""

import math
from collections.abc import Mapping
from typing import Any, Literal

from components.errors import InvalidInputError


class EarlyStopping:
    """Counts the epochs since the metric was last better by more than `min_delta`.

    Args:
        patience: epochs without a gain after which training ends.
        mode: `max` or `min`.
        min_delta: smallest gain that counts.

    Attributes:
        since: epochs since the last gain.

    Raises:
        InvalidInputError: patience is below 1, min_delta negative, or the mode unknown.

    Example:
        >>> stopping = EarlyStopping(patience=2)
        >>> [stopping.step(dice) for dice in (0.5, 0.6, 0.6, 0.59)]
        [False, False, False, True]
    """

    def __init__(self, patience: int, mode: Literal["min", "max"] = "max", min_delta: float = 0.0) -> None:
        if patience < 1 or not min_delta >= 0 or mode not in ("min", "max"):
            raise InvalidInputError(
                "early stopping: patience must be at least 1, min_delta not negative, mode 'min' or 'max'; "
                f"found {patience}, {min_delta}, {mode!r}."
            )
        self._patience, self._sign, self._min_delta = patience, 1 if mode == "max" else -1, min_delta
        self._best: float | None = None
        self.since = 0

    def step(self, metric: float) -> bool:
        """Take note of an epoch's metric; True when training should end. NaN is never a gain."""
        best = -math.inf if self._best is None else self._sign * self._best
        if self._sign * metric - best > self._min_delta:
            self._best, self.since = float(metric), 0
        else:
            self.since += 1
        return self.since >= self._patience

    def state_dict(self) -> dict[str, Any]:
        """Best metric so far, and epochs since."""
        return {"best": self._best, "since": self.since}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on counting where `state_dict` was taken."""
        self._best, self.since = state_dict["best"], int(state_dict["since"])
