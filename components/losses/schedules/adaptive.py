"""Weights that follow how far each term has come since the first epoch."""

import math
from typing import ClassVar, final

from components.losses._checks import require_number
from components.losses.combined import CombinedLoss
from components.losses.schedules.factors import softmax
from components.losses.schedules.measuring import Memory, RememberingSchedule, ratio, require_smoothing, smoothed

_LEAST_PROGRESS = 0.01  # a term that fell to nothing still trains, and may rise again


@final
class AdaptiveSchedule(RememberingSchedule):
    """Gives more weight to terms that have fallen least since training began.

    r_k = S_k(t) / L_k(1), where L_k is a term's mean training loss of an epoch and S_k its exponential mean,
    S_k(t) = smoothing·S_k(t-1) + (1 - smoothing)·L_k(t). The weight is base_k·(r_k / mean r)^strength, rescaled so that
    the weights add up to what the base weights do.

    r_k is the inverse training rate, and r_k / mean r the relative one, of GradNorm (Chen et al. 2018, ICML), which
    raises it to a strength alpha as well; GradNorm sets gradient norms by it, here it sets the weights themselves.

    r_k is kept from 0.01 to 100, and is 1 for a term whose first loss is 0 or less. A base weight of 0 stays 0. Losses
    come from `metrics["loss_<term>"]`, or all from the means that the loss itself kept, when one is missing there. An
    epoch with a value that is not finite is left out, and the weights stay.

    Args:
        loss: whose weights are set.
        strength: 0 keeps the base weights.
        smoothing: share of the past in S_k, from 0 to below 1.

    Raises:
        InvalidInputError: a number does not fit.

    Example:
        >>> schedule = AdaptiveSchedule(loss, smoothing=0.0)  # base weights 0.5 and 0.5
        >>> schedule.step(1, {"loss_dice": 0.8, "loss_bce": 0.6})
        {'dice': 0.5, 'bce': 0.5}
        >>> weights = schedule.step(2, {"loss_dice": 0.6, "loss_bce": 0.15})  # to 3/4 and to 1/4
        >>> round(weights["dice"], 6), round(weights["bce"], 6)
        (0.75, 0.25)
    """

    _FIELDS: ClassVar[frozenset[str]] = frozenset({"first", "smoothed"})

    def __init__(self, loss: CombinedLoss, *, strength: float = 1.0, smoothing: float = 0.5) -> None:
        super().__init__(loss)
        self.strength = require_number("strength", strength)
        self.smoothing = require_smoothing(smoothing)

    def _remember(self, epoch: int, found: dict[str, float], before: Memory | None) -> Memory:
        if before is None:
            return {"first": found, "smoothed": found}
        return {"first": before["first"], "smoothed": smoothed(self.smoothing, before["smoothed"], found)}

    def _follow(self, memory: Memory) -> dict[str, float]:
        # The mean of r scales all terms alike, so rescaling takes it out again; exponents cannot overflow.
        rates = {name: ratio(value, memory["first"][name]) for name, value in memory["smoothed"].items()}
        return softmax({name: self.strength * math.log(max(rate, _LEAST_PROGRESS)) for name, rate in rates.items()})
