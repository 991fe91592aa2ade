"""Weights that change at given epochs."""

from collections.abc import Mapping, Sequence
from typing import Any, final

from components.errors import InvalidInputError
from components.losses.combined import CombinedLoss
from components.losses.schedules.base import LossSchedule

_PAIR = 2
_EARLIEST = 2  # the first epoch trains with the base weights


@final
class StepSchedule(LossSchedule):
    """Takes other weights from given epochs on: w(t) of the last milestone that is not after epoch t.

    Args:
        loss: whose weights are set; the base weights hold until the first milestone.
        milestones: weights by the epoch from which on they hold, or pairs of both; epochs from 2, in any order, also
            as text, since JSON has no other keys. Terms left out of a milestone have weight 0 from there.

    Raises:
        InvalidInputError: there is no milestone, two are of one epoch, or an epoch or weights do not fit.

    Example:
        >>> schedule = StepSchedule(loss, milestones={3: {"bce": 1.0}})  # from {"dice": 1.0, "bce": 0.0}
        >>> schedule.step(1, {}), schedule.step(2, {})  # what epochs 2 and 3 train with
        ({'dice': 1.0, 'bce': 0.0}, {'dice': 0.0, 'bce': 1.0})
    """

    def __init__(
        self,
        loss: CombinedLoss,
        *,
        milestones: Mapping[int | str, Mapping[str, float]] | Sequence[tuple[int, Mapping[str, float]]],
    ) -> None:
        super().__init__(loss)
        self.milestones: dict[int, dict[str, float]] = {}
        for epoch, weights in sorted(_pairs(milestones), key=lambda pair: pair[0]):
            if epoch in self.milestones:
                raise InvalidInputError(f"milestones: epoch {epoch} is named twice. Hint: keep one of the two.")
            self.milestones[epoch] = _checked(loss, epoch, weights)

    def _next_weights(self, epoch: int, metrics: Mapping[str, float]) -> dict[str, float]:
        reached = [weights for start, weights in self.milestones.items() if start <= epoch + 1]
        return dict(reached[-1] if reached else self.base_weights)


def _pairs(milestones: Any) -> list[tuple[int, Any]]:
    pairs = list(milestones.items()) if isinstance(milestones, Mapping) else milestones
    usable = isinstance(pairs, Sequence) and not isinstance(pairs, str) and len(pairs) > 0
    if not usable or not all(isinstance(pair, Sequence) and len(pair) == _PAIR for pair in pairs):
        raise InvalidInputError(
            f"milestones: found {milestones!r}; expected weights by epoch. Hint: {{10: {{dice: 0.5, bce: 0.5}}}}."
        )
    return [(_epoch(epoch), weights) for epoch, weights in pairs]


def _epoch(found: Any) -> int:
    epoch = int(found) if isinstance(found, str) and found.isdecimal() else found
    if isinstance(epoch, bool) or not isinstance(epoch, int) or epoch < _EARLIEST:
        raise InvalidInputError(
            f"milestones: found epoch {found!r}; expected an integer from {_EARLIEST}. "
            "Hint: the first epoch trains with the loss's own weights."
        )
    return epoch


def _checked(loss: CombinedLoss, epoch: int, weights: Any) -> dict[str, float]:
    if not isinstance(weights, Mapping):
        raise InvalidInputError(f"milestones: epoch {epoch}: found {weights!r}; expected weights by term name.")
    try:
        return loss.checked_weights(weights)
    except InvalidInputError as error:
        raise InvalidInputError(f"milestones: epoch {epoch}: {error}") from error
