"""Which axis of a stored image is which; the mask decides, since it has no channels."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.errors import InvalidInputError
from components.image_reader import VOLUMES, suffix_of

Array = npt.NDArray[Any]
_COLOUR_SAMPLES = (3, 4)


def mask_axes(path: Path, labels: Array) -> Array:
    """A mask as `(H, W)` or `(D, H, W)`: axes of length 1 fall away, equal colour channels become one.

    Raises:
        InvalidInputError: the mask is coloured, or has another number of axes.
    """
    if labels.ndim == 3 and labels.shape[-1] in _COLOUR_SAMPLES and _is_picture(path):  # noqa: PLR2004 - rows, columns, samples
        if not (labels == labels[..., :1]).all():
            raise InvalidInputError(
                f"{path}: a colour image, where a mask has one value a class. "
                "Hint: save class indices as 8-bit grey PNG."
            )
        labels = labels[..., 0]
    labels = _squeezed(labels)
    if labels.ndim not in (2, 3):
        raise InvalidInputError(f"{path}: found a mask of shape {labels.shape}; expected (H, W), or (D, H, W).")
    return labels


def channels_first(path: Path, image: Array, mask_path: Path, spatial: tuple[int, ...]) -> Array:
    """An image as `(C, *spatial)`: what the image has beyond the mask's axes is its channels (samples, or pages).

    Raises:
        InvalidInputError: the shapes do not fit each other.
    """
    for candidate in dict.fromkeys((image.shape, _squeezed(image).shape)):
        stored = image.reshape(candidate)
        if candidate == spatial:
            return stored[None]
        if candidate[:-1] == spatial:
            return np.ascontiguousarray(np.moveaxis(stored, -1, 0))
        if candidate[1:] == spatial:
            return stored
    raise InvalidInputError(
        f"{path}: found shape {shape_text(image.shape)}, its mask {mask_path} has {shape_text(spatial)}. "
        "Hint: both need the same height and width."
    )


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape for people."""
    return "×".join(map(str, shape))


def _squeezed(array: Array) -> Array:
    """Without leading and trailing axes of length 1 that are beyond rows and columns."""
    while array.ndim > 2 and array.shape[0] == 1:  # noqa: PLR2004 - rows and columns stay
        array = array[0]
    while array.ndim > 2 and array.shape[-1] == 1:  # noqa: PLR2004 - as above
        array = array[..., 0]
    return array


def _is_picture(path: Path) -> bool:
    return suffix_of(path) not in (".npy", *VOLUMES)
