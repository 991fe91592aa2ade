"""What a data set looks like in numbers."""

from typing import Any

import numpy as np

from components.data.dataset import IGNORED, SegmentationData, Split

_SPACING_DIGITS = 6
_SAMPLE = 10_000  # pixels of an image that its percentiles are of


def summarize(data: SegmentationData) -> dict[str, Any]:
    """Counts, sizes, channels, class fractions, intensities and hash; plain values for a study's record.

    Returns:
        `fractions` are of the labelled pixels; `intensity` is that of the images as the network sees them, with the 1st
        and 99th percentile of a sample of their pixels; `spacing`, where files say it, is in mm along each axis, and
        case by case where cases differ.
    """
    return {
        "name": data.name,
        "mode": data.mode,
        "classes": list(data.classes),
        "cases": {name: len(split) for name, split in data.splits.items()},
        "groups": {name: len(set(split.groups)) for name, split in data.splits.items()},
        "channels": data.in_channels,
        "sizes": {name: _sizes(split) for name, split in data.splits.items() if len(split)},
        "fractions": {name: _fractions(data, split) for name, split in data.splits.items() if len(split)},
        "intensity": {name: _intensity(split) for name, split in data.splits.items() if len(split)},
        **_spacing(data),
        "ignored": {name: _ignored(split) for name, split in data.splits.items() if len(split)}
        if data.ignore
        else None,
        **data.facts,
        "fingerprint": data.fingerprint,
    }


def _spacing(data: SegmentationData) -> dict[str, Any]:
    described = {}
    for name, split in data.splits.items():
        if not split.spacings:
            continue
        spacings = np.array(split.spacings).round(_SPACING_DIGITS)
        described[name] = {
            "smallest": spacings.min(0).tolist(),
            "median": np.median(spacings, axis=0).tolist(),
            "largest": spacings.max(0).tolist(),
        }
        if (spacings != spacings[0]).any():
            described[name]["of_cases"] = dict(zip(split.cases, spacings.tolist(), strict=True))
    return {"spacing": described} if described else {}


def _sizes(split: Split) -> dict[str, list[int]]:
    sizes = np.array([image.shape[1:] for image in split.images])
    return {
        "smallest": sizes.min(0).tolist(),
        "median": np.median(sizes, axis=0).astype(int).tolist(),
        "largest": sizes.max(0).tolist(),
    }


def _fractions(data: SegmentationData, split: Split) -> dict[str, float]:
    fractions = {}
    for index, name in enumerate(data.foreground):
        labels = [mask if data.mode == "multiclass" else mask[index] for mask in split.masks]
        labelled = sum(int((label != IGNORED).sum()) for label in labels)
        found = sum(int(data.of_class(mask, index).sum()) for mask in split.masks)
        fractions[name] = round(found / max(labelled, 1), 6)
    return fractions


def _ignored(split: Split) -> float:
    return round(sum(int((mask == IGNORED).sum()) for mask in split.masks) / sum(mask.size for mask in split.masks), 6)


def _intensity(split: Split) -> dict[str, float]:
    """Over all pixels; case by case, so that the data is never copied as a whole."""
    count = sum(image.size for image in split.images)
    mean = sum(float(image.sum(dtype=np.float64)) for image in split.images) / count
    variance = sum(float(np.square(image.astype(np.float64) - mean).sum()) for image in split.images) / count
    sample = np.concatenate([image.ravel()[:: -(-image.size // _SAMPLE)] for image in split.images])
    low, high = np.percentile(sample, (1, 99))
    return {
        "min": round(min(float(image.min()) for image in split.images), 4),
        "max": round(max(float(image.max()) for image in split.images), 4),
        "mean": round(mean, 4),
        "deviation": round(variance**0.5, 4),
        "percentile_1": round(float(low), 4),
        "percentile_99": round(float(high), 4),
    }
