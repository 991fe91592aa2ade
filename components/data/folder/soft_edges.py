"""Recognises masks of black and white whose edges are soft: resized with anti-aliasing, or saved as JPEG."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_LEAST_RANGE = 64  # of whole numbers between background and foreground; below, they are class indices
_NEAR = 0.13  # of the range: what compression adds to either end
_MOST_BETWEEN = 0.25  # share of the pixels that lie between the two ends
_MOST_FLAT = 0.2  # of the other values, share that lies inside an area of one value, as that of a class would
_LEAST_VALUES = 4  # with fewer they are classes


def propose_threshold(masks: Sequence[npt.NDArray[np.generic]], *, lossy: bool) -> float | None:
    """Half of the range where all masks are black and white with soft edges; else None.

    Args:
        masks: values of each, whole numbers or fractions.
        lossy: whether they come from files that change values, so that even large areas may be off by a little.
    """
    arrays = [np.asarray(mask, np.float64) for mask in masks]
    if not all(np.isfinite(array).all() for array in arrays):
        return None
    low, high = min(array.min() for array in arrays), max(array.max() for array in arrays)
    fractions = high <= 1 and any((array != np.round(array)).any() for array in arrays)
    if low < 0 or low > _NEAR * high or not (fractions or high >= _LEAST_RANGE):
        return None
    values = set[float]().union(*(np.unique(array).tolist() for array in arrays))
    below, above = _NEAR * high, (1 - _NEAR) * high
    middle = any(below < value < above for value in values)
    strays = any(0 < value <= below for value in values) and any(above <= value < high for value in values)
    if len(values) < _LEAST_VALUES or not (middle or strays):
        return None
    pixels, between, other, flat = 0, 0, 0, 0
    for array in arrays:
        inside = (array > below) & (array < above)
        neither = inside if lossy else (array != 0) & (array != high)
        pixels, between = pixels + array.size, between + int(inside.sum())
        other, flat = other + int(neither.sum()), flat + int((neither & _flat(array)).sum())
    if between > _MOST_BETWEEN * pixels or flat > _MOST_FLAT * other:
        return None
    return float(high) / 2


def _flat(mask: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Pixels whose neighbours along every axis, one step each way, have the same value."""
    same = np.ones(mask.shape, bool)
    for axis in range(mask.ndim):
        for step in (1, -1):
            same &= np.roll(mask, step, axis) == mask
    return same
