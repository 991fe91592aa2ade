"""Weights that follow how fast each term falls from epoch to epoch: dynamic weight average."""

from typing import ClassVar, final

from components.losses._checks import require_number
from components.losses.combined import CombinedLoss
from components.losses.schedules.factors import softmax
from components.losses.schedules.measuring import Memory, RememberingSchedule, ratio


@final
class DWASchedule(RememberingSchedule):
    """Gives more weight to terms that fell less in the last epoch (Liu, Johns & Davison, CVPR 2019, eq. 7).

    r_k = L_k(t-1) / L_k(t-2) and lambda_k = K·softmax_k(r / T), where L_k is a term's mean training loss of an epoch.
    The new weight is the base weight times lambda, rescaled so that the weights add up to what the base weights do.
    The first two epochs train with the base weights, and a base weight of 0 stays 0. r_k is kept from 0 to 100, and is
    1 where the loss before was 0 or less.

    Losses come from `metrics["loss_<term>"]`, or all from the means that the loss itself kept, when one is missing
    there. An epoch with a value that is not finite is left out, and the weights stay.

    Args:
        loss: whose weights are set.
        temperature: T, above 0; larger is closer to the base weights. The paper takes 2.

    Raises:
        InvalidInputError: the temperature does not fit.

    Example:
        >>> schedule = DWASchedule(loss)  # base weights 0.5 and 0.5
        >>> schedule.step(1, {"loss_dice": 1.0, "loss_bce": 1.0})
        {'dice': 0.5, 'bce': 0.5}
        >>> weights = schedule.step(2, {"loss_dice": 1.0, "loss_bce": 0.5})  # dice stands still: it gets 0.562
    """

    _FIELDS: ClassVar[frozenset[str]] = frozenset({"last", "before"})

    def __init__(self, loss: CombinedLoss, *, temperature: float = 2.0) -> None:
        super().__init__(loss)
        self.temperature = require_number("temperature", temperature, open_low=True)

    def _remember(self, epoch: int, found: dict[str, float], before: Memory | None) -> Memory:
        return {"last": found, "before": found if before is None else before["last"]}

    def _follow(self, memory: Memory) -> dict[str, float]:
        before = memory["before"]
        return softmax({name: ratio(value, before[name]) / self.temperature for name, value in memory["last"].items()})
