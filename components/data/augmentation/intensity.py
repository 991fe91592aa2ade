"""Changes of intensity, each a pure function of a batch and of one value a case (or a case and channel).

They are those of nnU-Net (Isensee et al. 2021, supplementary note 4), in units of each image's own mean, deviation and
range, so that they mean the same however images are normalised.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from components.data.augmentation.drawing import per_case

_RADIUS = 3  # of a blur, in standard deviations; what lies beyond weighs 0.3 %
_LEAST = 1e-6  # of a deviation or range that is divided by


def with_noise(images: Tensor, deviation: Tensor, normal: Tensor) -> Tensor:
    """Add noise.

    Args:
        images: `(B, C, *spatial)`.
        deviation: `(B, 1)`, as a share of the deviation of each image.
        normal: standard normal, as large as the images.
    """
    return images + normal * per_case(deviation, images) * _moments(images)[1]


def blurred(images: Tensor, sigma: Tensor, axes: Sequence[int]) -> Tensor:
    """Smooth by a Gaussian; borders are continued by their last pixel.

    Args:
        images: `(B, C, *spatial)`.
        sigma: `(B, 1)`, in pixels, above 0, on the CPU.
        axes: spatial axes, from 0, that are smoothed.
    """
    radius = max(math.ceil(_RADIUS * float(sigma.max())), 1)
    weights = torch.exp(-0.5 * (torch.arange(radius + 1) / sigma) ** 2)  # (B, radius + 1): one side of the kernel
    weights = weights / (2 * weights.sum(1, keepdim=True) - weights[:, :1])
    for axis in axes:
        images = _smoothed(images, weights, axis + 2)
    return images


def brightened(images: Tensor, level: Tensor) -> Tensor:
    """Move all values by `level`, `(B, C)`, as a share of each channel's deviation."""
    return images + per_case(level, images) * _moments(images)[1]


def contrasted(images: Tensor, factor: Tensor) -> Tensor:
    """Stretch values about each channel's mean by `factor`, `(B, C)`, and cut them at the range that they had."""
    mean, _ = _moments(images)
    low, high = _range(images)
    return torch.addcmul(mean, images - mean, per_case(factor, images)).clamp(low, high)


def coarsened(images: Tensor, zoom: Tensor, axes: Sequence[int]) -> Tensor:
    """Take the nearest of fewer pixels, and go back to the size by linear interpolation: a low resolution.

    Args:
        images: `(B, C, *spatial)`.
        zoom: `(B, 1)`, share of the pixels along an axis that is left, on the CPU.
        axes: spatial axes, from 0, that lose pixels.
    """
    spatial = images.shape[2:]
    linear = "bilinear" if len(spatial) == 2 else "trilinear"  # noqa: PLR2004 - rows and columns
    found = []
    for image, share in zip(images.split(1), zoom.flatten().tolist(), strict=True):  # type: ignore[no-untyped-call]
        small = image
        for axis in axes:
            fewer = max(round(spatial[axis] * share), 1)
            places = (torch.arange(fewer, device=image.device) * 2 + 1) * spatial[axis] // (2 * fewer)
            small = small.index_select(axis + 2, places)
        found.append(functional.interpolate(small, size=spatial, mode=linear, align_corners=False))
    return torch.cat(found)


def gamma_corrected(images: Tensor, gamma: Tensor, inverted: Tensor) -> Tensor:
    """Raise values, as shares of their range, to a power; mean and deviation stay.

    Args:
        images: `(B, C, *spatial)`.
        gamma: `(B, C)`, the power.
        inverted: `(B, 1)`, whether dark and bright are exchanged meanwhile.
    """
    sign = per_case(1 - 2 * inverted.to(images.dtype), images)
    low, high = _range(images * sign)
    mean, deviation = _moments(images)
    changed = (images * sign - low).div_((high - low).clamp_min(_LEAST)).clamp_min_(0).pow_(per_case(gamma, images))
    changed = changed.mul_(sign)
    changed_mean, changed_deviation = _moments(changed)
    return (changed - changed_mean).mul_(deviation / changed_deviation.clamp_min(_LEAST)).add_(mean)


def _smoothed(images: Tensor, weights: Tensor, axis: int) -> Tensor:
    """Sum of shifted images: for a kernel of few pixels quicker than a convolution of each case by its own."""
    length, radius = images.shape[axis], weights.shape[1] - 1
    places = torch.arange(-radius, length + radius, device=images.device).clamp_(0, length - 1)
    longer = images.index_select(axis, places)
    found = images * per_case(weights[:, 0], images)
    for shift in range(1, radius + 1):
        sides = longer.narrow(axis, radius - shift, length) + longer.narrow(axis, radius + shift, length)
        found.addcmul_(sides, per_case(weights[:, shift], images))
    return found


def _moments(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel of each case, shaped to be broadcast."""
    flat = images.flatten(2)
    mean = flat.mean(-1, keepdim=True)
    deviation = (flat - mean).square_().mean(-1, keepdim=True).sqrt_()  # several times as quick as torch.std_mean
    shape = (*images.shape[:2], *[1] * (images.ndim - 2))
    return mean.view(shape), deviation.view(shape)


def _range(images: Tensor) -> tuple[Tensor, Tensor]:
    axes = tuple(range(2, images.ndim))
    return images.amin(axes, keepdim=True), images.amax(axes, keepdim=True)
