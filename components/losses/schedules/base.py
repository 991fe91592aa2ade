"""What every schedule of loss weights does."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import nn

from components.errors import InvalidInputError
from components.losses.combined import CombinedLoss


class LossSchedule(ABC):
    """Base of the schedules: `step` once an epoch, after training and validation.

    A subclass says which weights follow in `_next_weights`; one with a memory extends both state methods. The first
    epoch trains with the base weights.

    Args:
        loss: whose weights are set; those it has now are the base weights. Of several schedules made for a loss, the
            newest decides how it sums its terms.

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
        loss.weighting = None

    def step(self, epoch: int, metrics: Mapping[str, float]) -> dict[str, float]:
        """Set the weights for the epoch that follows, and return them.

        Args:
            epoch: the epoch that ended, 1-based.
            metrics: its metrics; `loss_<term>` is the mean unweighted training loss of a term, and
                `gradient_norm_<term>` the norm of its unweighted gradient at the logits.

        Raises:
            InvalidInputError: the epoch is below 1.
        """
        if isinstance(epoch, bool) or not isinstance(epoch, int) or epoch < 1:
            raise InvalidInputError(f"epoch: found {epoch!r}; expected an integer from 1. Hint: the first epoch is 1.")
        self.loss.weights = self._next_weights(epoch, metrics)
        self.loss.reset_epoch_means()
        return self.loss.weights

    def parameters(self) -> list[nn.Parameter]:
        """Return what the optimiser must learn beside the model, without weight decay; for most schedules nothing."""
        return []

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
        for name in ("base_weights", "weights"):
            if not isinstance(state[name], Mapping):
                raise InvalidInputError(f"schedule state: {name}: found {state[name]!r}; expected weights by term.")
        base = self.loss.checked_weights(state["base_weights"])
        self.loss.weights = state["weights"]
        self.base_weights = base

    def _refuse_negative(self, rule: str) -> None:
        """Refuse a trained term whose loss may fall below 0, where the rule has no minimum."""
        for name, weight in self.base_weights.items():
            if weight > 0 and getattr(self.loss.terms[name], "may_be_negative", False):
                raise InvalidInputError(
                    f"term {name!r} may fall below 0, where {rule} gives it all the weight. "
                    "Hint: use the schedule 'linear' or 'steal', or a loss of 0 and more."
                )

    @abstractmethod
    def _next_weights(self, epoch: int, metrics: Mapping[str, float]) -> dict[str, float]:
        """Return the weights for epoch + 1."""
