"""Image files as arrays: PNG, JPEG, TIFF, NPY and NIfTI, in the depth in which they are stored."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from components.data.folder.names import VOLUMES, suffix_of
from components.data.folder.nifti import Volume, read_volume
from components.errors import InvalidInputError, MissingExtraError

Array = npt.NDArray[Any]
Read = TypeVar("Read")

_DEEP_PNG_SAMPLES: dict[int, Any] = {  # without alpha, by colour type; Pillow cuts these to 8 bits a sample
    2: slice(3),  # RGB, to which a transparent colour adds an alpha channel
    4: 0,  # grey and alpha
    6: slice(3),  # RGBA
}
_PNG_DEPTH, _PNG_COLOUR = 24, 25  # offsets in the file's header


def read_image(path: Path) -> Array:
    """Read an image without its alpha channel.

    Args:
        path: `.png`, `.jpg`, `.jpeg`, `.tif`, `.tiff`, `.npy`, or a volume `.nii` or `.nii.gz`.

    Returns:
        As stored: `(H, W)`, `(H, W, samples)`, or with pages or further axes in front; a volume as `Volume.array`;
        bool, integers or floats.

    Raises:
        InvalidInputError: the file does not decode, or holds what is no image; names the file.
        MissingExtraError: it is a volume, and nibabel is not installed.

    Example:
        >>> read_image(Path("images/cell_01.png")).shape  # doctest: +SKIP
        (256, 256, 3)
    """
    return _checked(path, _decoded(path, _IMAGE_READERS))


def read_labels(path: Path) -> Array:
    """Read a mask's values: a palette image gives its indices, not its colours.

    Raises:
        InvalidInputError: as `read_image`.
    """
    return _checked(path, _decoded(path, _LABEL_READERS))


def is_image_file(path: Path) -> bool:
    """Whether a file has a suffix that can be read, and is not hidden."""
    return suffix_of(path) in _IMAGE_READERS and not path.name.startswith(".")


def checked_volume(path: Path) -> Volume:
    """Read a NIfTI volume.

    Raises:
        InvalidInputError: as `read_image`.
        MissingExtraError: nibabel is not installed.
    """
    volume = _decoded(path, dict.fromkeys(VOLUMES, read_volume))
    _checked(path, volume.array)
    return volume


def _decoded(path: Path, readers: dict[str, Callable[[Path], Read]]) -> Read:
    try:
        return readers[suffix_of(path)](path)
    except (InvalidInputError, MissingExtraError):
        raise
    except Exception as error:
        # Decoders raise whatever they stumble upon; to the user all of it means the same.
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InvalidInputError(
            f"{path}: does not decode ({reason}). Hint: is the file whole, and of its suffix?"
        ) from error


def _checked(path: Path, array: Array) -> Array:
    if array.dtype.kind not in "buif":
        raise InvalidInputError(f"{path}: found dtype {array.dtype}; expected bool, integers or floats.")
    if array.ndim < 2 or 0 in array.shape:  # noqa: PLR2004 - rows and columns
        raise InvalidInputError(
            f"{path}: found shape {array.shape}; expected at least rows and columns, none of them 0."
        )
    return array


def _read_picture(path: Path) -> Array:
    from PIL import Image, ImageOps  # noqa: PLC0415 - read only where there are such files

    deep = _read_deep_png(path)
    if deep is not None:
        return deep
    with Image.open(path) as stored:
        image: Image.Image = ImageOps.exif_transpose(stored)
        if image.mode in ("LA", "La"):
            image = image.convert("L")
        elif image.mode not in ("1", "L", "I", "F", "RGB") and not image.mode.startswith("I;16"):
            image = image.convert("RGB")
        return np.asarray(image)


def _read_picture_labels(path: Path) -> Array:
    from PIL import Image  # noqa: PLC0415 - as above

    with Image.open(path) as image:
        if image.mode == "P":
            return np.asarray(image)
    return _read_picture(path)


def _read_deep_png(path: Path) -> Array | None:
    """A PNG with 16 bits a sample and several samples, or None for any other file."""
    with path.open("rb") as stream:
        header = stream.read(_PNG_COLOUR + 1)
    if not header.startswith(b"\x89PNG") or len(header) <= _PNG_COLOUR:
        return None
    if header[_PNG_DEPTH] != 16 or header[_PNG_COLOUR] not in _DEEP_PNG_SAMPLES:  # noqa: PLR2004 - bits
        return None
    from imagecodecs import png_decode  # noqa: PLC0415 - as above

    return np.asarray(png_decode(path.read_bytes())[..., _DEEP_PNG_SAMPLES[header[_PNG_COLOUR]]])


def _read_tiff(path: Path) -> Array:
    import tifffile  # noqa: PLC0415 - as above

    with tifffile.TiffFile(path) as tiff:
        array = _read_tiff_values(path)
        if tiff.pages.first.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
            return ~array if array.dtype.kind in "bu" else -array
        return array


def _read_tiff_values(path: Path) -> Array:
    """The values as they are stored: a mask's are classes, also where a viewer shows 0 as white."""
    import tifffile  # noqa: PLC0415 - as above

    with tifffile.TiffFile(path) as tiff:
        array, axes, page = tiff.series[0].asarray(), tiff.series[0].axes, tiff.pages.first
        alpha = (tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA)
        if any(sample in alpha for sample in page.extrasamples):
            axis = axes.index("S")
            array = np.delete(array, array.shape[axis] - 1, axis)
        # ImageJ keeps the channels of a volume between its planes and its rows.
        return np.asarray(np.moveaxis(array, axes.index("C"), 0) if "C" in axes else array)


def _read_npy(path: Path) -> Array:
    return np.asarray(np.load(path, allow_pickle=False))


def _read_volume_array(path: Path) -> Array:
    return read_volume(path).array


_IMAGE_READERS: dict[str, Callable[[Path], Array]] = {
    ".png": _read_picture,
    ".jpg": _read_picture,
    ".jpeg": _read_picture,
    ".tif": _read_tiff,
    ".tiff": _read_tiff,
    ".npy": _read_npy,
    **dict.fromkeys(VOLUMES, _read_volume_array),
}
_LABEL_READERS = _IMAGE_READERS | {
    ".png": _read_picture_labels,
    ".tif": _read_tiff_values,
    ".tiff": _read_tiff_values,
}
SUFFIXES = tuple(_IMAGE_READERS)
