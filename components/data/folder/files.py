"""Image files as arrays for training, by the reader that prediction has too; errors name the file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from components.data.folder.nifti import Volume, as_volume
from components.errors import InvalidInputError, MissingExtraError
from components.image_reader import UnreadableImageError, read_pixels, read_stored_values

Array = npt.NDArray[Any]
Read = TypeVar("Read")


def read_image(path: Path) -> Array:
    """Read an image without its alpha channel.

    Args:
        path: `.png`, `.jpg`, `.jpeg`, `.tif`, `.tiff`, `.npy`, or a volume `.nii` or `.nii.gz`.

    Returns:
        As stored: `(H, W)`, `(H, W, samples)`, or with pages or further axes in front; a volume as `Volume.array`;
        bool, integers or floats.

    Raises:
        InvalidInputError: the file does not decode, or holds what is no image; names the file.
        MissingExtraError: a library that it needs is not installed.

    Example:
        >>> read_image(Path("images/cell_01.png")).shape  # doctest: +SKIP
        (256, 256, 3)
    """
    return _named(path, read_pixels)[0]


def read_labels(path: Path) -> Array:
    """Read a mask's values: a palette image gives its indices, not its colours.

    Raises:
        InvalidInputError: as `read_image`.
    """
    return np.asarray(_named(path, read_stored_values))


def checked_volume(path: Path) -> Volume:
    """Read a NIfTI volume.

    Raises:
        InvalidInputError: as `read_image`.
        MissingExtraError: nibabel is not installed.
    """
    return as_volume(path, *_named(path, read_pixels))


def _named(path: Path, read: Callable[[Path], Read]) -> Read:
    try:
        return read(path)
    except ImportError as error:
        raise MissingExtraError(f"{path}: {error}") from error
    except UnreadableImageError as error:
        raise InvalidInputError(f"{path}: {error}") from error
