"""Weights that the optimiser learns beside the network: homoscedastic uncertainty."""

import math
from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from components.errors import InvalidInputError
from components.losses.combined import CombinedLoss
from components.losses.schedules.base import LossSchedule

# Weights stay from 2e-5 to 1e4: a loss that reaches 0 would otherwise send its s to minus infinity.
_LARGEST = 10.0


@final
class UncertaintyWeighting(nn.Module):
    """Total of terms by their learned uncertainty: Σ_k L_k / (2·exp(s_k)) + s_k / 2.

    Kendall, Gal & Cipolla 2018 (CVPR) with s = log σ², for stability, as they train it.

    Args:
        weights: by term name, above 0; s begins where 1 / (2·exp(s)) is the weight.

    Attributes:
        log_variances: s, `(K,)`, fp32, in the order of the weights.

    Example:
        >>> weighting = UncertaintyWeighting({"dice": 0.5, "bce": 0.5})  # s is 0
        >>> weighting({"dice": torch.tensor(0.4), "bce": torch.tensor(0.6)}).item()
        0.5
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__()
        self.names = tuple(weights)
        self.log_variances = nn.Parameter(torch.tensor([-math.log(2 * weight) for weight in weights.values()]))

    def forward(self, values: Mapping[str, Tensor]) -> Tensor:
        """Return the total, scalar, differentiable in the values and in s.

        Args:
            values: loss of each term, scalar, under the names that the weights have.
        """
        losses = torch.stack([values[name] for name in self.names])
        return ((losses * torch.exp(-self.log_variances) + self.log_variances) / 2).sum()

    def weights(self) -> dict[str, float]:
        """Return 1 / (2·exp(s)) by term."""
        return {name: math.exp(-value) / 2 for name, value in self.by_name().items()}

    def by_name(self) -> dict[str, float]:
        """Return s by term, exactly."""
        return dict(zip(self.names, self.log_variances.tolist(), strict=True))

    @torch.no_grad()
    def fill(self, values: Mapping[str, float]) -> None:
        """Set s in place, so that an optimiser that holds it goes on with it.

        Raises:
            InvalidInputError: the names are others.
        """
        if set(values) != set(self.names):
            raise InvalidInputError(
                f"log variances: found those of {sorted(values)}; expected {sorted(self.names)}. "
                "Hint: terms of weight 0 have none."
            )
        self.log_variances.copy_(torch.tensor([values[name] for name in self.names]))

    @torch.no_grad()
    def bound(self) -> None:
        """Keep s between -10 and 10."""
        self.log_variances.clamp_(-_LARGEST, _LARGEST)


@final
class UncertaintySchedule(LossSchedule):
    """Lets the optimiser learn the weights: the total becomes Σ_k L_k / (2·exp(s_k)) + s_k / 2 with learned s.

    Kendall, Gal & Cipolla 2018 (CVPR). It sets the loss's `weighting`, so s belongs to `loss.parameters()` and to
    `loss.state_dict()`; what `loss.weights` shows, 1 / (2·exp(s)), is brought up to date by `step`, which also keeps s
    between -10 and 10. s begins where these are the base weights. Their sum is free, a base weight of 0 stays 0, and
    the total may be below 0, since s may. Losses must not be below 0: one minus Dice, and never minus Dice.

    The optimiser must get `parameters()`, and best without weight decay, which would pull all weights to ½. A loss that
    is moved to a device takes s along; do that before the optimiser is built, as with any module.

    Args:
        loss: whose weights are learned.

    Raises:
        InvalidInputError: a term's loss may fall below 0.

    Example:
        >>> schedule = UncertaintySchedule(loss)  # base weights 0.5 and 0.5
        >>> learned = {"params": schedule.parameters(), "weight_decay": 0.0}
        >>> optimizer = torch.optim.AdamW([{"params": model.parameters()}, learned])
        >>> schedule.step(1, {})  # nothing was trained yet
        {'dice': 0.5, 'bce': 0.5}
    """

    def __init__(self, loss: CombinedLoss) -> None:
        super().__init__(loss)
        self._refuse_negative("uncertainty weighting")
        self._weighting = UncertaintyWeighting({name: w for name, w in self.base_weights.items() if w > 0})
        loss.weighting = self._weighting

    def parameters(self) -> list[nn.Parameter]:
        """Return s, the one tensor that is learned."""
        return [self._weighting.log_variances]

    def state_dict(self) -> dict[str, Any]:
        """Return the weights and s, exactly."""
        return {**super().state_dict(), "log_variances": self._weighting.by_name()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken; fills s in place, and sets the loss's weights too."""
        before = self._weighting.by_name()
        self._weighting.fill(state.get("log_variances", before))
        try:
            super().load_state_dict(state)
        except InvalidInputError:
            self._weighting.fill(before)
            raise

    def _next_weights(self, epoch: int, metrics: Mapping[str, float]) -> dict[str, float]:
        self._weighting.bound()
        return dict.fromkeys(self.base_weights, 0.0) | self._weighting.weights()
