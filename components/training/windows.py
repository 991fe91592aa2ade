"""How whole images go through a network in validation, at once or by windows, and how many at a time."""

from collections.abc import Collection, Sequence
from math import prod
from typing import Literal

from components.training.inference import SlidingWindow

Size = int | Sequence[int]
# Without gradients no activations are kept: whole images of so many times a training step's pixels need less memory.
_PIXELS_OF_A_STEP = 4
_LARGE_VOLUME = 8  # crops: twice as long along each axis; the activations of a whole one would fill the memory


def validation_window(
    sizes: Collection[Sequence[int]],
    *,
    batch: int,
    crop: Size | None = None,
    window: Literal["auto", "whole"] | Size = "auto",
    overlap: float = 0.25,
) -> SlidingWindow | None:
    """How validation cuts large images; None sends each through the network as a whole.

    Args:
        sizes: spatial sizes that occur, at least one.
        batch: cases of a training step.
        crop: of a training step, one number or one an axis.
        window: one number or one an axis; `whole`; `auto` takes the crop for volumes of more than eight crops.
        overlap: of neighbouring windows, as a share of their size.

    Raises:
        InvalidInputError: the window has not one number an axis.

    Example:
        >>> validation_window([(64, 64, 65)], batch=2, crop=32).size
        (32, 32, 32)
    """
    axes = len(next(iter(sizes)))
    if window == "whole":
        return None
    size: Size | None = None if isinstance(window, str) else window
    if size is None and crop is not None and axes > 2:  # noqa: PLR2004 - images go as a whole
        largest = max(prod(found) for found in sizes)
        size = crop if largest > _LARGE_VOLUME * prod(_an_axis(crop, axes)) else None
    if size is None:
        return None
    found = SlidingWindow(_an_axis(size, axes), overlap, batch * _PIXELS_OF_A_STEP)
    found.covers((0,) * axes)
    return found


def validation_batch(sizes: Collection[Sequence[int]], *, batch: int, crop: Size | None = None) -> int:
    """Whole images at a time: as many as in a training step, unless they are much larger than its crops.

    Args:
        sizes: spatial sizes that occur in validation.
        batch: cases of a training step.
        crop: of a training step.
    """
    if crop is None:
        return batch
    largest = max(sizes, key=prod)
    pixels = prod(_an_axis(crop, len(largest))) * batch * _PIXELS_OF_A_STEP
    return max(1, min(batch, pixels // prod(largest)))


def _an_axis(size: Size, axes: int) -> tuple[int, ...]:
    return (size,) * axes if isinstance(size, int) else tuple(size)
