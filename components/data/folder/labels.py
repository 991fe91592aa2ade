"""From the values of mask files to classes: which value means what, and what is no class at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.data.dataset import IGNORED
from components.errors import InvalidInputError
from components.metrics.dice import Mode

_MOST_CLASSES = 64  # more different values are instance numbers or a photograph, not classes
_FULL = 255  # the usual value of the foreground in a binary mask, beside 1
_SHOWN_VALUES = 8
_HINT = "name the values, as data.classes: {background: 0, vein: 128, artery: 255}"


@dataclass(frozen=True)
class Classes:
    """What the values of the masks mean.

    Attributes:
        mode: `binary` or `multiclass`.
        names: as in `SegmentationData.classes`.
        values: mask value of each class index, the background first.
        ignore: mask value of pixels without a label, or None.
    """

    mode: Mode
    names: tuple[str, ...]
    values: tuple[int, ...]
    ignore: int | None

    def encode(self, labels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Mask values `(*spatial)` to class indices; ignored pixels become 255; binary gets a channel axis."""
        codes = np.zeros(labels.shape, np.uint8)
        for index, value in enumerate(self.values):
            if index:
                codes[labels == value] = index
        if self.ignore is not None:
            codes[labels == self.ignore] = IGNORED
        return codes[None] if self.mode == "binary" else codes

    def strangers(self, values: Mapping[int, int]) -> dict[int, int]:
        """Of a mask's values and their pixel counts, those that are no class."""
        known = {*self.values} | ({self.ignore} if self.ignore is not None else set())
        return {value: count for value, count in values.items() if value not in known}


def count_values(path: Path, labels: npt.NDArray[Any]) -> dict[int, int]:
    """Pixels of each value of a mask.

    Raises:
        InvalidInputError: a value is no whole number.
    """
    if labels.dtype.kind == "f":
        odd = labels[~np.isfinite(labels) | (labels != np.round(labels))]
        if odd.size:
            raise InvalidInputError(f"{path}: found the value {odd[0]:g}; a mask holds whole numbers, one a class.")
    values, counts = np.unique(labels, return_counts=True)
    return {int(value): int(count) for value, count in zip(values, counts, strict=True)}


def decide_classes(found: set[int], classes: Sequence[str] | Mapping[str, int] | None, ignore: int | None) -> Classes:
    """Say what the values found in all masks mean.

    Args:
        found: values over all masks.
        classes: names in the order of the values, or the value of each name; None reads them from the masks: 0 and
            one other value is binary, 0, 1, 2, … are class indices.
        ignore: value without a label.

    Raises:
        InvalidInputError: the values leave it open which class is which, or the names contradict each other.
    """
    values = found - {ignore}
    if isinstance(classes, Mapping):
        return _named_values(classes, ignore)
    if classes is not None:
        return _named_in_order(list(classes), values, ignore)
    if not values - {0}:
        ignored = f" beside the ignored {ignore}" if ignore in found else ""
        raise InvalidInputError(
            f"data.masks: every mask is empty, the only value is 0{ignored}. Hint: is the foreground saved as 1 or 255?"
        )
    if ignore == 0:
        raise InvalidInputError("data.ignore: 0 is also the background. Hint: name the values in data.classes.")
    if len(values | {0}) == 2 and min(values) >= 0:  # noqa: PLR2004 - background and foreground
        return Classes("binary", ("foreground",), (0, max(values)), ignore)
    if len(values) > _MOST_CLASSES:
        raise InvalidInputError(
            f"data.masks: found {len(values)} different values; these look like instances or a lossy file, not "
            "classes. Hint: save one value a class, as PNG or TIFF; or name them in data.classes."
        )
    if values != set(range(len(values))):
        raise InvalidInputError(f"data.masks: found the values {listed(values)}; which is which? Hint: {_HINT}.")
    names = ("background", *(f"class_{index}" for index in range(1, len(values))))
    return Classes("multiclass", names, tuple(range(len(values))), ignore)


def listed(values: set[int]) -> str:
    """Some of the values, in order."""
    shown = sorted(values)
    more = f", … ({len(shown)} values)" if len(shown) > _SHOWN_VALUES else ""
    return ", ".join(map(str, shown[:_SHOWN_VALUES])) + more


def _named_in_order(names: list[str], values: set[int], ignore: int | None) -> Classes:
    _check_names(names)
    binary = len(names) <= 2  # noqa: PLR2004 - background and foreground
    of_values = ["background", names[-1]] if binary else names
    if ignore is not None and ignore < len(of_values):
        raise InvalidInputError(
            f"data.ignore: {ignore} is also the class {of_values[ignore]!r}. Hint: change one of them."
        )
    if binary:
        foreground = _FULL if _FULL in values and 1 not in values else 1
        return Classes("binary", (names[-1],), (0, foreground), ignore)
    return Classes("multiclass", tuple(names), tuple(range(len(names))), ignore)


def _named_values(classes: Mapping[str, int], ignore: int | None) -> Classes:
    named = dict(classes)
    if "background" not in named and 0 not in named.values():
        named = {"background": 0, **named}
    _check_names(list(named))
    if len(set(named.values())) < len(named):
        raise InvalidInputError(f"data.classes: two names have the same value in {dict(classes)}.")
    if ignore in named.values():
        raise InvalidInputError(f"data.ignore: {ignore} is also a class in {dict(classes)}. Hint: change one of them.")
    if len(named) == 1:
        raise InvalidInputError(f"data.classes: found {dict(classes)}; expected at least one besides the background.")
    background = "background" if "background" in named else next(name for name in named if named[name] == 0)
    ordered = {background: named[background], **named}
    if len(ordered) == 2:  # noqa: PLR2004 - background and foreground
        return Classes("binary", (list(ordered)[1],), tuple(ordered.values()), ignore)
    return Classes("multiclass", tuple(ordered), tuple(ordered.values()), ignore)


def _check_names(names: list[str]) -> None:
    if not names or len(set(names)) < len(names) or not all(names):
        raise InvalidInputError(f"data.classes: found {names}; expected names that differ, at least one.")
    if len(names) >= IGNORED:
        raise InvalidInputError(f"data.classes: found {len(names)} classes; at most {IGNORED - 1} are possible.")
