"""Batches whose order and augmentation depend on (seed, epoch) alone, so that a resumed epoch repeats itself."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from components.data.dataset import Split
from components.errors import InvalidInputError

AUGMENTATIONS = ("none", "flip")
Batch = tuple[Tensor, Tensor]


def training_batches(split: Split, *, size: int, seed: int, epoch: int, augment: str = "flip") -> Iterator[Batch]:
    """Shuffled batches of an epoch.

    Args:
        split: cases to draw from; never written to.
        size: cases a batch; the last one may be smaller.
        seed: training seed.
        epoch: 1-based epoch; with `seed` it decides order and augmentation.
        augment: `flip` mirrors each case along each axis with probability ½; `none` leaves it.

    Yields:
        images `(B, C, *spatial)` float32, and masks: int64 indices `(B, *spatial)` or float32 `(B, C, *spatial)`.

    Raises:
        InvalidInputError: size below 1 or an unknown augmentation.
    """
    if size < 1:
        raise InvalidInputError(f"batch size: found {size}, must be at least 1.")
    if augment not in AUGMENTATIONS:
        raise InvalidInputError(f"augment: found {augment!r}; use one of {', '.join(AUGMENTATIONS)}.")
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(split))
    for start in range(0, len(split), size):
        index = order[start : start + size]
        images, masks = split.images[index], split.masks[index]
        if augment == "flip":
            _flip(images, masks, random)
        yield _as_tensors(images, masks, split)


def evaluation_batches(split: Split, *, size: int) -> Iterator[Batch]:
    """Every case once, in order; shapes as in `training_batches`."""
    for start in range(0, len(split), size):
        part = slice(start, start + size)
        yield _as_tensors(split.images[part].copy(), split.masks[part].copy(), split)


def _flip(images: np.ndarray, masks: np.ndarray, random: np.random.Generator) -> None:
    spatial = images.ndim - 2
    for image, mask, chosen in zip(images, masks, random.random((len(images), spatial)) < 0.5, strict=True):  # noqa: PLR2004
        axes = tuple(int(axis) - spatial for axis in np.flatnonzero(chosen))
        if axes:
            image[...] = np.flip(image, axes).copy()
            mask[...] = np.flip(mask, axes).copy()


def _as_tensors(images: np.ndarray, masks: np.ndarray, split: Split) -> Batch:
    target = torch.from_numpy(masks)
    indices = split.masks.ndim == split.images.ndim - 1
    return torch.from_numpy(images), target.long() if indices else target.float()
