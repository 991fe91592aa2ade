"""From the values of mask files to classes: which value means what, and what is no class at all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.data.dataset import IGNORED
from components.errors import InvalidInputError
from components.metrics.dice import Mode

_MOST_CLASSES = 64  # more different values are instance numbers or a photograph, not classes
_FULL = 255  # the usual value of the foreground in a binary mask, beside 1
_FULL_SCALE = (1, _FULL, 65535)  # what programs save as "on"
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
        also: further values of the foreground of a binary mask, where files differ in what they save as "on".
    """

    mode: Mode
    names: tuple[str, ...]
    values: tuple[int, ...]
    ignore: int | None
    also: tuple[int, ...] = ()

    def describe(self) -> str:
        """Which value is what, such as `0 background, 255 nucleus`."""
        names = ("background", *self.names) if self.mode == "binary" else self.names
        said = [f"{value} {name}" for value, name in zip(self.values, names, strict=True)]
        said += [f"{value} {names[-1]}" for value in self.also]
        return ", ".join(said + ([] if self.ignore is None else [f"{self.ignore} without a label"]))

    def encode(self, labels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Mask values `(*spatial)` to class indices; ignored pixels become 255; binary gets a channel axis."""
        codes = np.zeros(labels.shape, np.uint8)
        for index, value in enumerate(self.values):
            if index:
                codes[labels == value] = index
        for value in self.also:
            codes[labels == value] = 1
        if self.ignore is not None:
            codes[labels == self.ignore] = IGNORED
        return codes[None] if self.mode == "binary" else codes

    def strangers(self, values: Mapping[int, int]) -> dict[int, int]:
        """Of a mask's values and their pixel counts, those that are no class."""
        known = {*self.values, *self.also} | ({self.ignore} if self.ignore is not None else set())
        return {value: count for value, count in values.items() if value not in known}


def count_values(path: Path, labels: npt.NDArray[Any]) -> dict[int, int]:
    """Pixels of each value of a mask.

    Raises:
        InvalidInputError: a value is no whole number.
    """
    if labels.dtype.kind == "f":
        odd = labels[~np.isfinite(labels) | (labels != np.round(labels))]
        if odd.size:
            half = f"{np.nanmax(labels) / 2:g}" if np.isfinite(labels).all() else "0.5"
            raise InvalidInputError(
                f"{path}: found the value {odd[0]:g}; a mask holds whole numbers, one per class. "
                f"Hint: if its edges are soft, data.threshold: {half} cuts them."
            )
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


def decide_over_files(
    files: Mapping[Path, Mapping[int, int]], classes: Sequence[str] | Mapping[str, int] | None, ignore: int | None
) -> tuple[Classes, list[str]]:
    """As `decide_classes`, seeing also which values stand together in one file.

    Args:
        files: pixels of each value, by file.
        classes: as of `decide_classes`.
        ignore: as of `decide_classes`.

    Returns:
        The classes, and what was decided beyond the plain reading, one sentence each.

    Raises:
        InvalidInputError: as `decide_classes`; where files contradict each other, two of them are named.
    """
    found = {value for values in files.values() for value in values}
    named = isinstance(classes, Mapping) or (classes is not None and len(classes) > 2)  # noqa: PLR2004 - not binary
    on = found - {0}
    if named or ignore is not None or len(on) < 2 or not on <= {*_FULL_SCALE}:  # noqa: PLR2004 - two that differ
        try:
            return decide_classes(found, classes, ignore), _ignored_apart(files, ignore)
        except InvalidInputError as error:
            apart = two_apart(files, lambda value: value not in (0, ignore)) if classes is None else None
            raise InvalidInputError(f"{error} {apart}" if apart else str(error)) from error
    both = next((path for path, values in files.items() if len(on & values.keys()) > 1), None)
    if both:
        apart = two_apart(files, lambda value: value != 0)
        raise InvalidInputError(
            f"data.masks: found the values {listed(found)}; {both} holds {listed(on & files[both].keys())} together. "
            f"{apart + ' ' if apart else ''}Which is the foreground? Hint: write data.ignore: {max(on)} if these "
            f"pixels have no label; or {_HINT}."
        )
    names = list(classes or ["foreground"])
    _check_names(names)
    held = ", ".join(f"{value} in {sum(value in values for values in files.values())}" for value in sorted(on))
    note = f"no mask holds two of the values {listed(on)} ({held}): all of them are read as foreground"
    return Classes("binary", (names[-1],), (0, max(on)), None, also=tuple(sorted(on - {max(on)}))), [note]


def two_apart(files: Mapping[Path, Mapping[int, int]], counts: Callable[[int], bool]) -> str | None:
    """Names two files of which none has a value of the other; None where there are no such two.

    Args:
        files: pixels of each value, by file.
        counts: whether a value says something, as that of the background does not.
    """
    kinds = {frozenset(filter(counts, values)): path for path, values in reversed(list(files.items()))}
    for one, other in combinations(sorted(filter(None, kinds), key=min), 2):
        if not one & other:
            return f"{kinds[one]} holds {listed(set(one))}, {kinds[other]} holds {listed(set(other))}."
    return None


def _ignored_apart(files: Mapping[Path, Mapping[int, int]], ignore: int | None) -> list[str]:
    """A note where the ignored value seems to be the foreground of some files."""
    if ignore is None:
        return []
    alone = [path for path, values in files.items() if ignore in values and not values.keys() - {0, ignore}]
    if not alone or 2 * len(alone) < sum(ignore in values for values in files.values()):
        return []
    some = f"{len(alone)} masks hold it and no class, such as {alone[0].name}"
    return [f"{ignore} is ignored (data.ignore), yet {some}: is it their foreground?"]


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
