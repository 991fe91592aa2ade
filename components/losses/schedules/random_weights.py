"""Weights drawn at random: a control."""

import random
from collections.abc import Mapping
from typing import Any, final

from components.losses._checks import require_whole
from components.losses.combined import CombinedLoss
from components.losses.schedules.base import LossSchedule
from components.losses.schedules.factors import rescaled, softmax


@final
class RandomSchedule(LossSchedule):
    """Draws the weights anew for each epoch: random loss weighting (Lin et al. 2022, TMLR).

    The factor is K·softmax_k(z) of independent z_k ~ N(0, 1), and the weight the base weight times it, rescaled so that
    the weights add up to what the base weights do; a base weight of 0 stays 0. The first epoch trains with the base
    weights. The paper draws for each step. A rule that does no better than this one does not work by its rule.

    What is drawn follows from the seed and the epoch alone, so a resumed run draws the same.

    Args:
        loss: whose weights are set.
        seed: of the draws, an integer from 0.

    Raises:
        InvalidInputError: the seed does not fit.

    Example:
        >>> schedule = RandomSchedule(loss, seed=1)
        >>> schedule.step(1, {}) == schedule.step(1, {}) != schedule.step(2, {})
        True
    """

    def __init__(self, loss: CombinedLoss, *, seed: int = 0) -> None:
        super().__init__(loss)
        self.seed = require_whole("seed", seed)

    def state_dict(self) -> dict[str, Any]:
        """Return the weights and the seed."""
        return {**super().state_dict(), "seed": self.seed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken, with its seed; sets the loss's weights too."""
        super().load_state_dict(state)
        self.seed = int(state["seed"])

    def _next_weights(self, epoch: int, metrics: Mapping[str, float]) -> dict[str, float]:
        draws = random.Random(f"{self.seed}/{epoch}")
        return rescaled(self.base_weights, softmax({name: draws.gauss() for name in self.base_weights}))
