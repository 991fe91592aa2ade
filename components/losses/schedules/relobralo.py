"""Weights that follow relative progress, with looks back at the start at random."""

import random
from collections.abc import Mapping
from typing import Any, ClassVar, final

from components.losses._checks import require_number, require_whole
from components.losses.combined import CombinedLoss
from components.losses.schedules.factors import softmax
from components.losses.schedules.measuring import Memory, RememberingSchedule, ratio


@final
class ReLoBRaLoSchedule(RememberingSchedule):
    """Relative loss balancing with random look-back (Bischof & Kraus 2021, arXiv:2110.09813).

    λ_k(t) = α·(ρ·λ_k(t-1) + (1 - ρ)·λ̂_k(t, 1)) + (1 - α)·λ̂_k(t, t-1), with λ̂_k(t, t') = K·softmax_k(L_k(t) /
    (T·L_k(t'))) of the mean training losses of epochs, and ρ drawn anew each epoch: 1 with probability `rho`, else 0,
    which looks back at the first epoch. It is drawn from the seed and the epoch alone, so a resumed run draws the same.

    The weight is the base weight times λ, rescaled so that the weights add up to what the base weights do. The first
    two epochs train with the base weights, and a base weight of 0 stays 0. Ratios of losses are kept from
    0 to 100, and are 1 where the loss below was 0 or less. Losses come from `metrics["loss_<term>"]`, or all from the
    means that the loss itself kept, when one is missing there. An epoch with a value that is not finite is left out,
    and the weights stay.

    The paper updates λ after each of many thousand steps, with α and the mean of ρ at 0.99 and more and T at 0.1; here
    it is done once an epoch, so the defaults forget faster and are softer.

    Args:
        loss: whose weights are set.
        alpha: α, from 0 to 1: share of the past.
        rho: mean of ρ, from 0 to 1; 1 never looks back at the first epoch.
        temperature: T, above 0; larger is closer to the base weights.
        seed: of the draws, an integer from 0.

    Raises:
        InvalidInputError: a number does not fit.

    Example:
        >>> schedule = ReLoBRaLoSchedule(loss, alpha=0.0)  # base weights 0.5 and 0.5
        >>> schedule.step(1, {"loss_dice": 1.0, "loss_bce": 1.0})
        {'dice': 0.5, 'bce': 0.5}
        >>> weights = schedule.step(2, {"loss_dice": 1.0, "loss_bce": 0.5})  # ratios 1 and 1/2: dice gets 0.622
    """

    _FIELDS: ClassVar[frozenset[str]] = frozenset({"first", "last", "factors"})

    def __init__(
        self, loss: CombinedLoss, *, alpha: float = 0.9, rho: float = 0.9, temperature: float = 1.0, seed: int = 0
    ) -> None:
        super().__init__(loss)
        self.alpha = require_number("alpha", alpha, high=1.0)
        self.rho = require_number("rho", rho, high=1.0)
        self.temperature = require_number("temperature", temperature, open_low=True)
        self.seed = require_whole("seed", seed)

    def state_dict(self) -> dict[str, Any]:
        """Return the weights, the memory of the last two epochs and the seed."""
        return {**super().state_dict(), "seed": self.seed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken, with its seed; sets the loss's weights too."""
        super().load_state_dict(state)
        self.seed = int(state["seed"])

    def _remember(self, epoch: int, found: dict[str, float], before: Memory | None) -> Memory:
        if before is None:
            return {"first": found, "last": found, "factors": dict.fromkeys(found, 1.0)}
        ahead = random.Random(f"{self.seed}/{epoch}").random() < self.rho
        past = before["factors"] if ahead else self._balanced(found, before["first"])
        recent = self._balanced(found, before["last"])
        factors = {name: self.alpha * past[name] + (1 - self.alpha) * recent[name] for name in found}
        return {"first": before["first"], "last": found, "factors": factors}

    def _follow(self, memory: Memory) -> dict[str, float]:
        return memory["factors"]

    def _balanced(self, found: dict[str, float], earlier: dict[str, float]) -> dict[str, float]:
        return softmax({name: ratio(value, earlier[name]) / self.temperature for name, value in found.items()})
