"""Reads image and mask of every case of a folder; the problems of all of them come in one error."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.data.folder.axes import channels_first, mask_axes, shape_text
from components.data.folder.files import read_image, read_labels
from components.data.folder.labels import count_values
from components.data.folder.normalize import normalize_image
from components.data.folder.pairs import Pair
from components.data.folder.problems import Problems
from components.errors import InvalidInputError


@dataclass(frozen=True)
class Case:
    """A decoded case.

    Attributes:
        pair: its files.
        image: `(C, *spatial)` float32, normalised.
        labels: values of the mask, `(*spatial)`.
        values: pixels of each mask value.
        digest: hash of the image as stored.
        stored: type of the stored image, its smallest and its largest value.
    """

    pair: Pair
    image: npt.NDArray[np.float32]
    labels: npt.NDArray[Any]
    values: dict[int, int]
    digest: str
    stored: tuple[str, float, float]


def read_cases(pairs: Sequence[Pair], normalize: str) -> list[Case]:
    """Decode every pair.

    Args:
        pairs: files of each case.
        normalize: as of `normalize_image`.

    Raises:
        InvalidInputError: a file does not decode, image and mask do not fit, or images differ in channels or axes.
    """
    problems, cases = Problems(), []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for result in pool.map(lambda pair: _read_case(pair, normalize), pairs):
            if isinstance(result, Case):
                cases.append(result)
            else:
                problems.add(str(result))
    _check_alike(cases, problems)
    problems.raise_if_any()
    return cases


def _read_case(pair: Pair, normalize: str) -> Case | InvalidInputError:
    try:
        labels = mask_axes(pair.mask, read_labels(pair.mask))
        values = count_values(pair.mask, labels)
        image = channels_first(pair.image, read_image(pair.image), pair.mask, labels.shape)
    except InvalidInputError as error:
        return error
    odd = int((~np.isfinite(image)).sum())
    if odd:
        return InvalidInputError(f"{pair.image}: {odd} pixels are NaN or infinite. Hint: fill them first.")
    content = np.ascontiguousarray(image)
    digest = hashlib.sha256(f"{image.dtype}|{image.shape}".encode() + content.tobytes()).hexdigest()
    stored = (str(image.dtype), float(image.min()), float(image.max()))
    return Case(pair, normalize_image(content, normalize), labels, values, digest, stored)


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
