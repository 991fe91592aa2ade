"""Schedules that set a combined loss's weights at each epoch's end."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, final

from components.errors import InvalidInputError
from components.losses.combined import CombinedLoss


class LossSchedule(ABC):
    """Base of the schedules: `step` once an epoch, after training and validation.

    A subclass says which weights follow in `_next_weights`; one with a memory extends both state methods.

    Args:
        loss: whose weights are set; those it has now are the base weights.

    Raises:
        InvalidInputError: the loss has no weights.
    """

    def __init__(self, loss: CombinedLoss) -> None:
        if not isinstance(loss, CombinedLoss):
            raise InvalidInputError(
                f"loss: found {type(loss).__name__}, which has no weights to move. "
                "Hint: wrap it, CombinedLoss({'name': loss}), or build it by LossManager.create_loss_function."
            )
        self.loss = loss
        self.base_weights = loss.weights

    def step(self, epoch: int, metrics: Mapping[str, float]) -> dict[str, float]:
        """Set the weights for the epoch that follows, and return them.

        Args:
            epoch: the epoch that ended, 1-based.
            metrics: its metrics; `loss_<term>` is the mean unweighted training loss of a term.

        Raises:
            InvalidInputError: the epoch is below 1.
        """
        if isinstance(epoch, bool) or not isinstance(epoch, int) or epoch < 1:
            raise InvalidInputError(f"epoch: found {epoch!r}; expected an integer from 1. Hint: the first epoch is 1.")
        self.loss.weights = self._next_weights(epoch, metrics)
        self.loss.reset_epoch_means()
        return self.loss.weights

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed schedule needs, in values that JSON holds exactly."""
        return {"base_weights": dict(self.base_weights), "weights": self.loss.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken; sets the loss's weights too.

        Raises:
            InvalidInputError: the state is not of such a schedule or of other terms.
        """
        expected = set(self.state_dict())
        if set(state) != expected:
            raise InvalidInputError(f"schedule state: found keys {sorted(state)}; expected {sorted(expected)}.")
        base = self.loss.checked_weights(state["base_weights"])
        self.loss.weights = state["weights"]
        self.base_weights = base

    @abstractmethod
    def _next_weights(self, epoch: int, metrics: Mapping[str, float]) -> dict[str, float]:
        """Return the weights for epoch + 1."""


@final
class ConstantSchedule(LossSchedule):
    """Keeps the base weights: the control that every schedule is compared with."""

    def _next_weights(self, epoch: int, metrics: Mapping[str, float]) -> dict[str, float]:
        return dict(self.base_weights)


@final
class LinearSchedule(LossSchedule):
    """Moves from the base weights to others in a straight line, by epoch / epochs.

    Args:
        loss: whose weights are set.
        end: weights after the last epoch; terms left out end at 0.
        epochs: full budget, also when a search may stop the run earlier.

    Raises:
        InvalidInputError: the weights or the budget do not fit.

    Example:
        >>> schedule = LinearSchedule(loss, end={"bce": 1.0}, epochs=2)  # from {"dice": 1.0, "bce": 0.0}
        >>> schedule.step(1, {})
        {'dice': 0.5, 'bce': 0.5}
    """

    def __init__(self, loss: CombinedLoss, *, end: Mapping[str, float], epochs: int) -> None:
        super().__init__(loss)
        if not isinstance(end, Mapping):
            raise InvalidInputError(f"end: found {end!r}; expected weights by term name.")
        if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
            raise InvalidInputError(f"epochs: found {epochs!r}; expected an integer from 1, the full budget.")
        self.end = loss.checked_weights(end)
        self.epochs = epochs

    def _next_weights(self, epoch: int, metrics: Mapping[str, float]) -> dict[str, float]:
        progress = min(epoch / self.epochs, 1.0)
        return {name: (1 - progress) * start + progress * self.end[name] for name, start in self.base_weights.items()}
