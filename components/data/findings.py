"""What about a data set is worth a warning."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from components.data.dataset import IGNORED, Image, SegmentationData, Split

_NEAR_EMPTY = 1e-3  # share of a mask's pixels; a handful of pixels is as often a slip of the mouse as an object
_MANY = 1000  # pixels of foreground; with so many Dice hangs on no single one, however large the volume
_MOST_FOREGROUND = {"binary": 0.5, "multiclass": 0.9}  # share of the labelled pixels; beyond, something may be swapped
_NAMED = 3  # cases named in a warning
_SPACING_RATIO = 1.5  # beyond, the same object is half as long again in voxels
_INTENSITY_RATIO = 10  # between the contrasts of two images as the network sees them


def find_warnings(data: SegmentationData) -> list[str]:
    """What a user should know before hours are spent on the data; one line each."""
    return [
        *_shared_groups(data),
        *_duplicates(data),
        *_absent_classes(data),
        *_thin_masks(data),
        *_full_masks(data),
        *_much_foreground(data),
        *_flat_images(data),
        *_different_scales(data),
        *_different_spacings(data),
    ]


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
        counts = [int(((mask > 0) & (mask != IGNORED)).sum()) for mask in split.masks]
        most = [min(_MANY, _NEAR_EMPTY * mask.size) for mask in split.masks]
        empty = [case for case, count in zip(split.cases, counts, strict=True) if count == 0]
        thin = [case for case, count, few in zip(split.cases, counts, most, strict=True) if 0 < count < few]
        if empty:
            yield f"{len(empty)} of {len(split)} {name} masks are empty ({_some(empty, 'case')})."
        if thin:
            yield (
                f"{len(thin)} of {len(split)} {name} masks have under {_NEAR_EMPTY:.1%} foreground "
                f"({_some(thin, 'case')}); their Dice hangs on a few pixels."
            )


def _full_masks(data: SegmentationData) -> Iterator[str]:
    """Binary masks without background; of several classes, scenes often have none."""
    for name, split in data.splits.items() if data.mode == "binary" else ():
        full = [case for case, mask in zip(split.cases, split.masks, strict=True) if (mask > 0).all()]
        if full:
            yield f"{len(full)} of {len(split)} {name} masks are all foreground ({_some(full, 'case')})."


def _much_foreground(data: SegmentationData) -> Iterator[str]:
    most = _MOST_FOREGROUND.get(data.mode)
    masks = [mask for split in data.splits.values() for mask in split.masks]
    labelled = sum(int((mask != IGNORED).sum()) for mask in masks)
    share = sum(int(((mask > 0) & (mask != IGNORED)).sum()) for mask in masks) / max(labelled, 1)
    if most is not None and share > most:
        yield f"{share:.0%} of the pixels are foreground; are foreground and background swapped?"


def _flat_images(data: SegmentationData) -> Iterator[str]:
    for name, split in data.splits.items():
        flat = [case for case, image in zip(split.cases, split.images, strict=True) if not np.ptp(image)]
        if flat:
            yield f"{len(flat)} of {len(split)} {name} images are of one single value ({_some(flat, 'case')})."


def _different_scales(data: SegmentationData) -> Iterator[str]:
    """Images that are not on one scale: they were not normalised each by itself, or some are nearly flat."""
    contrasts = {case: float(image.std()) for split in data.splits.values() for case, image in _cases(split)}
    shown = {case: contrast for case, contrast in contrasts.items() if contrast > 0}
    if not shown:
        return
    low, high = min(shown, key=shown.__getitem__), max(shown, key=shown.__getitem__)
    if shown[high] > _INTENSITY_RATIO * shown[low]:
        yield (
            f"intensities differ: their deviation is {shown[low]:.3g} in case {low} and {shown[high]:.3g} in case "
            f"{high}. Bring images to one scale, as data.normalize: zscore does."
        )


def _different_spacings(data: SegmentationData) -> Iterator[str]:
    found = {
        case: spacing
        for split in data.splits.values()
        for case, spacing in zip(split.cases, split.spacings, strict=False)
    }
    for axis in range(data.spatial_dims if found else 0):
        low = min(found, key=lambda case: found[case][axis])
        high = max(found, key=lambda case: found[case][axis])
        ratio = found[high][axis] / found[low][axis]
        if ratio > _SPACING_RATIO:
            yield (
                f"spacing along axis {axis + 1} differs {ratio:.3g} times, from {found[low][axis]:.3g} mm in case "
                f"{low} to {found[high][axis]:.3g} mm in case {high}: the same object has other sizes in voxels. "
                "Resample the volumes to one spacing."
            )


def _cases(split: Split) -> Iterator[tuple[str, Image]]:
    return zip(split.cases, split.images, strict=True)


def _some(names: list[str], what: str) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{what}{'s' if len(names) > 1 else ''} {', '.join(names[:_NAMED])}{more}"
