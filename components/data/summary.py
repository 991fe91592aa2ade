"""What a data set looks like in numbers, and what about it is worth a warning."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np

from components.data.dataset import IGNORED, SegmentationData, Split

_NEAR_EMPTY = 1e-3  # share of a mask's pixels; a handful of pixels is as often a slip of the mouse as an object
_NAMED = 3  # cases named in a warning


def summarize(data: SegmentationData) -> dict[str, Any]:
    """Counts, sizes, channels, class fractions, intensities and hash; plain values for a study's record.

    Returns:
        `fractions` are of the labelled pixels; `intensity` is that of the images as the network sees them.
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
        "ignored": {name: _ignored(split) for name, split in data.splits.items() if len(split)}
        if data.ignore
        else None,
        **data.facts,
        "fingerprint": data.fingerprint,
    }


def find_warnings(data: SegmentationData) -> list[str]:
    """What a user should know before hours are spent on the data; one line each."""
    return [*_shared_groups(data), *_duplicates(data), *_absent_classes(data), *_thin_masks(data), *_flat_images(data)]


def _shared_groups(data: SegmentationData) -> Iterator[str]:
    for (name, split), (other_name, other) in combinations(data.splits.items(), 2):
        shared = sorted(set(split.groups) & set(other.groups))
        if shared:
            yield (
                f"{_some(shared, 'group')} in both {name} and {other_name}: {other_name} scores will be too good. "
                "Keep a group in one split."
            )


def _duplicates(data: SegmentationData) -> Iterator[str]:
    seen: dict[str, tuple[str, str]] = {}
    pairs: dict[tuple[str, str], list[str]] = {}
    for name, split in data.splits.items():
        for case, digest in zip(split.cases, split.digests, strict=True):
            first, other = seen.setdefault(digest, (name, case))
            if (first, other) != (name, case):
                pairs.setdefault((first, name), []).append(f"{other} = {case}")
    for (first, name), found in pairs.items():
        if first == name:
            yield f"the same image more than once in {name}: {_some(found, 'pair')}."
        else:
            yield f"the same image in {first} and {name}: {_some(found, 'pair')}; {name} scores will be too good."


def _absent_classes(data: SegmentationData) -> Iterator[str]:
    in_train = data.present(data.train)
    for name, scored, trained in zip(data.foreground, data.scored, in_train, strict=True):
        if not scored:
            yield f"class {name!r} occurs in no validation mask: it has no Dice and does not count in the objective."
        if not trained:
            yield f"class {name!r} occurs in no training mask: the network cannot learn it."


def _thin_masks(data: SegmentationData) -> Iterator[str]:
    for name, split in data.splits.items():
        shares = [float(np.mean((mask > 0) & (mask != IGNORED))) for mask in split.masks]
        empty = [case for case, share in zip(split.cases, shares, strict=True) if share == 0]
        thin = [case for case, share in zip(split.cases, shares, strict=True) if 0 < share < _NEAR_EMPTY]
        if empty:
            yield f"{len(empty)} of {len(split)} {name} masks are empty ({_some(empty, 'case')})."
        if thin:
            yield (
                f"{len(thin)} of {len(split)} {name} masks have under {_NEAR_EMPTY:.1%} foreground "
                f"({_some(thin, 'case')}); their Dice hangs on a few pixels."
            )


def _flat_images(data: SegmentationData) -> Iterator[str]:
    for name, split in data.splits.items():
        flat = [case for case, image in zip(split.cases, split.images, strict=True) if not np.ptp(image)]
        if flat:
            yield f"{len(flat)} of {len(split)} {name} images are of one single value ({_some(flat, 'case')})."


def _some(names: list[str], what: str) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{what}{'s' if len(names) > 1 else ''} {', '.join(names[:_NAMED])}{more}"


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
    return {
        "min": round(min(float(image.min()) for image in split.images), 4),
        "max": round(max(float(image.max()) for image in split.images), 4),
        "mean": round(mean, 4),
        "deviation": round(variance**0.5, 4),
    }
