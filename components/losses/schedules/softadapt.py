"""Weights that follow the slope of each term."""

import math
from typing import ClassVar, final

from components.errors import InvalidInputError
from components.losses._checks import require_number
from components.losses.combined import CombinedLoss
from components.losses.schedules.factors import softmax
from components.losses.schedules.measuring import Memory, RememberingSchedule

_LEAST_LOSS = 1e-12  # keeps the logarithm of a loss of 0 or less finite


@final
class SoftAdaptSchedule(RememberingSchedule):
    """Gives more weight to terms that rise, or fall least (Heydari, Thompson & Mehmood 2019, arXiv:1912.12355).

    The factor is K·softmax_k(beta·s_k), with the slope s_k = L_k(t) - L_k(t-1) of the mean training losses of two
    epochs (the first-order difference of the paper). Its two variants may be combined:

    - `normalized`: s_k / Σ|s|, so that only the shares of the slopes count. On here unless said otherwise: losses of
      segmentation move by a hundredth an epoch, which a beta of 0.1 would not feel.
    - `loss_weighted`: the softmax's terms are multiplied by L_k, so that large losses get more.

    The weight is the base weight times this factor, rescaled so that the weights add up to what the base weights do.
    The first two epochs train with the base weights, and a base weight of 0 stays 0. Losses come from
    `metrics["loss_<term>"]`, or all from the means that the loss itself kept, when one is missing there. An epoch with
    a value that is not finite is left out, and the weights stay.

    Args:
        loss: whose weights are set.
        beta: how much the slopes count; below 0 favours what falls fastest. The authors take 0.1.
        normalized: whether slopes are divided by the sum of their absolute values.
        loss_weighted: whether the losses themselves count too.

    Raises:
        InvalidInputError: an option does not fit.

    Example:
        >>> schedule = SoftAdaptSchedule(loss, beta=1.0)  # base weights 0.5 and 0.5
        >>> schedule.step(1, {"loss_dice": 1.0, "loss_bce": 1.0})
        {'dice': 0.5, 'bce': 0.5}
        >>> weights = schedule.step(2, {"loss_dice": 1.0, "loss_bce": 0.5})  # slopes 0 and -1: dice gets 0.731
    """

    _FIELDS: ClassVar[frozenset[str]] = frozenset({"last", "before"})

    def __init__(
        self, loss: CombinedLoss, *, beta: float = 0.1, normalized: bool = True, loss_weighted: bool = False
    ) -> None:
        super().__init__(loss)
        for name, value in (("normalized", normalized), ("loss_weighted", loss_weighted)):
            if not isinstance(value, bool):
                raise InvalidInputError(f"{name}: found {value!r}; expected true or false.")
        self.beta = require_number("beta", beta, low=-math.inf)
        self.normalized, self.loss_weighted = normalized, loss_weighted

    def _remember(self, epoch: int, found: dict[str, float], before: Memory | None) -> Memory:
        return {"last": found} if before is None else {"last": found, "before": before["last"]}

    def _follow(self, memory: Memory) -> dict[str, float]:
        last = memory["last"]
        if "before" not in memory:
            return dict.fromkeys(last, 1.0)
        slopes = {name: value - memory["before"][name] for name, value in last.items()}
        total = sum(map(abs, slopes.values()))
        if self.normalized and total > 0:
            slopes = {name: slope / total for name, slope in slopes.items()}
        exponents = {name: self.beta * slope for name, slope in slopes.items()}
        if self.loss_weighted:
            exponents = {name: value + math.log(max(last[name], _LEAST_LOSS)) for name, value in exponents.items()}
        return softmax(exponents)
