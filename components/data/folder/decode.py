"""Reads image and mask of every case of a folder; the problems of all of them come in one error."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from components.data.folder.axes import channels_first, mask_axes, shape_text
from components.data.folder.files import checked_volume, read_image
from components.data.folder.labels import count_values
from components.data.folder.meaning import settle
from components.data.folder.names import is_volume
from components.data.folder.nifti import check_same_grid
from components.data.folder.normalize import normalize_image
from components.data.folder.pairs import Pair
from components.data.folder.problems import Problems
from components.data.folder.stored_mask import StoredMask, read_mask, separated
from components.errors import InvalidInputError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Grid:
    """Where a volume's voxels were when it was stored.

    Attributes:
        orientation: where its axes ran to, such as `LPS`; they have been turned to RAS.
        spacing: mm between voxels along each axis of the mask as it is now.
    """

    orientation: str
    spacing: tuple[float, ...]


@dataclass(frozen=True)
class Case:
    """A decoded case.

    Attributes:
        pair: its files.
        image: `(C, *spatial)` float32, normalised.
        labels: values of the mask, `(*spatial)`.
        values: pixels of each mask value; empty before `counted`.
        digest: hash of the image as stored.
        stored: type of the stored image, its smallest and its largest value.
        grid: of a volume, how it was stored; None for images.
    """

    pair: Pair
    image: npt.NDArray[np.float32]
    labels: npt.NDArray[Any]
    digest: str
    stored: tuple[str, float, float]
    grid: Grid | None = None
    values: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Decoded:
    """The cases of a folder, before it is decided which value of the masks is which class.

    Attributes:
        cases: in the order of the pairs.
        notes: how the masks' files are read, one sentence each.
    """

    cases: list[Case]
    notes: list[str]


def read_cases(pairs: Sequence[Pair], normalize: str, *, fractions: bool = False) -> Decoded:
    """Decode every pair, and settle over all files how masks are read.

    Args:
        pairs: files of each case.
        normalize: as of `normalize_image`.
        fractions: whether masks may hold other values than whole numbers.

    Raises:
        InvalidInputError: a file does not decode, image and mask do not fit, images differ in channels or axes, or
            masks contradict each other.
        MissingExtraError: there are NIfTI volumes, and nibabel is not installed.
    """
    problems, read = Problems(), []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for result in pool.map(lambda pair: _read_case(pair, normalize, fractions=fractions), pairs):
            if isinstance(result, InvalidInputError):
                problems.add(str(result))
            else:
                read.append(result)
    _check_alike([case for case, _ in read], problems)
    problems.raise_if_any()
    labels, notes = settle([mask for _, mask in read])
    return Decoded(
        [replace(case, labels=found) for (case, _), found in zip(read, labels, strict=True)],
        notes,
    )


def counted(cases: Sequence[Case], threshold: float | None) -> list[Case]:
    """The cases with the pixels of each value of their masks.

    Args:
        cases: as decoded.
        threshold: values above it become 1, others 0; None leaves them as they are.

    Raises:
        InvalidInputError: a value is no whole number, or no mask has one above the threshold.
    """
    if threshold is not None:
        highest = max(float(case.labels.max()) for case in cases)
        if highest <= threshold:
            raise InvalidInputError(
                f"data.threshold: found {threshold:g}, but no mask has a value above {highest:g}. Hint: half of it."
            )
        cases = [replace(case, labels=(case.labels > threshold).astype(np.uint8)) for case in cases]
    return [replace(case, values=count_values(case.pair.mask, case.labels)) for case in cases]


def _read_case(pair: Pair, normalize: str, *, fractions: bool) -> tuple[Case, StoredMask] | InvalidInputError:
    try:
        image, mask, grid = _read_files(pair)
        if not fractions:
            count_values(pair.mask, mask.labels)
    except InvalidInputError as error:
        return error
    odd = int((~np.isfinite(image)).sum())
    if odd:
        return InvalidInputError(f"{pair.image}: {odd} pixels are NaN or infinite. Hint: fill them first.")
    content = np.ascontiguousarray(image)
    digest = hashlib.sha256(f"{image.dtype}|{image.shape}".encode() + content.tobytes()).hexdigest()
    stored = (str(image.dtype), float(image.min()), float(image.max()))
    return Case(pair, normalize_image(content, normalize), mask.labels, digest, stored, grid), mask


def _read_files(pair: Pair) -> tuple[Array, StoredMask, Grid | None]:
    """The image `(C, *spatial)`, the mask `(*spatial)`, and where they were."""
    if pair.more:
        return _read_channels(pair)
    volumes = [path for path in (pair.image, pair.mask) if is_volume(path)]
    if not volumes:
        stored = read_image(pair.image)
        found = read_mask(pair.mask, stored.shape)
        return channels_first(pair.image, stored, pair.mask, found.labels.shape), found, None
    if len(volumes) == 1:
        raise InvalidInputError(
            f"{pair.image}: of it and its mask {pair.mask} only {volumes[0].name} is NIfTI and says how it lies in "
            "space. Hint: save both as NIfTI, with one affine."
        )
    image, mask = checked_volume(pair.image), checked_volume(pair.mask)
    check_same_grid(image, mask)
    values, kind = separated(pair.mask, mask.array, image.array.shape)
    labels = mask_axes(pair.mask, values)
    channels = image.array if image.array.ndim > len(image.spacing) else image.array[..., None]
    channels = np.moveaxis(channels, -1, 0)
    spacing: tuple[float, ...] = image.spacing
    if labels.ndim < len(spacing):  # of a single slice one axis has fallen away
        spacing = spacing[1:] if len(mask.array) == 1 else spacing[:-1]
    grid = Grid(image.orientation, spacing)
    return channels.reshape(len(channels), *labels.shape), StoredMask(pair.mask, labels, channels=kind), grid


def _read_channels(pair: Pair) -> tuple[Array, StoredMask, Grid | None]:
    """As `_read_files`, of an image with one file per channel."""
    read = [_read_files(Pair(pair.stem, path, pair.mask)) for path in pair.images]
    for path, (image, _, _) in zip(pair.images, read, strict=True):
        if len(image) != 1:
            raise InvalidInputError(f"{path}: found {len(image)} channels in a file that is named as one channel.")
    return np.concatenate([image for image, _, _ in read]), read[0][1], read[0][2]


def _check_alike(cases: Sequence[Case], problems: Problems) -> None:
    """All images need the channels and axes that most of them have."""
    kinds = [(len(case.image), case.labels.ndim) for case in cases]
    usual = max(set(kinds), key=kinds.count, default=(0, 0))
    for case, kind in zip(cases, kinds, strict=True):
        if kind != usual:
            problems.add(
                f"{case.pair.image}: found {kind[0]} channel(s) of {shape_text(case.labels.shape)}, most images have "
                f"{usual[0]} channel(s) in {usual[1]}D. Hint: convert it, or take it out."
            )
