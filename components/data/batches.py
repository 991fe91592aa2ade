"""Batches whose order, crops and augmentation depend on (seed, epoch) alone, so that a resumed epoch repeats itself."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from components.data.augmentation.mirroring import axes_to_mirror
from components.data.dataset import Split
from components.data.foreground import draw_corner, foreground_positions
from components.errors import InvalidInputError

if TYPE_CHECKING:
    from components.data.on_device import DeviceCases

AUGMENTATIONS = ("none", "flip")
Batch = tuple[Tensor, Tensor]
Array = npt.NDArray[Any]
Place = tuple[Any, ...]  # of a crop in a case


def training_batches(
    split: Split,
    *,
    size: int,
    seed: int,
    epoch: int,
    augment: str = "flip",
    crop: int | Sequence[int] | None = None,
    divisor: int = 1,
    foreground: float = 0.0,
    batches: int | None = None,
    held: "DeviceCases | None" = None,
    pinned: bool = False,
    join_single: bool = False,
    mirror: Sequence[int] | None = None,
) -> Iterator[Batch]:
    """Shuffled batches of an epoch.

    Args:
        split: cases to draw from; never written to.
        size: cases a batch; the last one may be smaller.
        seed: training seed.
        epoch: 1-based epoch; with `seed` it decides order, crops and augmentation.
        augment: `flip` mirrors each case along each axis with probability ½; `none` leaves it.
        crop: size of the random part of each case, one number or one an axis; None takes the whole case.
        divisor: what is too small for the crop, or whose size is no multiple of this, is continued by mirroring.
        foreground: probability that a crop is drawn so that it holds a pixel of a foreground class, each class of the
            case with the same one (Isensee et al. 2021, nnU-Net, does so for a third of each batch); where a case has
            none, and for the other crops, any place is as likely.
        batches: how many make an epoch, each of `size` cases, whatever the number of cases (nnU-Net: 250); the cases
            are gone through in a new order as often as it takes. None goes through them once.
        held: the same cases on the device that trains, as `hold_on_device` gives them; the batches are cut there.
        pinned: put batches into page-locked memory, from which they go to a GPU without being waited for.
        mirror: spatial axes, from 0, that `flip` mirrors; None: all.
        join_single: a last batch of one case is joined to the one before it, for a network that cannot train on one.

    Yields:
        images `(B, C, *spatial)` float32, and masks: int64 indices `(B, *spatial)` or float32 `(B, C, *spatial)`.

    Raises:
        InvalidInputError: size or number of batches below 1, an unknown augmentation, a crop that does not fit the
            axes, whole cases of different sizes, an axis to mirror that the images do not have, or foreground outside
            0 to 1.
    """
    if size < 1:
        raise InvalidInputError(f"batch size: found {size}, must be at least 1.")
    if batches is not None and batches < 1:
        raise InvalidInputError(f"batches: found {batches} an epoch, must be at least 1.")
    if augment not in AUGMENTATIONS:
        raise InvalidInputError(f"augment: found {augment!r}; use one of {', '.join(AUGMENTATIONS)}.")
    if not 0 <= foreground <= 1:
        raise InvalidInputError(f"foreground: found {foreground}, must be a share from 0 to 1.")
    window = check_crop(split, crop, size)
    spatial = split.images[0].ndim - 1
    may_mirror = np.isin(np.arange(spatial), axes_to_mirror(mirror, spatial))
    random = np.random.default_rng((seed, epoch))
    order = _order(random, len(split), None if batches is None else batches * size)
    for members in (order[part] for part in _cut_in_batches(len(order), size, join_single=join_single)):
        places = [(int(index), _draw_place(split, int(index), window, foreground, random)) for index in members]
        mirrored = None
        if augment == "flip":
            mirrored = (random.random((len(places), spatial)) < 0.5) & may_mirror  # noqa: PLR2004
        if held is not None:
            yield held.batch(places, mirrored)
            continue
        chosen = [_cut(split, index, inside, window, divisor) for index, inside in places]
        images, masks = (np.stack(arrays) for arrays in zip(*chosen, strict=True))
        if mirrored is not None:
            _flip(images, masks, mirrored)
        yield _as_tensors(images, masks, pinned=pinned)


def _order(random: np.random.Generator, cases: int, drawn: int | None) -> npt.NDArray[np.int64]:
    """All cases once, or so many of them that a case comes again only after all others have come as often."""
    if drawn is None:
        return random.permutation(cases)
    return np.concatenate([random.permutation(cases) for _ in range(-(-drawn // cases))])[:drawn]


def has_single_last(cases: int, size: int) -> bool:
    """Whether the last batch of an epoch holds one case, and others come before it."""
    return cases > size > 1 == cases % size


def _cut_in_batches(cases: int, size: int, *, join_single: bool) -> list[slice]:
    starts = list(range(0, cases, size))
    if join_single and has_single_last(cases, size):
        del starts[-1]
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], cases], strict=True)]


def evaluation_batches(split: Split, *, size: int, divisor: int = 1) -> Iterator[Batch]:
    """Every case once, in order; neighbours of one size share a batch.

    Yields:
        images continued by mirroring to a multiple of `divisor`, and masks as they are; the logits' first rows and
        columns are those of the mask.
    """
    for _, same in groupby(range(len(split)), lambda index: split.images[index].shape):
        members = list(same)
        for start in range(0, len(members), size):
            part = members[start : start + size]
            images = np.stack([_extended(split.images[index], divisor) for index in part])
            yield _as_tensors(images, np.stack([split.masks[index] for index in part]))


def check_crop(split: Split, crop: int | Sequence[int] | None, batch: int) -> tuple[int, ...] | None:
    """The crop as one number an axis.

    Raises:
        InvalidInputError: it has not one number an axis, or there is none and sizes differ within a batch.
    """
    axes = split.images[0].ndim - 1
    if crop is None:
        if batch > 1 and len(split.sizes) > 1:
            smallest = tuple(min(sizes) for sizes in zip(*split.sizes, strict=True))
            raise InvalidInputError(
                f"training.crop: none is set, but the images have {len(split.sizes)} sizes, such as "
                f"{' and '.join('×'.join(map(str, found)) for found in sorted(split.sizes)[:2])}; whole ones make no "
                f"batch. Hint: set training.crop, the smallest image is {'×'.join(map(str, smallest))}."
            )
        return None
    window = (crop,) * axes if isinstance(crop, int) else tuple(crop)
    if len(window) != axes or min(window) < 1:
        raise InvalidInputError(f"training.crop: found {crop}, the images have {axes} axes.")
    return window


def _draw_place(
    split: Split, index: int, window: tuple[int, ...] | None, foreground: float, random: np.random.Generator
) -> Place:
    """Where a crop lies in the case as `extended_case` gives it; everywhere without a crop."""
    if window is None:
        return (...,)
    stored = split.images[index].shape[1:]
    sizes = [max(pair) for pair in zip(stored, window, strict=True)]
    # Without a share nothing is drawn for it, so that such a study sees the crops that it always saw.
    shown = foreground_positions(split, index) if foreground and random.random() < foreground else ()
    corner = draw_corner(random, sizes, window, shown, stored)
    return (..., *(slice(start, start + part) for start, part in zip(corner, window, strict=True)))


def extended_case(split: Split, index: int, window: tuple[int, ...] | None, divisor: int) -> tuple[Array, Array]:
    """Image and mask of a case, continued to the size of the crop, or without one to a multiple of the divisor."""
    image, mask = split.images[index], split.masks[index]
    divisor, at_least = (divisor, ()) if window is None else (1, window)
    return _extended(image, divisor, at_least=at_least), _extended(
        mask, divisor, at_least=at_least, axes=image.ndim - 1
    )


def _cut(split: Split, index: int, inside: Place, window: tuple[int, ...] | None, divisor: int) -> tuple[Array, Array]:
    image, mask = extended_case(split, index, window, divisor)
    return image[inside], mask[inside]


def _extended(array: Array, divisor: int, *, axes: int | None = None, at_least: Sequence[int] = ()) -> Array:
    """Continue the last axes by mirroring, at their ends, up to a multiple of the divisor or to a size."""
    axes = array.ndim - 1 if axes is None else axes
    sizes = array.shape[array.ndim - axes :]
    wanted = [-(-size // divisor) * divisor for size in sizes]
    wanted = [max(sizes_pair) for sizes_pair in zip(wanted, at_least, strict=True)] if at_least else wanted
    missing = [(0, target - size) for size, target in zip(sizes, wanted, strict=True)]
    if not any(after for _, after in missing):
        return array
    return np.pad(array, [(0, 0)] * (array.ndim - axes) + missing, mode="symmetric")


def _flip(images: np.ndarray, masks: np.ndarray, mirrored: npt.NDArray[np.bool_]) -> None:
    spatial = images.ndim - 2
    for image, mask, chosen in zip(images, masks, mirrored, strict=True):
        axes = tuple(int(axis) - spatial for axis in np.flatnonzero(chosen))
        if axes:
            image[...] = np.flip(image, axes).copy()
            mask[...] = np.flip(mask, axes).copy()


def _as_tensors(images: Array, masks: Array, *, pinned: bool = False) -> Batch:
    batch = torch.from_numpy(images), as_target(torch.from_numpy(masks), images.ndim)
    return (batch[0].pin_memory(), batch[1].pin_memory()) if pinned else batch


def as_target(masks: Tensor, axes: int) -> Tensor:
    """Masks in the type that losses take: int64 indices, or one float32 channel a class."""
    return masks.long() if masks.ndim == axes - 1 else masks.float()
