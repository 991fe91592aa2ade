"""Matthews correlation loss."""

from typing import Unpack, final

from torch import Tensor

from components.losses.inputs import Mode
from components.losses.region_loss import RegionOptions, SumsLoss
from components.losses.region_sums import RegionSums
from components.losses.shared_sums import Summed


@final
class MatthewsLoss(SumsLoss):
    """One minus Matthews' correlation of prediction and truth, per sample and class (or pooled), then the mean.

    L = 1 - (TP·TN - FP·FN + nr) / sqrt((TP+FP)(TP+FN)(TN+FP)(TN+FN) + dr), the soft counts of N pixels being
    TP = Σpg, FP = Σp(1-g) and so on: with I, P and G that is (N·I - P·G) over sqrt(P·G·(N-P)·(N-G)). Abhishek &
    Hamarneh 2021 (ISBI); MONAI's `MCCLoss`. Unlike Dice it counts true negatives.

    Where a truth is empty or full the correlation is not defined: the region then costs 1 and has no gradient (MONAI
    makes it 0 where the prediction is exact to the last bit). Pool (`batch`), or combine it with a pixel loss.

    Ignored pixels are in no count and get no gradient; a region without a valid pixel is left out of the mean, and
    where none is left, the loss is 0.

    Args:
        mode: `binary` and `multilabel` take a sigmoid per channel, `multiclass` a softmax.
        smooth_nr: added to the numerator.
        smooth_dr: added under the root, above 0.
        batch: pool the counts over the batch.
        include_background: whether class 0 counts; False only in `multiclass`.
        class_weights: factor of each counted class before the mean, not normalised; not in `binary`.
        ignore_index: value of target pixels that must not count, outside the classes, such as 255; per channel in
            `multilabel`.
        policy, reduction: as in `RegionLoss`.

    Raises:
        InvalidInputError: an argument does not fit.

    Example:
        >>> loss = MatthewsLoss()
        >>> loss(torch.zeros(1, 1, 1, 2), torch.tensor([[[[1, 0]]]])).item()  # no correlation
        1.0
    """

    def __init__(
        self,
        mode: Mode = "binary",
        *,
        smooth_nr: float = 0.0,
        smooth_dr: float = 1e-5,
        **options: Unpack[RegionOptions],
    ) -> None:
        super().__init__(mode, smooth_nr=smooth_nr, smooth_dr=smooth_dr, **options)

    def _losses(self, sums: RegionSums, summed: Summed) -> Tensor:
        pixels = self._pixels(summed, sums.overlap)
        # Rounding may carry a sum of probabilities past the number of pixels, and a root has no slope below 0.
        others = (pixels - sums.predicted).clamp_min(0) * (pixels - sums.truth)
        variances = sums.predicted * sums.truth * others
        correlation = pixels * sums.overlap - sums.predicted * sums.truth + self.smooth_nr
        return 1 - correlation / (variances + self.smooth_dr).sqrt()
