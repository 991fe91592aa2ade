"""The logarithm of the hyperbolic cosine of the Dice loss."""

from typing import final

import torch
from torch import Tensor

from components.losses.region_loss import SumsLoss
from components.losses.region_sums import RegionSums
from components.losses.shared_sums import Summed


@final
class LogCoshDiceLoss(SumsLoss):
    """log cosh of the Dice loss of each sample and class (or pooled), then the mean.

    L = log cosh(D), D = 1 - (2I + nr) / (P + G + dr). Jadon 2020 (A survey of loss functions for semantic
    segmentation). Its slope is tanh D: flatter than Dice where a region is nearly solved.

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
        >>> loss = LogCoshDiceLoss()  # D = 0.5
        >>> round(loss(torch.zeros(1, 1, 1, 2), torch.tensor([[[[1, 0]]]])).item(), 4)
        0.1201
    """

    def _losses(self, sums: RegionSums, summed: Summed) -> Tensor:
        dice = 1 - (2 * sums.overlap + self.smooth_nr) / (sums.predicted + sums.truth + self.smooth_dr)
        # cosh² = 1 / (1 - tanh²): exact also near 0, where the logarithm of a cosine near 1 is mostly rounding.
        return -torch.log1p(-dice.tanh().square()) / 2
