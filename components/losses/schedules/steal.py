"""Weight that passes from region losses to a boundary loss."""

from collections.abc import Mapping, Sequence
from typing import final

from components.errors import InvalidInputError
from components.losses._checks import require_known, require_number
from components.losses.combined import CombinedLoss
from components.losses.schedules.base import LossSchedule


@final
class StealSchedule(LossSchedule):
    """Takes a little weight from some terms each epoch and gives it to another.

    After t epochs a source has max(floor, a - t·delta) and the target b + t·delta, from their base weights a and b:
    the rule a ← max(0.1, a - δ), b ← b + δ of the boundary loss's authors (Kervadec et al. 2019, MIDL; `StealWeight`
    in their code). The target gains δ once an epoch, however many sources there are, and goes on when they are at the
    floor. A source that begins below the floor stays as it is, so one of base weight 0 stays 0; the target may begin
    at 0. All other terms keep their weights.

    Args:
        loss: whose weights are set.
        target: the term that gains, such as `boundary`.
        source: the term, or the terms, that lose; all others that train unless given.
        delta: δ, above 0; the authors take 0.01.
        floor: what a source keeps.

    Raises:
        InvalidInputError: a name is no term, the target is a source, no source is named or one twice, or a number does
            not fit.

    Example:
        >>> schedule = StealSchedule(loss, target="boundary")  # from {"dice": 1.0, "boundary": 0.0}
        >>> schedule.step(1, {})
        {'dice': 0.99, 'boundary': 0.01}
    """

    def __init__(
        self,
        loss: CombinedLoss,
        *,
        target: str,
        source: str | Sequence[str] | None = None,
        delta: float = 0.01,
        floor: float = 0.1,
    ) -> None:
        super().__init__(loss)
        require_known("target", target, tuple(self.base_weights))
        if source is None:
            # None is left where a search gave the target all the weight: it then has nothing to take.
            source = [name for name, weight in self.base_weights.items() if weight > 0 and name != target]
        elif not source or not isinstance(source, Sequence):
            raise InvalidInputError(f"source: found {source!r}; expected at least one term beside {target!r}.")
        source = [source] if isinstance(source, str) else list(source)
        if len(set(source)) < len(source):
            raise InvalidInputError(f"source: found {source!r}; expected each term once.")
        for name in source:
            require_known("source", name, [term for term in self.base_weights if term != target])
        self.target, self.source = target, tuple(source)
        self.delta = require_number("delta", delta, open_low=True)
        self.floor = require_number("floor", floor)

    def _next_weights(self, epoch: int, metrics: Mapping[str, float]) -> dict[str, float]:
        # By the number of epochs, not from the last weights: an epoch that is run again takes nothing twice.
        weights, taken = dict(self.base_weights), epoch * self.delta
        for name in self.source:
            weights[name] = max(min(self.floor, weights[name]), weights[name] - taken)
        weights[self.target] += taken
        return weights
