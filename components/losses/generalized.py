"""Generalised Dice: classes weighted by the inverse square of their size."""

from typing import Unpack, final

import torch
from torch import Tensor

from components.errors import InvalidInputError
from components.losses.inputs import Mode
from components.losses.region_loss import RegionOptions, SumsLoss
from components.losses.region_sums import RegionSums, present_regions
from components.losses.shared_sums import Summed


@final
class GeneralizedDiceLoss(SumsLoss):
    """One minus a Dice score of all classes together, per sample (or pooled), then the mean.

    L = 1 - (2 Σ_c w_c I_c + nr) / (Σ_c w_c (P_c + G_c) + dr), w_c = 1 / G_c². Sudre et al. 2017 (DLMIA).

    Weights are scaled so that the smallest class present has 1; this changes the smoothing's scale only. An absent
    class, whose weight would be infinite, has 1 too, as MONAI gives it the largest of the others; where all are
    absent, all have 1, so that false positives cost (MONAI: 0). A class smaller than a pixel counts as one pixel.

    Of one class (`binary`) it is the Dice loss. Alone it is known to collapse with many organs of different size (Ma
    et al. 2021): combine it.

    Ignored pixels are in no sum and get no gradient; a sample without a valid pixel is left out of the mean, and where
    none is left, the loss is 0.

    Args:
        mode: `binary` and `multilabel` take a sigmoid per channel, `multiclass` a softmax.
        smooth_nr: added to the numerator.
        smooth_dr: added to the denominator, above 0.
        batch: pool the sums over the batch.
        include_background: whether class 0 counts; False only in `multiclass`.
        class_weights: None; the classes' sizes are the weights.
        ignore_index: value of target pixels that must not count, outside the classes, such as 255; per channel in
            `multilabel`.
        policy: as in `RegionLoss`; a class that it skips has weight 0.
        reduction: as in `RegionLoss`; `none` gives one number per sample, `(B,)`, or a scalar when pooled.

    Raises:
        InvalidInputError: an argument does not fit.

    Example:
        >>> loss = GeneralizedDiceLoss("multiclass")  # sizes 1 and 3, weights 1 and 1/9
        >>> round(loss(torch.zeros(1, 2, 1, 4), torch.tensor([[[0, 1, 1, 1]]])).item(), 4)
        0.6254
    """

    def __init__(
        self,
        mode: Mode = "binary",
        *,
        smooth_nr: float = 1e-5,
        smooth_dr: float = 1e-5,
        **options: Unpack[RegionOptions],
    ) -> None:
        if options.get("class_weights") is not None:
            raise InvalidInputError("class_weights: generalised Dice weighs classes by their size. Hint: use 'dice'.")
        super().__init__(mode, smooth_nr=smooth_nr, smooth_dr=smooth_dr, **options)

    def _losses(self, sums: RegionSums, summed: Summed) -> Tensor:
        weights = _weights(sums.truth)
        if self.policy.skips:
            weights = weights * present_regions(sums.truth, self.policy, pooled=self.batch)
        overlap = (weights * sums.overlap).sum(-1)
        masses = (weights * (sums.predicted + sums.truth)).sum(-1)
        return 1 - (2 * overlap + self.smooth_nr) / (masses + self.smooth_dr)

    def _reduced(self, losses: Tensor, counted: Tensor | None) -> Tensor:
        """The classes are one region: it counts where any of them does."""
        return super()._reduced(losses, None if counted is None else counted.any(-1))


def _weights(truth: Tensor) -> Tensor:
    """Inverse squares of `(..., C)`, at most 1."""
    size = truth.clamp_min(1)
    smallest = torch.where(truth > 0, size, torch.inf).amin(-1, keepdim=True)
    return torch.where(truth > 0, (smallest / size).square(), 1.0)
