"""The Dice semimetric loss: Dice that soft labels minimise where they should."""

from typing import Unpack, final

from torch import Tensor

from components.losses._checks import require_number
from components.losses.channels import Channels
from components.losses.inputs import Mode
from components.losses.region_loss import ChannelLoss, RegionOptions


@final
class DiceSemimetricLoss(ChannelLoss):
    """One minus the Dice score written with the L1 distance, per sample and class (or pooled), then the mean.

    L = 1 - (P + G - D + nr) / (P + G + dr), D = Σ|p - g|, P = Σp, G = Σg. Wang, Popordanoska, Bertels, Lemmens &
    Blaschko 2023 (Dice Semimetric Losses, MICCAI), DML1. For hard labels it is the Dice loss; for soft ones it is
    smallest at p = g, where the Dice loss is smallest at p = 1 for g = ½.

    Ignored pixels are in no sum and get no gradient; a region without a valid pixel is left out of the mean, and where
    none is left, the loss is 0. Smoothing, empty masks and pooling are as in `EnhancedDiceLoss`.

    Args:
        mode: `binary` and `multilabel` take a sigmoid per channel, `multiclass` a softmax (and hard labels).
        smooth_nr: added to the numerator.
        smooth_dr: added to the denominator, above 0.
        batch: pool the sums over the batch.
        include_background: whether class 0 counts; False only in `multiclass`.
        class_weights: factor of each counted class before the mean, not normalised; not in `binary`.
        ignore_index: value of target pixels that must not count, outside the classes, such as 255; per channel in
            `multilabel`.
        policy, reduction: as in `RegionLoss`.

    Raises:
        InvalidInputError: an argument does not fit.

    Example:
        >>> loss = DiceSemimetricLoss()
        >>> loss(torch.zeros(1, 1, 1, 2), torch.full((1, 1, 1, 2), 0.5)).item()  # p = g = ½
        0.0
    """

    def __init__(
        self,
        mode: Mode = "binary",
        *,
        smooth_nr: float = 1e-5,
        smooth_dr: float = 1e-5,
        **options: Unpack[RegionOptions],
    ) -> None:
        super().__init__(mode, **options)
        self.smooth_nr = require_number("smooth_nr", smooth_nr)
        self.smooth_dr = require_number("smooth_dr", smooth_dr, open_low=True)

    def _losses(self, found: Channels) -> Tensor:
        masses = self._sum(found.probs) + self._sum(found.truth)
        distance = self._sum((found.probs - found.truth).abs())
        return 1 - (masses - distance + self.smooth_nr) / (masses + self.smooth_dr)
