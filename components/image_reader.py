"""The one reader of image files: PNG, JPEG, TIFF, NPY and NIfTI, in the depth in which they are stored.

Training, `segtune predict` and a bundle's `predict.py`, which carries this file, read by it, so that a file means the
same array everywhere. Needs numpy; Pillow, tifffile, imagecodecs and nibabel only where such files are read.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[Any]
VOLUMES = (".nii.gz", ".nii")
_VOLUME_AXES = 3
_STRIP = 512  # rows of a picture that are copied at once
_DEEP_PNG_SAMPLES: dict[int, Any] = {  # without alpha, by colour type; Pillow cuts these to 8 bits a sample
    2: slice(3),  # RGB, to which a transparent colour adds an alpha channel
    4: 0,  # grey and alpha
    6: slice(3),  # RGBA
}
_CHANNEL = re.compile(r"(.+)_(\d{4})$", re.DOTALL)  # of one file per channel, as nnU-Net has them
_SYSTEM_FOLDERS = ("@eaDir", "__MACOSX", "$RECYCLE.BIN")
_PNG_DEPTH, _PNG_COLOUR = 24, 25  # offsets in the file's header


class UnreadableImageError(Exception):
    """A file that does not decode, or holds what is not an image; the text says why, without the file's name."""


@dataclass(frozen=True)
class Placement:
    """How a volume lay in its file.

    Attributes:
        affine: `(4, 4)`, from voxels as stored to the header's unit.
        turns: of nibabel, from the stored axes to RAS.
        shape: of the first axes as stored, at most three.
        unit: of the header, such as `mm` or `micron`; `unknown` where it names none.
    """

    affine: npt.NDArray[np.float64]
    turns: npt.NDArray[np.float64]
    shape: tuple[int, ...]
    unit: str


def suffix_of(path: Path) -> str:
    """The suffix in lower case; `.nii.gz` is one."""
    return next((suffix for suffix in VOLUMES if path.name.lower().endswith(suffix)), path.suffix.lower())


def is_image_file(path: Path) -> bool:
    """Whether a file has a suffix that can be read, and is not hidden, as `._a.png` of macOS is."""
    return suffix_of(path) in _READERS and not path.name.startswith(".")


def find_image_files(folder: Path) -> list[Path]:
    """The image files of a folder and its sub-folders, sorted; those of a system are passed over.

    Hidden folders are, and those in which a NAS, macOS and Windows keep previews and copies. A link that leads nowhere
    is among the files, so that it can be named.
    """
    return sorted(
        path
        for path in folder.rglob("*")
        if is_image_file(path)
        and not path.is_dir()
        and not any(part in _SYSTEM_FOLDERS or part.startswith(".") for part in path.relative_to(folder).parts[:-1])
    )


def split_channels(files: Mapping[str, Path]) -> dict[str, list[Path]]:
    """Files of each case where all stems end in `_` and four digits, in the order of these; else nothing."""
    cases: dict[str, list[Path]] = {}
    for stem in sorted(files):
        match = _CHANNEL.match(stem)
        if match is None:
            return {}
        cases.setdefault(match[1], []).append(files[stem])
    return cases


def read_pixels(path: Path) -> tuple[Pixels, Placement | None]:
    """Read an image without its alpha channel.

    Args:
        path: of one of `SUFFIXES`.

    Returns:
        The array as stored: `(H, W)`, `(H, W, samples)`, or with pages or further axes in front; of a volume
        `(X, Y, Z)` or `(X, Y, Z, C)` with its axes turned to RAS, and how it lay, which is None of other files.

    Raises:
        UnreadableImageError: the file does not decode, or holds what is not an image.
        ImportError: of the library that the file needs; names how to install it.

    Example:
        >>> read_pixels(Path("images/cell_01.png"))[0].shape  # doctest: +SKIP
        (256, 256, 3)
    """
    return _read(path, _READERS)


def read_stored_values(path: Path) -> Pixels:
    """As `read_pixels`, with the values as they are stored: indices of a palette; of a TIFF also where 0 is white."""
    return _read(path, _VALUE_READERS)[0]


def turned_back(array: Pixels, placement: Placement) -> Pixels:
    """An array over the axes of a volume as `read_pixels` gives it, laid as the file is.

    Args:
        array: `(X, Y, Z)` with its axes turned to RAS, or without axes of length 1; further axes may follow a third.
        placement: of the volume.
    """
    import nibabel  # noqa: PLC0415 - only for volumes
    from nibabel.orientations import axcodes2ornt, ornt_transform  # noqa: PLC0415 - as above

    stored = (*placement.shape, *[1] * (_VOLUME_AXES - len(placement.shape)))
    places = placement.turns[:, 0].astype(int)
    turned = [stored[int(np.flatnonzero(places == axis)[0])] for axis in range(_VOLUME_AXES)]
    behind = array.shape[_VOLUME_AXES:] if array.shape[:_VOLUME_AXES] == tuple(turned) else ()
    found = nibabel.apply_orientation(
        array.reshape(*turned, *behind), ornt_transform(axcodes2ornt("RAS"), placement.turns)
    )
    return np.asarray(found).reshape(*placement.shape, *behind)


def _read(path: Path, readers: dict[str, Callable[[Path], Any]]) -> tuple[Pixels, Placement | None]:
    if suffix_of(path) not in readers:
        raise UnreadableImageError(f"is of no kind that is read. Hint: {', '.join(SUFFIXES)}")
    try:
        found = readers[suffix_of(path)](path)
    except (UnreadableImageError, ImportError):
        raise
    except Exception as error:  # decoders raise whatever they stumble upon; to the user all of it means the same
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UnreadableImageError(
            f"does not decode ({reason}). Hint: is the file whole, and of its suffix?"
        ) from error
    array, placement = found if isinstance(found, tuple) else (found, None)
    if array.dtype.kind not in "buif":
        raise UnreadableImageError(f"found dtype {array.dtype}; expected bool, integers or floats.")
    if array.ndim < 2 or 0 in array.shape:  # noqa: PLR2004 - rows and columns
        raise UnreadableImageError(f"found shape {array.shape}; expected at least rows and columns, none of them 0.")
    return array, placement


def _read_picture(path: Path) -> Pixels:
    from PIL import Image, ImageOps  # noqa: PLC0415 - only for pictures

    deep = _read_deep_png(path)
    if deep is not None:
        return deep
    Image.MAX_IMAGE_PIXELS = None  # large slides are welcome
    with Image.open(path) as stored:
        ImageOps.exif_transpose(stored, in_place=True)
        return _as_array(stored)


def _read_picture_values(path: Path) -> Pixels:
    from PIL import Image  # noqa: PLC0415 - as above

    with Image.open(path) as image:
        if image.mode == "P":
            return np.asarray(image)
    return _read_picture(path)


def _as_array(picture: Any) -> Pixels:
    """Of a Pillow image, strip by strip: at once it would be copied three times, for which large ones lack room."""
    as_is = picture.mode in ("1", "L", "I", "F", "RGB") or picture.mode.startswith("I;16")
    mode = None if as_is else "L" if picture.mode in ("LA", "La") else "RGB"

    def strip(top: int) -> Pixels:
        part = picture.crop((0, top, picture.width, min(top + _STRIP, picture.height)))
        return np.asarray(part if mode is None else part.convert(mode))

    first = strip(0)
    array = np.empty((picture.height, *first.shape[1:]), first.dtype)
    for top in range(0, picture.height, _STRIP):
        array[top : top + _STRIP] = strip(top)
    return array


def _read_deep_png(path: Path) -> Pixels | None:
    """A PNG with 16 bits a sample and several samples, or None for any other file."""
    with path.open("rb") as stream:
        header = stream.read(_PNG_COLOUR + 1)
    if not header.startswith(b"\x89PNG") or len(header) <= _PNG_COLOUR:
        return None
    if header[_PNG_DEPTH] != 16 or header[_PNG_COLOUR] not in _DEEP_PNG_SAMPLES:  # noqa: PLR2004 - bits
        return None
    try:
        from imagecodecs import png_decode  # noqa: PLC0415 - as above
    except ImportError as error:
        raise ImportError("16 bits per colour need imagecodecs. Hint: pip install imagecodecs") from error
    return np.asarray(png_decode(path.read_bytes())[..., _DEEP_PNG_SAMPLES[header[_PNG_COLOUR]]])


def _read_tiff(path: Path) -> Pixels:
    array, white_is_0 = _tiff_values(path)
    if white_is_0:
        return ~array if array.dtype.kind in "bu" else -array
    return array


def _tiff_values(path: Path) -> tuple[Pixels, bool]:
    """The values as they are stored, without alpha, and whether 0 is shown as white."""
    try:
        import tifffile  # noqa: PLC0415 - as above
    except ImportError as error:
        raise ImportError("TIFF needs tifffile. Hint: pip install tifffile imagecodecs") from error
    with tifffile.TiffFile(path) as tiff:
        array, axes, page = tiff.series[0].asarray(), tiff.series[0].axes, tiff.pages.first
        alpha = (tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA)
        if any(sample in alpha for sample in page.extrasamples):
            axis = axes.index("S")
            array = np.delete(array, array.shape[axis] - 1, axis)
        # ImageJ keeps the channels of a volume between its planes and its rows.
        array = np.asarray(np.moveaxis(array, axes.index("C"), 0) if "C" in axes else array)
        return array, page.photometric == tifffile.PHOTOMETRIC.MINISWHITE


def _read_npy(path: Path) -> Pixels:
    return np.asarray(np.load(path, allow_pickle=False))


def _read_volume(path: Path) -> tuple[Pixels, Placement]:
    """Values with the header's scl_slope and scl_inter applied, in the stored type where there are none."""
    try:
        import nibabel  # noqa: PLC0415 - as above
    except ImportError as error:
        raise ImportError("NIfTI needs nibabel. Hint: pip install 'segtune[medical]'") from error
    stored = nibabel.load(path)
    array, affine = np.asarray(stored.dataobj), np.asarray(stored.affine, dtype=np.float64)
    if not np.isfinite(affine).all() or not np.linalg.det(affine[:_VOLUME_AXES, :_VOLUME_AXES]):
        shown = "; ".join(" ".join(f"{value:.6g}" for value in row) for row in affine[:_VOLUME_AXES])
        raise UnreadableImageError(f"found the affine [{shown}], which places no volume.")
    shape = array.shape[:_VOLUME_AXES]
    array = array.reshape(array.shape + (1,) * (_VOLUME_AXES - array.ndim))
    if array.ndim == _VOLUME_AXES + 2 and array.shape[_VOLUME_AXES] == 1:
        array = array[:, :, :, 0]  # NIfTI keeps channels behind time
    turns = nibabel.io_orientation(affine)
    unit = str(stored.header.get_xyzt_units()[0])
    return np.asarray(nibabel.apply_orientation(array, turns)), Placement(affine, turns, shape, unit)


_READERS: dict[str, Callable[[Path], Any]] = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif"), _read_picture),
    **dict.fromkeys((".tif", ".tiff"), _read_tiff),
    ".npy": _read_npy,
    **dict.fromkeys(VOLUMES, _read_volume),
}
_VALUE_READERS = _READERS | {
    **dict.fromkeys((".png", ".gif"), _read_picture_values),
    **dict.fromkeys((".tif", ".tiff"), lambda path: _tiff_values(path)[0]),
}
SUFFIXES = tuple(_READERS)
