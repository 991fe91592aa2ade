"""Losses that look at how far a pixel is from the border: Hausdorff by distance transforms, and boundary."""

from typing import Unpack, final

import torch
from torch import Tensor

from components.losses._checks import require_number
from components.losses.channels import Channels
from components.losses.distance_transform import distance_to
from components.losses.inputs import Mode
from components.losses.region_loss import ChannelLoss, CommonOptions, background_counts
from components.mask_policy import FOREGROUND


class _DistanceLoss(ChannelLoss):
    """Base: a loss of every pixel, then the mean over a region's valid pixels, then over regions."""

    def __init__(
        self,
        mode: Mode = "binary",
        *,
        include_background: bool | None = None,
        **options: Unpack[CommonOptions],
    ) -> None:
        super().__init__(mode, include_background=background_counts(mode, include_background), **options)

    def _pixel_mean(self, losses: Tensor, valid: Tensor | None) -> Tensor:
        if valid is None:
            return losses.flatten(2).mean(2)
        return torch.where(valid, losses, 0.0).flatten(2).sum(2) / valid.flatten(2).sum(2).clamp_min(1)


@final
class HausdorffLoss(_DistanceLoss):
    """Squared errors weighted by the distance to the borders of truth and prediction.

    L = mean of (p - g)² (d_g^alpha + d_p^alpha), d the distance of a pixel to the nearest pixel of the other kind, in
    the truth and in the prediction cut at ½. Karimi & Salcudean 2019 (Reducing the Hausdorff distance, IEEE TMI),
    its loss by distance transforms; values and gradients are those of MONAI's `HausdorffDTLoss`. The cut carries no
    gradient, and a mask that is empty or full has no border: its distances are 0. Values grow with the image, to the
    square of its size at alpha 2: use it beside a region loss, with a small weight.

    Ignored pixels are neither foreground nor background: no distance is measured to them. They get no gradient and are
    in no mean; a region without a valid pixel is left out, and where none is left, the loss is 0.

    Args:
        mode: `binary` and `multilabel` take a sigmoid per channel, `multiclass` a softmax.
        alpha: exponent of the distances; the paper takes 2.
        include_background: whether class 0 counts; None is no in `multiclass`, as in MONAI, and yes otherwise.
        class_weights: factor of each counted class before the mean, not normalised; not in `binary`.
        ignore_index: value of target pixels that must not count, outside the classes, such as 255; per channel in
            `multilabel`.
        policy, reduction: as in `RegionLoss`.

    Raises:
        InvalidInputError: an argument does not fit.

    Example:
        >>> loss = HausdorffLoss()  # errors ¼ each; distances in the truth 1, 1; the prediction is empty
        >>> loss(torch.zeros(1, 1, 1, 2), torch.tensor([[[[1, 0]]]])).item()
        0.25
    """

    def __init__(
        self,
        mode: Mode = "binary",
        *,
        alpha: float = 2.0,
        include_background: bool | None = None,
        **options: Unpack[CommonOptions],
    ) -> None:
        super().__init__(mode, include_background=include_background, **options)
        self.alpha = require_number("alpha", alpha)

    def _losses(self, found: Channels) -> Tensor:
        weights = self._weights(found.truth, found.valid) + self._weights(found.probs, found.valid)
        return self._pixel_mean((found.probs - found.truth).square() * weights, found.valid)

    def _weights(self, values: Tensor, valid: Tensor | None) -> Tensor:
        inside, outside = _border_distances(values, valid)
        return (inside + outside).to(values).pow(self.alpha)


@final
class BoundaryLoss(_DistanceLoss):
    """Mean of the probability times the signed distance to the truth's border.

    L = mean of p·phi, phi the distance to the foreground outside it, and inside it minus the distance to the background
    less one. Kervadec et al. 2019 (Boundary loss for highly unbalanced segmentation, MIDL) with the distances
    of its code; values and gradients are those of MONAI's `BoundaryLoss`. The loss is below 0 for a good prediction. A
    truth that is empty or full has no border and no gradient. Use it beside a region loss, with a weight that grows
    over training.

    Ignored pixels are neither foreground nor background: no distance is measured to them. They get no gradient and are
    in no mean; a region without a valid pixel is left out, and where none is left, the loss is 0.

    Args:
        mode: `binary` and `multilabel` take a sigmoid per channel, `multiclass` a softmax.
        include_background: whether class 0 counts; None is no in `multiclass`, as in the paper, and yes otherwise.
        class_weights: factor of each counted class before the mean, not normalised; not in `binary`.
        ignore_index: value of target pixels that must not count, outside the classes, such as 255; per channel in
            `multilabel`.
        policy, reduction: as in `RegionLoss`.

    Raises:
        InvalidInputError: an argument does not fit.

    Example:
        >>> loss = BoundaryLoss()  # phi = 0, 1, 2
        >>> loss(torch.zeros(1, 1, 1, 3), torch.tensor([[[[1, 0, 0]]]])).item()
        0.5
    """

    may_be_negative = True

    def _losses(self, found: Channels) -> Tensor:
        inside, outside = _border_distances(found.truth, found.valid)
        signed = (outside - (inside - 1).clamp_min(0)).to(found.probs)
        return self._pixel_mean(found.probs * signed, found.valid)


@torch.no_grad()
def _border_distances(values: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
    """Distances of foreground to background and of background to foreground, 0 elsewhere, fp32."""
    foreground = values > FOREGROUND
    background = ~foreground
    if valid is not None:
        foreground, background = foreground & valid, background & valid
    return distance_to(background) * foreground, distance_to(foreground) * background
