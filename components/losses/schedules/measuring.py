"""What schedules that follow the training have in common: what they read, and what they remember of it."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from components.errors import InvalidInputError
from components.losses.combined import CombinedLoss
from components.losses.schedules.base import LossSchedule
from components.losses.schedules.factors import rescaled

_KEPT = 2  # the newest epoch, and the one before for when the newest is run again
_LARGEST_RATIO = 100.0
_LARGEST_VALUE = 1e100  # beyond it, sums and differences of values could overflow

Memory = dict[str, dict[str, float]]


class MeasuringSchedule(LossSchedule):
    """Base of schedules whose weights are the base weights times factors that follow what an epoch measured.

    The weights add up to what the base weights do, and a base weight of 0 stays 0. Values come from
    `metrics["loss_<term>"]`; when one of the trained terms is missing there, all come from the means that the loss
    itself kept over the epoch. An epoch with a value that is missing or not finite is left out, and the weights stay.
    """

    def _next_weights(self, epoch: int, metrics: Mapping[str, float]) -> dict[str, float]:
        found = self._measured(metrics)
        if found is None:
            return self.loss.weights
        return rescaled(self.base_weights, self._factors(epoch, found))

    def _measured(self, metrics: Mapping[str, float]) -> dict[str, float] | None:
        """Return a value by trained term, or None where one is not finite, or as good as infinite."""
        names = self._trained()
        told = {name: metrics.get(self._metric(name)) for name in names}
        values = {name: float(value) for name, value in told.items() if value is not None}
        if len(values) < len(names):
            kept = self._kept()
            values = {name: kept.get(name, math.nan) for name in names}
        return values if all(abs(value) < _LARGEST_VALUE for value in values.values()) else None

    def _metric(self, name: str) -> str:
        return f"loss_{name}"

    def _kept(self) -> dict[str, float]:
        """Return what the loss itself knows of the epoch."""
        return self.loss.epoch_means()

    def _trained(self) -> list[str]:
        return [name for name, weight in self.base_weights.items() if weight > 0]

    @abstractmethod
    def _factors(self, epoch: int, found: dict[str, float]) -> dict[str, float]:
        """Return a factor above 0 by trained term."""


class RememberingSchedule(MeasuringSchedule):
    """Base of those that go by earlier epochs too.

    A subclass makes the memory of an epoch from the one before in `_remember`, and factors of it in `_follow`. An
    epoch that is run again after a resume replaces what was noted for it.
    """

    # What a memory may hold, values by term each; tells the states of the schedules apart.
    _FIELDS: ClassVar[frozenset[str]]

    def __init__(self, loss: CombinedLoss) -> None:
        super().__init__(loss)
        self._history: list[tuple[int, Memory]] = []

    def state_dict(self) -> dict[str, Any]:
        """Return the weights and the memory of the last two epochs."""
        history = [
            [epoch, {field: dict(values) for field, values in memory.items()}] for epoch, memory in self._history
        ]
        return {**super().state_dict(), "history": history}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken; sets the loss's weights too."""
        try:
            history = [(int(epoch), self._checked(memory)) for epoch, memory in state.get("history", ())]
            names = {name for name, weight in state.get("base_weights", {}).items() if weight > 0}
            known = all(set(values) == names for _, memory in history for values in memory.values())
        except (TypeError, ValueError, AttributeError) as error:
            raise InvalidInputError(f"schedule state: cannot be read ({error!r}).") from error
        if not known:
            raise InvalidInputError(f"schedule state: the history is not of the terms {sorted(names)}.")
        super().load_state_dict(state)
        self._history = history

    def _checked(self, memory: Mapping[str, Mapping[str, float]]) -> Memory:
        if not set(memory) <= self._FIELDS:
            raise InvalidInputError(
                f"schedule state: found a history of {sorted(memory)}; expected {sorted(self._FIELDS)}. "
                "Hint: it belongs to another type of schedule."
            )
        return {field: dict(values) for field, values in memory.items()}

    def _factors(self, epoch: int, found: dict[str, float]) -> dict[str, float]:
        earlier = [entry for entry in self._history if entry[0] < epoch]
        memory = self._remember(epoch, found, earlier[-1][1] if earlier else None)
        self._history = [*earlier, (epoch, memory)][-_KEPT:]
        return self._follow(memory)

    @abstractmethod
    def _remember(self, epoch: int, found: dict[str, float], before: Memory | None) -> Memory:
        """Return the memory after an epoch; `before` is that of the epoch before, None for the first."""

    @abstractmethod
    def _follow(self, memory: Memory) -> dict[str, float]:
        """Return a factor above 0 by trained term."""


def smoothed(share: float, before: Mapping[str, float], found: Mapping[str, float]) -> dict[str, float]:
    """Return the exponential mean: a share of what was, and the rest of what is."""
    return {name: share * before[name] + (1 - share) * value for name, value in found.items()}


def ratio(last: float, before: float) -> float:
    """Return the relative change of a term, from 0 to 100; 1 where a loss of 0 or less gives none."""
    if before <= 0:
        return 1.0
    return min(max(last / before, 0.0), _LARGEST_RATIO)


def require_smoothing(value: Any) -> float:
    """Return a share from 0 to below 1, or refuse it."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise InvalidInputError(
            f"smoothing: found {value!r}; expected a number from 0 to below 1. Hint: 0 takes each epoch as it is."
        )
    return float(value)
