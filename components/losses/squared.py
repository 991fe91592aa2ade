"""Dice with squares in its denominator."""

from typing import Unpack, final

from torch import Tensor

from components.losses._checks import require_number
from components.losses.channels import Channels
from components.losses.inputs import Mode
from components.losses.region_loss import ChannelLoss, RegionOptions


@final
class SquaredDiceLoss(ChannelLoss):
    """One minus the Dice score with squared masses, per sample and class (or pooled), then the mean.

    L = 1 - (2I + nr) / (Σp² + Σg² + dr), I = Σpg. Milletari, Navab & Ahmadi 2016 (V-Net), section 3; MONAI's
    `DiceLoss(squared_pred=True)`. Its gradient fades less near p = 0 and 1 than that of Dice.

    Ignored pixels are in no sum and get no gradient; a region without a valid pixel is left out of the mean, and where
    none is left, the loss is 0. Smoothing, empty masks and pooling are as in `EnhancedDiceLoss`.

    Args:
        mode: `binary` and `multilabel` take a sigmoid per channel, `multiclass` a softmax.
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
        >>> loss = SquaredDiceLoss()  # I = 0.5, Σp² = 0.5, Σg² = 1
        >>> round(loss(torch.zeros(1, 1, 1, 2), torch.tensor([[[[1, 0]]]])).item(), 4)
        0.3333
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
        overlap = self._sum(found.probs * found.truth)
        # The shared sums have no squares of soft labels, so that both are taken here.
        masses = self._sum(found.probs.square()) + self._sum(found.truth.square())
        return 1 - (2 * overlap + self.smooth_nr) / (masses + self.smooth_dr)
