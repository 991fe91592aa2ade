"""NIfTI volumes: read in one canonical orientation, and an image compared with its mask before either is used."""

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.data.folder.axes import shape_text
from components.errors import InvalidInputError
from components.image_reader import Placement

CANONICAL = "RAS"  # the first axis runs to the right, the second to the front (anterior), the third up (superior)
_AXES = 3
_MOST_APART = 0.1  # of a voxel: what rounding of a header moves a corner by; less than half a voxel changes no label
_IN_MM = {"meter": 1e3, "micron": 1e-3}  # headers that name no unit mean mm


@dataclass(frozen=True)
class Volume:
    """A NIfTI file.

    Attributes:
        path: the file.
        array: `(X, Y, Z)` or `(X, Y, Z, C)`, axes turned to RAS (the nearest, nothing is resampled); values with the
            header's scl_slope and scl_inter applied, in the stored type where there are none.
        shape: of the first three axes, as stored.
        affine: `(4, 4)`, from voxels as stored to the header's unit.
        spacing: mm between voxels along X, Y and Z.
    """

    path: Path
    array: npt.NDArray[Any]
    shape: tuple[int, ...]
    affine: npt.NDArray[np.float64]
    spacing: tuple[float, float, float]

    @cached_property
    def orientation(self) -> str:
        """Where the axes run to as stored, such as `LPS`."""
        from nibabel.orientations import aff2axcodes  # noqa: PLC0415 - an extra, loaded where there are such files

        return "".join(aff2axcodes(self.affine))


def as_volume(path: Path, array: npt.NDArray[Any], placement: Placement | None) -> Volume:
    """A volume as `components.image_reader.read_pixels` reads it, with what says where it lies.

    Raises:
        InvalidInputError: the file is not a volume.
    """
    if placement is None:
        raise InvalidInputError(f"{path}: is not a NIfTI volume.")
    # What an axis measures goes with it to its new place.
    spacing = np.empty(_AXES)
    sizes = _voxel_sizes(placement.affine) * _IN_MM.get(placement.unit, 1.0)
    spacing[placement.turns[:, 0].astype(int)] = sizes
    return Volume(
        path, array, placement.shape, placement.affine, (float(spacing[0]), float(spacing[1]), float(spacing[2]))
    )


def check_same_grid(image: Volume, mask: Volume) -> None:
    """Make sure that a voxel of the mask is the same place as that of the image.

    Raises:
        InvalidInputError: the sizes or the affines differ; names both files and what they have.
    """
    where = f"{image.path}: its mask {mask.path} has"
    if image.shape[:_AXES] != mask.shape[:_AXES]:
        raise InvalidInputError(
            f"{where} {shape_text(mask.shape)} voxels, the image {shape_text(image.shape)}. "
            "Hint: resample the mask onto the image, with nearest neighbours."
        )
    if image.orientation != mask.orientation:
        raise InvalidInputError(
            f"{where} the orientation {mask.orientation} (affine {_matrix(mask.affine)}), the image "
            f"{image.orientation} (affine {_matrix(image.affine)}). Hint: turn the mask as the image is, or, if only "
            "its header is wrong, save it with the image's affine."
        )
    apart = _farthest_corner(image, mask)
    if apart > _MOST_APART:
        raise InvalidInputError(
            f"{where} the affine {_matrix(mask.affine)}, the image {_matrix(image.affine)}: they lie up to "
            f"{apart:.3g} voxels apart. Hint: resample the mask onto the image, or, if only its header is wrong, save "
            "it with the image's affine."
        )


def _farthest_corner(image: Volume, mask: Volume) -> float:
    """How far apart, in voxels, the two affines put a corner of the volume."""
    corners = np.array([(*corner, 1) for corner in product(*((0, size - 1) for size in image.array.shape[:_AXES]))])
    moved = corners @ (image.affine - mask.affine).T
    return float(np.sqrt((moved**2).sum(1)).max() / _voxel_sizes(image.affine).min())


def _voxel_sizes(affine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Along each stored axis, in the header's unit."""
    sizes: npt.NDArray[np.float64] = np.sqrt((affine[:_AXES, :_AXES] ** 2).sum(0))
    return sizes


def _matrix(affine: npt.NDArray[np.float64]) -> str:
    return "[" + "; ".join(" ".join(f"{value:.6g}" for value in row) for row in affine[:_AXES]) + "]"
