"""Weights by the inverse of each term's loss."""

from typing import final

from components.losses._checks import require_number
from components.losses.combined import CombinedLoss
from components.losses.schedules.factors import softmax
from components.losses.schedules.measuring import MeasuringSchedule

_LEAST_LOSS = 1e-6  # a loss of 0 has no inverse; below this all are alike


@final
class UWSOSchedule(MeasuringSchedule):
    """Gives more weight to small losses: soft optimal uncertainty weighting (Kirchdorfer et al. 2024).

    The factor is K·softmax_k((1 / L_k) / T) of the mean training losses of the last epoch: 1 / L_k is what the
    weights of learned uncertainty come to in the end (arXiv:2408.07985). The paper takes the losses of each step,
    without gradient.

    The weight is the base weight times this factor, rescaled so that the weights add up to what the base weights do;
    a base weight of 0 stays 0. Losses below 1e-6 count as that. Losses come from `metrics["loss_<term>"]`, or all from
    the means that the loss itself kept, when one is missing there. An epoch with a value that is not finite is left
    out, and the weights stay.

    Args:
        loss: whose weights are set.
        temperature: T, above 0; larger is closer to the base weights. The paper tunes it for each data set: with
            losses of 0.1 and 0.5, T = 1 leaves the second next to nothing, and T = 10 gives it 0.31.

    Raises:
        InvalidInputError: the temperature does not fit, or a term's loss may fall below 0.

    Example:
        >>> schedule = UWSOSchedule(loss, temperature=10.0)  # base weights 0.5 and 0.5
        >>> weights = schedule.step(1, {"loss_dice": 0.5, "loss_bce": 0.1})  # softmax of 0.2 and 1: bce gets 0.69
    """

    def __init__(self, loss: CombinedLoss, *, temperature: float = 10.0) -> None:
        super().__init__(loss)
        self._refuse_negative("UW-SO")
        self.temperature = require_number("temperature", temperature, open_low=True)

    def _factors(self, epoch: int, found: dict[str, float]) -> dict[str, float]:
        return softmax({name: 1 / max(value, _LEAST_LOSS) / self.temperature for name, value in found.items()})
