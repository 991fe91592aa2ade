"""The augmentation of nnU-Net, batch-wise: deformation, noise, blur, brightness, contrast, resolution, gamma."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from components.data.augmentation import intensity
from components.data.augmentation.deformation import Deformation, coarse_axis
from components.data.augmentation.drawing import Batch, draw_normal, draw_rows, draw_some
from components.data.augmentation.mirroring import mirrored
from components.errors import InvalidInputError

_NOISE = 0.15  # largest deviation, as a share of the image's own
_BLUR = (0.3, 1.0)  # standard deviation of the kernel in pixels
_BRIGHTNESS = 0.3  # largest change of the level, as a share of the image's deviation
_CONTRAST = 4 / 3  # largest factor; the smallest is 1 over it
_RESOLUTION = 0.5  # least share of the pixels along an axis
_GAMMA = 1.5  # largest power; the smallest is 1 over it
_SHARE, _GAMMA_SHARE = 0.15, 0.3  # of the cases that a change is drawn for
_HALF = 0.5
_ALIKE = 0.01  # difference of two spacings up to which a quarter turn keeps shapes


class StrongAugmentation:
    """Mirroring, right-angle turns, rotation, scaling, elastic deformation and six changes of intensity.

    Kinds, order and ranges follow nnU-Net (Isensee et al. 2021); each change is drawn for each case on its own, and
    what is not drawn costs nothing. Rotation, scaling and bending are one resampling, see `Deformation`. Colours
    (channels) change apart in brightness, contrast and gamma. Volumes get no quarter turns, and blur and resolution
    leave the axis of thick slices alone.

    Args:
        strength: of all that is drawn: angles, displacements, noise and blur are so many times as large, factors are
            raised to this power. At 0 only mirroring and turns are left.
        mirror: spatial axes, from 0, that may be mirrored; None: all. Quarter turns need the last two.
        spacing: of the pixels along each axis, in any unit; None: alike.

    Raises:
        InvalidInputError: the strength is negative.

    Example:
        >>> images, masks = torch.rand(4, 1, 32, 32), torch.zeros(4, 32, 32, dtype=torch.int64)
        >>> StrongAugmentation()(images, masks, torch.Generator().manual_seed(0))[0].shape
        torch.Size([4, 1, 32, 32])
    """

    def __init__(
        self, strength: float = 1.0, *, mirror: Sequence[int] | None = None, spacing: Sequence[float] | None = None
    ) -> None:
        if strength < 0:
            raise InvalidInputError(f"augmentation: found a strength of {strength}; it may not be negative.")
        self._strength, self._mirror, self._spacing = strength, mirror, spacing
        self._deformation = Deformation.of_strength(strength, spacing)

    def __call__(self, images: Tensor, masks: Tensor, generator: torch.Generator) -> Batch:
        """Return the batch, augmented.

        Args:
            images: `(B, C, *spatial)`, floating, in two or three dimensions.
            masks: `(B, *spatial)` indices or `(B, C, *spatial)`.
            generator: on the CPU. Another device draws the noise itself, from a seed of this generator.
        """
        images, masks = mirrored(images, masks, generator, self._mirror, turns=self._may_turn(images.ndim - 2))
        if not self._strength:
            return images, masks
        images, masks = self._deformation(images, masks, generator)
        return self._recoloured(images, generator), masks

    def _may_turn(self, axes: int) -> bool:
        alike = self._spacing is None or math.isclose(self._spacing[-1], self._spacing[-2], rel_tol=_ALIKE)
        return alike and axes == 2  # noqa: PLR2004 - an image

    def _recoloured(self, images: Tensor, generator: torch.Generator) -> Tensor:
        strength, coarse = self._strength, coarse_axis(images.shape[2:], self._spacing)
        axes = [axis for axis in range(images.ndim - 2) if axis != coarse]

        def changed(
            images: Tensor, share: float, channels: int, change: Callable[[Tensor, Tensor, Tensor], Tensor]
        ) -> Tensor:
            """Change some cases, in place, by values from 0 to 1 for each of their channels."""
            rows = draw_rows(len(images), share, generator)
            values = torch.rand(len(images), channels, generator=generator)[rows]
            if not len(rows):
                return images
            place = rows.to(images.device, non_blocking=True)
            return images.index_copy_(0, place, change(images[place], values, 2 * values - 1))

        def noisy(some: Tensor, values: Tensor, _: Tensor) -> Tensor:
            return intensity.with_noise(some, strength * _NOISE * values, draw_normal(some, generator))

        def blurred(some: Tensor, values: Tensor, _: Tensor) -> Tensor:
            low, high = _BLUR
            return intensity.blurred(some, strength * (low + (high - low) * values), axes)

        def gamma_corrected(some: Tensor, _: Tensor, signed: Tensor) -> Tensor:
            inverted = draw_some(len(some), _HALF, generator)
            return intensity.gamma_corrected(some, _GAMMA ** (strength * signed), inverted[:, None])

        colours = images.shape[1]
        images = changed(images, _SHARE, 1, noisy)
        images = changed(images, _SHARE, 1, blurred)
        images = changed(
            images, _SHARE, colours, lambda some, _, v: intensity.brightened(some, strength * _BRIGHTNESS * v)
        )
        images = changed(
            images, _SHARE, colours, lambda some, _, v: intensity.contrasted(some, _CONTRAST ** (strength * v))
        )
        images = changed(
            images, _SHARE, 1, lambda some, u, _: intensity.coarsened(some, _RESOLUTION ** (strength * u), axes)
        )
        return changed(images, _GAMMA_SHARE, colours, gamma_corrected)
