"""Mirroring, right-angle turns and changes of intensity, in the cheapest form."""

from collections.abc import Sequence

import torch
from torch import Tensor

from components.data.augmentation.drawing import Batch, draw_normal, per_case
from components.data.augmentation.mirroring import mirrored
from components.errors import InvalidInputError


class StandardAugmentation:
    """Mirroring, right-angle turns and changes of intensity, each case on its own, without a loop over cases.

    Turns are of the last two axes, a quarter where they are equally long and a half otherwise. Intensities are
    multiplied by `1 ± contrast`, moved by `± brightness` and get Gaussian noise of a standard deviation up to `noise`,
    all in units of the images as they are, which is their standard deviation where they are normalised; these are
    three of nnU-Net's (Isensee et al. 2021), in the cheapest form.

    Args:
        contrast: largest change of the factor.
        brightness: largest change of the level.
        noise: largest standard deviation.
        mirror: spatial axes, from 0, that may be mirrored; None: all. Turns need the last two, since a quarter turn
            that may go either way and a mirrored axis make the other axis mirrored, too.

    Raises:
        InvalidInputError: a number is negative.

    Example:
        >>> images, masks = torch.zeros(4, 1, 8, 8), torch.zeros(4, 8, 8, dtype=torch.int64)
        >>> StandardAugmentation()(images, masks, torch.Generator().manual_seed(0))[0].shape
        torch.Size([4, 1, 8, 8])
    """

    def __init__(
        self,
        contrast: float = 0.25,
        brightness: float = 0.1,
        noise: float = 0.1,
        *,
        mirror: Sequence[int] | None = None,
    ) -> None:
        if min(contrast, brightness, noise) < 0:
            raise InvalidInputError(f"augmentation: found {contrast}, {brightness}, {noise}; none may be negative.")
        self._contrast, self._brightness, self._noise = contrast, brightness, noise
        self._mirror = mirror

    @classmethod
    def of_strength(cls, strength: float, mirror: Sequence[int] | None = None) -> "StandardAugmentation":
        """With all changes of intensity so many times as large; mirroring and turns stay."""
        usual = cls()
        return cls(usual._contrast * strength, usual._brightness * strength, usual._noise * strength, mirror=mirror)

    def __call__(self, images: Tensor, masks: Tensor, generator: torch.Generator) -> Batch:
        """Return the batch, augmented.

        Args:
            images: `(B, C, *spatial)`, floating.
            masks: `(B, *spatial)` indices or `(B, C, *spatial)`.
            generator: on the CPU. Another device draws the noise itself, from a seed of this generator.
        """
        images, masks = mirrored(images, masks, generator, self._mirror)
        return self._recoloured(images, generator), masks

    def _recoloured(self, images: Tensor, generator: torch.Generator) -> Tensor:
        spread = torch.rand(3, len(images), generator=generator).to(images, non_blocking=True)
        factor, level = 1 + self._contrast * (2 * spread[0] - 1), self._brightness * (2 * spread[1] - 1)
        noise = draw_normal(images, generator) * per_case(self._noise * spread[2], images)
        return images * per_case(factor, images) + per_case(level, images) + noise
