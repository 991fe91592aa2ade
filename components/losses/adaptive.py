"""Weights that follow how fast each term falls: dynamic weight average."""

import math
from collections.abc import Mapping
from typing import Any, final

from components.losses._checks import require_number
from components.losses.combined import CombinedLoss
from components.losses.schedules import LossSchedule

_EPOCHS_NEEDED = 2

# Bounds the ratio of two epochs so that no weight underflows to 0: exp(-100 / T) is positive for T >= 0.2.
_LARGEST_RATIO = 100.0


@final
class AdaptiveSchedule(LossSchedule):
    """Gives more weight to terms that fell less (Liu, Johns & Davison, CVPR 2019, eq. 7).

    r_k = L_k(t-1) / L_k(t-2) and lambda_k = softmax_k(r / T), where L_k is a term's mean training loss of an epoch.
    The new weight is the base weight times lambda, rescaled so that the weights add up to what the base weights do.
    The first two epochs train with the base weights, and a base weight of 0 stays 0.

    Losses come from `metrics["loss_<term>"]`; when one of the trained terms is missing there, all come from the means
    that the loss itself kept over the epoch. An epoch with a value that is not finite is left out, and the weights
    stay.

    Args:
        loss: whose weights are set.
        temperature: T; larger is closer to the base weights. The paper takes 2.

    Example:
        >>> schedule = AdaptiveSchedule(loss)  # base weights 0.5 and 0.5
        >>> schedule.step(1, {"loss_dice": 1.0, "loss_bce": 1.0})
        {'dice': 0.5, 'bce': 0.5}
        >>> weights = schedule.step(2, {"loss_dice": 1.0, "loss_bce": 0.5})  # dice stands still: it gets 0.562
    """

    def __init__(self, loss: CombinedLoss, *, temperature: float = 2.0) -> None:
        super().__init__(loss)
        self.temperature = require_number("temperature", temperature, open_low=True)
        self._history: list[tuple[int, dict[str, float]]] = []

    def state_dict(self) -> dict[str, Any]:
        """Return the weights and the losses of the last two epochs."""
        history = [[epoch, dict(losses)] for epoch, losses in self._history]
        return {**super().state_dict(), "history": history}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken; sets the loss's weights too."""
        super().load_state_dict(state)
        self._history = [(int(epoch), dict(losses)) for epoch, losses in state["history"]]

    def _next_weights(self, epoch: int, metrics: Mapping[str, float]) -> dict[str, float]:
        losses = self._epoch_losses(metrics)
        if losses is None:
            return self.loss.weights
        # An epoch that is run again after a resume replaces what was noted for it.
        earlier = [entry for entry in self._history if entry[0] < epoch]
        self._history = [*earlier, (epoch, losses)][-_EPOCHS_NEEDED:]
        if len(self._history) < _EPOCHS_NEEDED:
            return dict(self.base_weights)
        (_, before), (_, last) = self._history
        return self._weighted({name: _ratio(last[name], before[name]) for name in self._trained()})

    def _trained(self) -> list[str]:
        return [name for name, weight in self.base_weights.items() if weight > 0]

    def _epoch_losses(self, metrics: Mapping[str, float]) -> dict[str, float] | None:
        names = self._trained()
        if all(f"loss_{name}" in metrics for name in names):
            losses = {name: float(metrics[f"loss_{name}"]) for name in names}
        else:
            means = self.loss.epoch_means()
            losses = {name: means.get(name, math.nan) for name in names}
        return losses if all(math.isfinite(value) for value in losses.values()) else None

    def _weighted(self, ratios: dict[str, float]) -> dict[str, float]:
        largest = max(ratios.values())
        raw = {
            name: self.base_weights[name] * math.exp((ratio - largest) / self.temperature)
            for name, ratio in ratios.items()
        }
        scale = sum(self.base_weights.values()) / sum(raw.values())
        return {name: scale * raw.get(name, 0.0) for name in self.base_weights}


def _ratio(last: float, before: float) -> float:
    """Return the relative change of a term; 1 where a loss of 0 or less gives none."""
    if before <= 0:
        return 1.0
    return min(max(last / before, 0.0), _LARGEST_RATIO)
