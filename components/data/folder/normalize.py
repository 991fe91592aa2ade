"""Normalisation of one image at a time, so that it works alike on an image that no study has seen."""

from typing import Any

import numpy as np
import numpy.typing as npt

from components.errors import InvalidInputError

NORMALIZATIONS = ("zscore", "zscore_nonzero", "minmax", "percentile", "none")
_PERCENTILES = (1.0, 99.0)


def normalize_image(image: npt.NDArray[Any], how: str) -> npt.NDArray[np.float32]:
    """Bring an image's channels to a common scale.

    Args:
        image: `(C, *spatial)`, any real dtype.
        how: of each channel, `zscore` (mean 0, deviation 1), `minmax` (range to 0-1) or `percentile` (1st to 99th
            percentile to 0-1, clipped); a constant channel becomes 0. `zscore_nonzero` goes by the values that are not
            0, and leaves 0 where it was: for volumes whose surroundings have been blanked, such as brains without
            their skull (MONAI's `NormalizeIntensity(nonzero=True)`). `none` divides integers by their type's largest
            value and leaves floats.

    Returns:
        `(C, *spatial)` float32.

    Raises:
        InvalidInputError: there is no such normalisation.

    Example:
        >>> normalize_image(np.array([[[0, 255]]], np.uint8), "minmax")
        array([[[0., 1.]]], dtype=float32)
    """
    if how not in NORMALIZATIONS:
        raise InvalidInputError(f"normalize: found {how!r}; use one of {', '.join(NORMALIZATIONS)}.")
    if how == "none":
        scale = np.iinfo(image.dtype).max if image.dtype.kind in "iu" else 1
        return np.ascontiguousarray(image / np.float32(scale), dtype=np.float32)
    channels = image.reshape(len(image), -1).astype(np.float64)
    if how == "zscore_nonzero":
        return np.stack([_score_nonzero(channel) for channel in channels]).reshape(image.shape)
    if how == "zscore":
        # Rounding gives a constant channel a tiny deviation, by which it must not be divided.
        low, span = channels.mean(1), np.where(np.ptp(channels, axis=1) > 0, channels.std(1), 0)
    else:
        bounds = (0.0, 100.0) if how == "minmax" else _PERCENTILES
        low, high = np.percentile(channels, bounds, axis=1)
        span = high - low
        channels = np.clip(channels, low[:, None], high[:, None])
    scaled = (channels - low[:, None]) / np.where(span > 0, span, np.inf)[:, None]
    normalized: npt.NDArray[np.float32] = scaled.reshape(image.shape).astype(np.float32)
    return normalized


def _score_nonzero(channel: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    scored, shown = np.zeros(channel.shape, np.float32), channel != 0
    values = channel[shown]
    if values.size and np.ptp(values) > 0:
        scored[shown] = (values - values.mean()) / values.std()
    return scored
