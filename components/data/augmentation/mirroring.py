"""Mirrored axes and right-angle turns, which move pixels and change none."""

from collections.abc import Sequence

import torch
from torch import Tensor

from components.data.augmentation.drawing import Batch, draw_rows
from components.errors import InvalidInputError

_HALF = 0.5


def axes_to_mirror(mirror: Sequence[int] | None, axes: int) -> tuple[int, ...]:
    """Spatial axes that may be mirrored, in order; all of them for None.

    Raises:
        InvalidInputError: the images have no such axis.

    Example:
        >>> axes_to_mirror(None, 2), axes_to_mirror([1], 2)
        ((0, 1), (1,))
    """
    if mirror is None:
        return tuple(range(axes))
    missing = [axis for axis in mirror if not 0 <= axis < axes]
    if missing:
        known = " and ".join([", ".join(map(str, range(axes - 1))), str(axes - 1)])
        raise InvalidInputError(
            f"training.mirror: found {list(mirror)}; the images have the axes {known}. "
            "Hint: they are counted from 0, channels apart."
        )
    return tuple(sorted(set(mirror)))


def mirrored(
    images: Tensor,
    masks: Tensor,
    generator: torch.Generator,
    axes: Sequence[int] | None = None,
    *,
    turns: bool = True,
) -> Batch:
    """Mirror each case along each axis with probability ½, and swap the last two axes with probability ½.

    Swapping is mirroring along the diagonal: with it all eight positions of a square occur, and where the axes may not
    be mirrored it may not happen either.

    Args:
        images: `(B, C, *spatial)`.
        masks: `(B, *spatial)` or `(B, C, *spatial)`.
        generator: on the CPU.
        axes: spatial axes, from 0, that may be mirrored; None: all.
        turns: whether the last two axes are swapped, where both may be mirrored and are equally long.
    """
    spatial = images.ndim - 2
    allowed = axes_to_mirror(axes, spatial)
    parts = images.clone(), masks.clone()
    for axis in allowed:
        rows = draw_rows(len(images), _HALF, generator).to(images.device, non_blocking=True)
        for part in parts:
            part.index_copy_(0, rows, part[rows].flip(axis - spatial))
    if turns and {spatial - 2, spatial - 1} <= set(allowed) and images.shape[-1] == images.shape[-2]:
        rows = draw_rows(len(images), _HALF, generator).to(images.device, non_blocking=True)
        for part in parts:
            part.index_copy_(0, rows, part[rows].transpose(-1, -2))
    return parts
