"""Losses for thin, branching structures: soft clDice and skeleton recall."""

from typing import Unpack, final

import torch
from torch import Tensor

from components.errors import InvalidInputError
from components.losses._checks import require_number
from components.losses.channels import Channels
from components.losses.inputs import Mode
from components.losses.region_loss import ChannelLoss, CommonOptions, background_counts
from components.losses.soft_skeleton import dilated, soft_skeleton
from components.mask_policy import FOREGROUND


@final
class ClDiceLoss(ChannelLoss):
    """One minus soft centerline Dice, per sample and class (or pooled), then the mean.

    L = 1 - 2·Tp·Ts / (Tp + Ts), topology precision Tp = (Σ S_p·g + s) / (Σ S_p + s), sensitivity
    Ts = (Σ S_g·p + s) / (Σ S_g + s), S the soft skeleton. Shit et al. 2021 (clDice, CVPR), eq. 1-2 and algorithms 1-2.
    Every channel counts here: the authors' code, and MONAI's before 1.6, drop channel 0, in `binary` the only one.
    MONAI 1.6 adds up the classes of a sample; here each is a region of its own. Use it beside Dice (the paper: half).

    Ignored pixels neither erode nor dilate others, are in no sum and get no gradient; a region without a valid pixel is
    left out of the mean, and where none is left, the loss is 0.

    Args:
        mode: `binary` and `multilabel` take a sigmoid per channel, `multiclass` a softmax.
        iterations: erosions of the skeleton, at least half the width of the thickest structure in pixels.
        smooth: s, above 0.
        batch: pool the sums over the batch.
        include_background: whether class 0 counts; None is no in `multiclass`, yes otherwise.
        class_weights: factor of each counted class before the mean, not normalised; not in `binary`.
        ignore_index: value of target pixels that must not count, outside the classes, such as 255; per channel in
            `multilabel`.
        policy, reduction: as in `RegionLoss`.

    Raises:
        InvalidInputError: an argument does not fit.

    Example:
        >>> loss = ClDiceLoss()
        >>> line = torch.tensor([[[[0, 0, 0], [1, 1, 1], [0, 0, 0]]]])
        >>> round(loss(80.0 * line - 40, line).item(), 4)
        0.0
    """

    def __init__(
        self,
        mode: Mode = "binary",
        *,
        iterations: int = 3,
        smooth: float = 1.0,
        batch: bool = False,
        include_background: bool | None = None,
        **options: Unpack[CommonOptions],
    ) -> None:
        super().__init__(
            mode,
            batch=batch,
            include_background=background_counts(mode, include_background),
            **options,
        )
        self.iterations = _whole("iterations", iterations)
        self.smooth = require_number("smooth", smooth, open_low=True)

    def _losses(self, found: Channels) -> Tensor:
        predicted = soft_skeleton(found.probs, self.iterations, found.valid)
        with torch.no_grad():
            true = soft_skeleton(found.truth, self.iterations, found.valid)
        precision = self._share(predicted, found.truth)
        sensitivity = self._share(true, found.probs)
        return 1 - 2 * precision * sensitivity / (precision + sensitivity)

    def _share(self, skeleton: Tensor, mask: Tensor) -> Tensor:
        return (self._sum(skeleton * mask) + self.smooth) / (self._sum(skeleton) + self.smooth)


@final
class SkeletonRecallLoss(ChannelLoss):
    """One minus the soft recall of the truth's widened skeleton, per sample and class (or pooled), then the mean.

    L = 1 - (Σ T·p + s) / (Σ T + s), T the skeleton of the truth, dilated `tube` times and kept inside its class.
    Kirchhoff et al. 2024 (Skeleton recall loss, ECCV); theirs is the negative recall. In
    `multiclass` the skeleton is that of all foreground together, as there, and background does not count.

    The paper thins the truth with scikit-image while loading; here the skeleton is the morphological one, by
    `iterations` erosions on the device, which may have small gaps; the tube narrows them. Recall alone is best for
    foreground everywhere: use it beside Dice and cross-entropy.

    Ignored pixels neither erode nor dilate others, are in no sum and get no gradient; a region without a valid pixel is
    left out of the mean, and where none is left, the loss is 0.

    Args:
        mode: `binary` and `multilabel` take a sigmoid per channel, `multiclass` a softmax.
        iterations: erosions of the skeleton, at least half the width of the thickest structure in pixels.
        tube: dilations of the skeleton; the paper's code takes 2.
        smooth: s, above 0.
        batch: pool the sums over the batch.
        class_weights: factor of each class, in `multiclass` without background, before the mean, not normalised; not
            in `binary`.
        ignore_index: value of target pixels that must not count, outside the classes, such as 255; per channel in
            `multilabel`.
        policy, reduction: as in `RegionLoss`.

    Raises:
        InvalidInputError: an argument does not fit.

    Example:
        >>> loss = SkeletonRecallLoss(tube=0)
        >>> line = torch.tensor([[[[0, 0, 0], [1, 1, 1], [0, 0, 0]]]])
        >>> loss(torch.zeros(1, 1, 3, 3), line).item()  # 1 - (3 * 0.5 + 1) / (3 + 1)
        0.375
    """

    def __init__(
        self,
        mode: Mode = "binary",
        *,
        iterations: int = 10,
        tube: int = 2,
        smooth: float = 1.0,
        batch: bool = False,
        **options: Unpack[CommonOptions],
    ) -> None:
        super().__init__(
            mode,
            batch=batch,
            include_background=background_counts(mode, None),
            **options,
        )
        self.iterations = _whole("iterations", iterations)
        self.tube = _whole("tube", tube)
        self.smooth = require_number("smooth", smooth, open_low=True)

    def _losses(self, found: Channels) -> Tensor:
        tube = self._tube(found.truth, found.valid)
        return 1 - (self._sum(tube * found.probs) + self.smooth) / (self._sum(tube) + self.smooth)

    @torch.no_grad()
    def _tube(self, truth: Tensor, valid: Tensor | None) -> Tensor:
        masks = (truth > FOREGROUND).to(truth)
        whole = masks.amax(1, keepdim=True) if self.mode == "multiclass" else masks
        skeleton = soft_skeleton(whole, self.iterations, valid)
        for _ in range(self.tube):
            skeleton = dilated(skeleton, valid)
        return skeleton * masks


def _whole(what: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidInputError(f"{what}: found {value!r}; expected a whole number of at least 0.")
    return value
