"""Rotation, scaling and elastic deformation of a batch, composed into one resampling."""

import math
from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional

from components.data.augmentation.drawing import Batch, draw_some, per_case
from components.data.dataset import IGNORED
from components.errors import InvalidInputError

# Below 0.4 of that distance a cubic B-spline never folds in three dimensions (Choi and Lee 2000, "Injectivity
# conditions of 2D and 3D uniform cubic B-spline functions"); in two the limit is 0.48.
ELASTIC_LIMIT = 0.39
_INTERVALS = 4  # between control points along an axis
_SHARE = 0.3  # of the cases that are rotated, and likewise scaled; 0.61 are changed by one of the three
_ELASTIC_SHARE = 0.2
_ANISOTROPIC = 3.0  # nnU-Net's limit: beyond it a volume is treated as a stack of slices


class Deformation:
    """Rotates, scales and bends cases; each change is drawn for each case with a probability of its own.

    Angles and scales are of physical space: with pixels twice as long along one axis a turned circle stays a circle.
    A volume with one axis of more than three times the spacing of the finest (without spacing: of less than a third of
    the largest size) is changed within its slices, all alike, since between them there is nothing to interpolate.

    What comes from outside a crop is the image and the mask mirrored at its border, as small images are continued
    everywhere else. That is real texture under its right label; ignored pixels would need a loss that ignores, in every
    study, and would leave the network without its corners.

    A case whose change would lose the last pixel of its foreground is left as it was.

    Args:
        rotation: largest angle, in degrees, in each plane.
        scale: largest magnification; the smallest is 1 over it.
        elastic: largest displacement, as a share of the distance of its control points.
        spacing: of the pixels along each axis, in any unit; None: alike.

    Raises:
        InvalidInputError: the angle is negative, the magnification below 1, or the displacement one that may fold.

    Example:
        >>> images, masks = torch.rand(4, 1, 32, 32), torch.zeros(4, 32, 32, dtype=torch.int64)
        >>> Deformation()(images, masks, torch.Generator().manual_seed(0))[0].shape
        torch.Size([4, 1, 32, 32])
    """

    def __init__(
        self,
        rotation: float = 30.0,
        scale: float = 1.4,
        elastic: float = 0.2,
        *,
        spacing: Sequence[float] | None = None,
    ) -> None:
        if rotation < 0 or scale < 1 or not 0 <= elastic <= ELASTIC_LIMIT:
            raise InvalidInputError(
                f"deformation: found a rotation of {rotation}, a scale of {scale} and an elastic displacement of "
                f"{elastic}; expected at least 0, at least 1, and 0 to {ELASTIC_LIMIT}, beyond which images fold."
            )
        self._rotation, self._scale, self._elastic = math.radians(rotation), scale, elastic
        self._spacing = spacing

    @classmethod
    def of_strength(cls, strength: float, spacing: Sequence[float] | None = None) -> "Deformation":
        """With angles and displacements so many times as large, up to what does not fold, and scales to this power."""
        usual = cls()
        degrees, elastic = math.degrees(usual._rotation) * strength, min(usual._elastic * strength, ELASTIC_LIMIT)
        return cls(degrees, usual._scale**strength, elastic, spacing=spacing)

    def __call__(self, images: Tensor, masks: Tensor, generator: torch.Generator) -> Batch:
        """Return the batch with some of its cases changed, on its device.

        Args:
            images: `(B, C, *spatial)`, floating.
            masks: `(B, *spatial)` indices or `(B, C, *spatial)`; 255 is a pixel without a label and stays one.
            generator: on the CPU.
        """
        spatial = images.shape[2:]
        spacing = list(self._spacing or (1.0,) * len(spatial))
        coarse = coarse_axis(spatial, self._spacing)
        if coarse is not None:
            del spacing[coarse]
        sizes = [size for axis, size in enumerate(spatial) if axis != coarse]
        rotated, scaled = (draw_some(len(images), _SHARE, generator) for _ in range(2))
        bent = draw_some(len(images), _ELASTIC_SHARE, generator)
        matrices = self._draw_matrices(rotated, scaled, sizes, spacing, generator)
        control = self._draw_control(bent, len(sizes), generator)
        rows = (rotated | scaled | bent).nonzero().flatten()
        if not len(rows):
            return images, masks
        bends = control[rows] if bool(bent.any()) else None
        grid = sampling_grid(matrices[rows].to(images), None if bends is None else bends.to(images), sizes)
        place = rows.to(images.device, non_blocking=True)
        images, masks = images.clone(), masks.clone()
        _exchange(images, masks, place, grid, coarse)
        return images, masks

    def _draw_matrices(
        self,
        rotated: Tensor,
        scaled: Tensor,
        sizes: Sequence[int],
        spacing: Sequence[float],
        generator: torch.Generator,
    ) -> Tensor:
        """From output to input coordinates, both from -1 to 1 along each axis, `(B, axes, axes)`."""
        axes, count = len(sizes), len(rotated)
        matrices = torch.eye(axes).repeat(count, 1, 1)
        for first, second in combinations(range(axes), 2):
            angles = (2 * torch.rand(count, generator=generator) - 1) * self._rotation * rotated
            turn = torch.eye(axes).repeat(count, 1, 1)
            turn[:, first, first] = turn[:, second, second] = angles.cos()
            turn[:, first, second], turn[:, second, first] = -angles.sin(), angles.sin()
            matrices = matrices @ turn
        powers = (2 * torch.rand(count, generator=generator) - 1) * scaled
        matrices = matrices * (self._scale**powers).view(-1, 1, 1)
        lengths = torch.tensor([size * part for size, part in zip(sizes, spacing, strict=True)])
        return matrices * lengths / lengths[:, None]

    def _draw_control(self, bent: Tensor, axes: int, generator: torch.Generator) -> Tensor:
        """Displacements of the control points, `(B, axes, ...)`, in the coordinates of the matrices."""
        points = (_INTERVALS + 3,) * axes
        spread = 2 * torch.rand(len(bent), axes, *points, generator=generator) - 1
        return spread * (self._elastic * 2 / _INTERVALS) * bent.view(-1, *[1] * (axes + 1))


def coarse_axis(spatial: Sequence[int], spacing: Sequence[float] | None) -> int | None:
    """The axis of a volume across which its slices lie too far apart to be interpolated; None without one."""
    if len(spatial) < 3:  # noqa: PLR2004 - an image is one slice
        return None
    if spacing is None:
        order = sorted(range(len(spatial)), key=lambda axis: spatial[axis])
        return order[0] if spatial[order[0]] * _ANISOTROPIC < spatial[order[-1]] else None
    order = sorted(range(len(spacing)), key=lambda axis: spacing[axis])
    return order[-1] if spacing[order[-1]] > _ANISOTROPIC * spacing[order[0]] else None


def sampling_grid(matrices: Tensor, control: Tensor | None, sizes: Sequence[int]) -> Tensor:
    """Where each output pixel is taken from, as `grid_sample` reads it.

    Args:
        matrices: `(B, axes, axes)`.
        control: displacements of the control points of a cubic B-spline, before the matrices; None: none.
        sizes: of the output.

    Returns:
        `(B, *sizes, axes)`, the last axis of the image first.
    """
    axes = len(sizes)
    grid = matrices.new_empty(len(matrices), axes, *sizes)
    ends = [(torch.arange(size, device=matrices.device, dtype=matrices.dtype) * 2 + 1) / size - 1 for size in sizes]
    shaped = [along.view(-1, *[1] * (axes - 1 - axis)) for axis, along in enumerate(ends)]
    for row in range(axes):
        parts = [shaped[column] * matrices[:, row, column].view(-1, *[1] * axes) for column in range(axes)]
        grid[:, axes - 1 - row] = sum(parts[1:], start=parts[0])
    if control is not None:
        # A matrix of displacements is one of their control points, which are fewer.
        moved = torch.einsum("bij,bj...->bi...", matrices, control).flip(1)
        for axis, size in enumerate(sizes):
            moved = torch.movedim(torch.tensordot(moved, _splines(size, moved), dims=([axis + 2], [1])), -1, axis + 2)
        grid = grid + moved
    return grid.movedim(1, -1)


def _splines(size: int, like: Tensor) -> Tensor:
    """Value of each cubic B-spline at each pixel of an axis, `(size, control points)`."""
    places = (torch.arange(size, dtype=torch.float64) + 0.5) / size * _INTERVALS
    first = places.floor().long().clamp_(max=_INTERVALS - 1)
    along = places - first
    values = [
        (1 - along) ** 3,
        3 * along**3 - 6 * along**2 + 4,
        -3 * along**3 + 3 * along**2 + 3 * along + 1,
        along**3,
    ]
    table = torch.zeros(size, _INTERVALS + 3, dtype=torch.float64)
    for number, value in enumerate(values):
        table[torch.arange(size), first + number] = value / 6
    return table.to(like)


def _exchange(images: Tensor, masks: Tensor, place: Tensor, grid: Tensor, coarse: int | None) -> None:
    """Resample the cases at `place`, in place: images linearly and masks by the nearest pixel."""
    before, labels = images[place], masks[place].to(grid.dtype)
    moved = _sampled(before, grid, "bilinear", coarse)
    as_channels = labels if labels.ndim == images.ndim else labels[:, None]
    moved_labels = _sampled(as_channels, grid, "nearest", coarse).view_as(labels)
    kept = ~_shows_foreground(labels) | _shows_foreground(moved_labels)
    images.index_copy_(0, place, torch.where(per_case(kept, moved).bool(), moved, before))
    masks.index_copy_(0, place, torch.where(per_case(kept, labels).bool(), moved_labels, labels).to(masks.dtype))


def _sampled(part: Tensor, grid: Tensor, mode: str, coarse: int | None) -> Tensor:
    """Slices across the coarse axis are channels of one resampling in the plane."""
    if coarse is None:
        return functional.grid_sample(part, grid, mode=mode, padding_mode="reflection", align_corners=False)
    slices = part.movedim(coarse + 2, 2)
    flat = functional.grid_sample(slices.flatten(1, 2), grid, mode=mode, padding_mode="reflection", align_corners=False)
    return flat.view(slices.shape).movedim(2, coarse + 2)


def _shows_foreground(masks: Tensor) -> Tensor:
    return ((masks > 0) & (masks != IGNORED)).flatten(1).any(1)
