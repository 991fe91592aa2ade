"""Crops that are sure to show foreground: where it is, and where a crop may lie to hold a pixel of it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.data.dataset import IGNORED, Positions, Split

_MOST_POSITIONS = 10_000  # a class and case: crops are drawn once an epoch, more would cost memory and change nothing


def foreground_positions(split: Split, index: int) -> tuple[Positions, ...]:
    """Pixels of each foreground class in a case; found once and kept with the split.

    Args:
        split: of the case.
        index: of the case.

    Returns:
        For each class that occurs, flat indices into the case's spatial axes, sorted; of a large class a sample, which
        depends on nothing but the mask. Ignored pixels are no foreground.
    """
    known = split.known_foreground
    if index not in known:
        known[index] = tuple(_find(split.images[index].ndim - 1, split.masks[index]))
    return known[index]


def draw_corner(
    random: np.random.Generator,
    sizes: Sequence[int],
    window: Sequence[int],
    positions: Sequence[Positions] = (),
    stored: Sequence[int] = (),
) -> tuple[int, ...]:
    """First pixel of a random crop.

    Args:
        random: source of the draw.
        sizes: of the image, continued where it is too small for the crop.
        window: of the crop.
        positions: as `foreground_positions` gives them; the crop holds a pixel of a class drawn alike among them.
            Without any it lies anywhere.
        stored: of the image before it was continued, to which `positions` refer.
    """
    if not positions:
        return tuple(int(random.integers(size - part + 1)) for size, part in zip(sizes, window, strict=True))
    of_class = positions[int(random.integers(len(positions)))]
    pixel = np.unravel_index(of_class[int(random.integers(len(of_class)))], tuple(stored))
    return tuple(
        int(random.integers(max(0, place - part + 1), min(place, size - part) + 1))
        for place, size, part in zip(pixel, sizes, window, strict=True)
    )


def _find(axes: int, mask: npt.NDArray[Any]) -> list[Positions]:
    if mask.ndim == axes:
        classes = [mask == value for value in np.unique(mask) if value not in (0, IGNORED)]
    else:
        classes = [channel == 1 for channel in mask]
    found = [np.flatnonzero(pixels) for pixels in classes]
    return [_sampled(positions) for positions in found if positions.size]


def _sampled(positions: Positions) -> Positions:
    if positions.size <= _MOST_POSITIONS:
        return positions
    chosen = np.random.default_rng(positions.size).choice(positions.size, _MOST_POSITIONS, replace=False)
    return positions[np.sort(chosen)]
