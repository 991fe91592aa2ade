"""Weights that give each term its share of the gradient at the logits."""

import math
from typing import ClassVar, final

from components.losses.combined import GRADIENT_INTERVAL, CombinedLoss
from components.losses.schedules.factors import softmax
from components.losses.schedules.measuring import Memory, RememberingSchedule, require_smoothing, smoothed

_LEAST_SHARE = 1e-3  # of the largest norm: a term whose gradient has gone does not take all the weight


@final
class GradientNormSchedule(RememberingSchedule):
    """Weighs the terms so that their gradients at the logits have the base weights' proportions.

    The weight is base_k / n_k, rescaled so that the weights add up to what the base weights do; n_k is the exponential
    mean over epochs of N_k, the L2 norm of a term's unweighted gradient at the logits, n_k(t) = smoothing·n_k(t-1) + (1
    - smoothing)·N_k(t). Weight times norm is then proportional to the base weight. Balancing gradient norms is the idea
    of GradNorm (Chen et al. 2018, ICML), which learns the weights from the gradients of the last shared layer and lets
    slow terms have more; here the logits are what all terms share, and nothing is learned.

    Norms below a thousandth of the largest count as that, and where all are 0 the base weights hold. A base weight of
    0 stays 0. A loss that measures no norms is told to (`gradient_interval`). Norms come from
    `metrics["gradient_norm_<term>"]`; when one of the trained terms is missing there, all come from
    `CombinedLoss.epoch_gradient_norms`. An epoch with a value that is missing or not finite is left out, and the
    weights stay.

    Args:
        loss: whose weights are set.
        smoothing: share of the past in n_k, from 0 to below 1.

    Raises:
        InvalidInputError: the smoothing does not fit.

    Example:
        >>> schedule = GradientNormSchedule(loss)  # base weights 0.5 and 0.5
        >>> weights = schedule.step(1, {"gradient_norm_dice": 0.1, "gradient_norm_bce": 0.3})
        >>> round(weights["dice"], 6), round(weights["bce"], 6)
        (0.75, 0.25)
    """

    _FIELDS: ClassVar[frozenset[str]] = frozenset({"smoothed"})

    def __init__(self, loss: CombinedLoss, *, smoothing: float = 0.5) -> None:
        super().__init__(loss)
        self.smoothing = require_smoothing(smoothing)
        if loss.gradient_interval is None:
            loss.gradient_interval = GRADIENT_INTERVAL

    def _metric(self, name: str) -> str:
        return f"gradient_norm_{name}"

    def _kept(self) -> dict[str, float]:
        return self.loss.epoch_gradient_norms()

    def _remember(self, epoch: int, found: dict[str, float], before: Memory | None) -> Memory:
        return {"smoothed": found if before is None else smoothed(self.smoothing, before["smoothed"], found)}

    def _follow(self, memory: Memory) -> dict[str, float]:
        norms = memory["smoothed"]
        least = _LEAST_SHARE * max(norms.values())
        if least <= 0:
            return dict.fromkeys(norms, 1.0)
        return softmax({name: -math.log(max(norm, least)) for name, norm in norms.items()})
