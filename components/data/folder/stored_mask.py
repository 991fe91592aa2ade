"""A mask as its file has it: the values, and beside them what may hold the meaning (colours, opacity, channels)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from components.data.folder.axes import mask_axes
from components.data.folder.files import read_labels
from components.errors import InvalidInputError
from components.image_reader import VOLUMES, suffix_of

Array = npt.NDArray[Any]
Colour = tuple[int, int, int]
Channels = Literal["", "with background", "without background"]

_PICTURES = (".png", ".gif")
_TIFFS = (".tif", ".tiff")
_LOSSY = (".jpg", ".jpeg")
_MOST_CHANNELS = 64
_CHROMA_NOISE = 24  # what JPEG adds to the difference between the channels of a grey picture
_COLOURS = 3  # samples of RGB
_BLACK = (0, 0, 0)


@dataclass(frozen=True)
class StoredMask:
    """A mask before it is decided what its values mean.

    Attributes:
        path: its file.
        labels: `(*spatial)`; of an image with a palette the indices.
        palette: the colour of each index that occurs; None without a palette.
        drawn: the colour of what is not black, of a picture without a palette; its labels are then 0 and 255.
        opacity: `(*spatial)`, of an image with an alpha channel whose visible pixels all have one colour; else None.
        shaped: whether the shape is in the opacity: it varies, and the colour says nothing else.
        channels: whether the file had one channel per class, and whether the first one is the background.
        white_is_0: whether a TIFF shows its 0 as white.
    """

    path: Path
    labels: Array
    palette: Mapping[int, Colour] | None = None
    drawn: Colour | None = None
    opacity: Array | None = None
    shaped: bool = False
    channels: Channels = ""
    white_is_0: bool = False


def is_lossy(path: Path) -> bool:
    """Whether the kind of file changes the values that are saved in it."""
    return suffix_of(path) in _LOSSY


def read_mask(path: Path, image_shape: tuple[int, ...]) -> StoredMask:
    """Read a mask that is no volume.

    Args:
        path: the file.
        image_shape: of its image as stored; tells channels from planes.

    Raises:
        InvalidInputError: it does not decode, has several colours without a palette, or classes that overlap.
    """
    values = read_labels(path)
    if suffix_of(path) in _PICTURES:
        return _read_picture(path, values)
    if suffix_of(path) in _TIFFS:
        return _read_tiff(path, values, image_shape)
    if is_lossy(path) and values.ndim == _COLOURS:
        values = _without_chroma_noise(values)
    return _read_array(path, values, image_shape)


def separated(path: Path, values: Array, image_shape: tuple[int, ...]) -> tuple[Array, Channels]:
    """The class of each pixel where a mask has one channel per class; else the mask as it is.

    Args:
        path: of the mask, for errors.
        values: as stored.
        image_shape: of the image as stored.

    Raises:
        InvalidInputError: the channels overlap.
    """
    if values.ndim not in (3, 4) or not np.isin(values, (0, values.max() or 1)).all():
        return values, ""
    for axis in (-1, 0):
        count, spatial = values.shape[axis], tuple(np.delete(values.shape, axis).tolist())
        if not 2 <= count <= _MOST_CHANNELS:  # noqa: PLR2004 - one channel is no choice
            continue
        marked = (values != 0).sum(axis)
        if (marked == 1).all() and values.any(tuple(np.delete(range(values.ndim), axis).tolist())).sum() > 1:
            return values.argmax(axis), "with background"
        if values.shape == image_shape or spatial not in (image_shape, image_shape[:-1], image_shape[1:]):
            continue
        if (marked > 1).any():
            raise InvalidInputError(
                f"{path}: found {count} channels, and {int((marked > 1).sum())} pixels that are marked in more than "
                "one. Hint: classes that overlap cannot be read from a folder; give each pixel one class, or use "
                "data.build."
            )
        return np.where(marked == 1, values.argmax(axis) + 1, 0), "without background"
    return values, ""


def _read_array(path: Path, values: Array, image_shape: tuple[int, ...]) -> StoredMask:
    if suffix_of(path) in VOLUMES or not is_lossy(path):
        values, channels = separated(path, values, image_shape)
        return StoredMask(path, mask_axes(path, values), channels=channels)
    return StoredMask(path, mask_axes(path, values))


def _read_picture(path: Path, values: Array) -> StoredMask:
    from PIL import Image  # noqa: PLC0415 - only where there are such files

    with Image.open(path) as picture:
        palette = None
        if picture.mode == "P":
            colours = np.array(picture.getpalette("RGB") or []).reshape(-1, _COLOURS)
            palette = {int(index): _colour(colours, int(index)) for index in np.unique(values)}
        if "A" not in picture.getbands() and "a" not in picture.getbands() and "transparency" not in picture.info:
            return _grey_or_coloured(path, values, palette)
        pixels = np.asarray(picture.convert("RGBA"))
    return _transparent(path, values, palette, pixels)


def _read_tiff(path: Path, values: Array, image_shape: tuple[int, ...]) -> StoredMask:
    import tifffile  # noqa: PLC0415 - as above

    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        white_is_0 = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
        alpha = (tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA)
        has_alpha = any(sample in alpha for sample in page.extrasamples)
        stored = tiff.series[0].asarray() if has_alpha else None
        axes, colours = tiff.series[0].axes, page.colormap
    if colours is not None and page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        table = (np.asarray(colours).T >> 8).astype(int)
        return StoredMask(
            path, mask_axes(path, values), {int(index): _colour(table, int(index)) for index in np.unique(values)}
        )
    if stored is not None and axes.endswith("S") and stored.ndim == _COLOURS and stored.dtype == np.uint8:
        grey = stored.shape[-1] == 2  # noqa: PLR2004 - grey and alpha
        return _transparent(path, values, None, stored[..., [0, 0, 0, 1]] if grey else stored)
    if values.ndim == _COLOURS and values.shape[-1] == _COLOURS and not (values == values[..., :1]).all():
        return _grey_or_coloured(path, values, None)
    found, channels = separated(path, values, image_shape)
    return StoredMask(path, mask_axes(path, found), channels=channels, white_is_0=white_is_0)


def _grey_or_coloured(path: Path, values: Array, palette: Mapping[int, Colour] | None) -> StoredMask:
    """A picture may be drawn in one colour on black."""
    if values.ndim == _COLOURS and not (values == values[..., :1]).all():
        colours, indices = np.unique(values.reshape(-1, values.shape[-1]), axis=0, return_inverse=True)
        if len(colours) == 2 and not colours[0].any() and values.dtype == np.uint8:  # noqa: PLR2004 - black and another
            labels = indices.reshape(values.shape[:2]) * np.uint8(255)
            return StoredMask(path, labels.astype(np.uint8), drawn=_colour(colours, 1))
    return StoredMask(path, mask_axes(path, values), palette)


def _transparent(path: Path, values: Array, palette: Mapping[int, Colour] | None, pixels: Array) -> StoredMask:
    """A picture with an alpha channel, `pixels` being its RGBA."""
    colours, opacity = pixels[..., :_COLOURS], pixels[..., _COLOURS]
    visible, hidden = colours[opacity > 0], colours[opacity == 0]
    if len(visible) and (visible != visible[0]).any():
        return _grey_or_coloured(path, values, palette)
    shaped = bool(opacity.min() < opacity.max())
    if shaped and not visible[0].any() and hidden.any():
        raise InvalidInputError(
            f"{path}: the visible shape is black, on a hidden ground that is bright: colour and opacity contradict "
            "each other. Hint: save the mask as grey, without an alpha channel."
        )
    if not shaped:
        single = len(hidden) == 0 or bool((hidden == hidden[0]).all())
        return StoredMask(path, mask_axes(path, values), palette, opacity=opacity if single else None)
    return StoredMask(path, opacity, opacity=opacity, shaped=True)


def _without_chroma_noise(values: Array) -> Array:
    spread = values.max(-1).astype(int) - values.min(-1)
    return (
        np.repeat(values.mean(-1, keepdims=True).round(), 3, -1).astype(values.dtype)
        if (spread.max() <= _CHROMA_NOISE)
        else values
    )


def _colour(colours: npt.NDArray[Any], index: int) -> Colour:
    red, green, blue = (int(part) for part in colours[index]) if index < len(colours) else _BLACK
    return red, green, blue
