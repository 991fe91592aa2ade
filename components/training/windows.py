"""How whole images go through a network in validation, at once or by windows, and how many at a time."""

from collections.abc import Collection, Sequence
from math import prod
from typing import Literal

from components.training.inference import SlidingWindow

Size = int | Sequence[int]
# Without gradients no activations are kept: whole images of so many times a training step's pixels need less memory.
_PIXELS_OF_A_STEP = 4
# Up to so many pixels at a time whole images gain from company: on one CPU thread a small U-Net took 0.66 of the time
# for 8 images of 64×64 at a time that it took for 2, and 1.1 for 8 of 256×256, more than its caches hold.
_PIXELS_THAT_GAIN = 2**17
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
    """Whole images at a time: as many as in a training step, or more of small ones, fewer of much larger ones.

    Args:
        sizes: spatial sizes that occur in validation.
        batch: cases of a training step.
        crop: of a training step; None for the whole cases.

    Example:
        >>> [validation_batch([size], batch=2, crop=64) for size in ((64, 64), (128, 128), (512, 512))]
        [8, 2, 1]
    """
    largest = max(sizes, key=prod)
    step = batch * prod(largest if crop is None else _an_axis(crop, len(largest)))
    fits = step * _PIXELS_OF_A_STEP // prod(largest)
    return max(1, min(fits, max(batch, _PIXELS_THAT_GAIN // prod(largest))))


def _an_axis(size: Size, axes: int) -> tuple[int, ...]:
    return (size,) * axes if isinstance(size, int) else tuple(size)
