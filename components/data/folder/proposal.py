"""What masks that nobody has described seem to mean: classes, pixels without a label, soft edges, instance numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.data.folder.decode import Case, counted
from components.data.folder.labels import Classes, decide_classes, decide_over_files, listed, two_apart
from components.data.folder.soft_edges import propose_threshold
from components.data.folder.stored_mask import is_lossy
from components.errors import InvalidInputError

_IGNORED = 255  # by custom, beside class indices
_MOST_INDEX = 32  # class indices are smaller, greys larger
_LEAST_GREY = 64
_MOST_NAMED = 32  # classes that are proposed by value
_INSTANCES = 10  # objects in one image from which on values 1, 2, 3, … of no fixed number count objects
_ABOVE_0 = 0.5
_FULL_SCALE = {1, 255, 65535}

Files = Mapping[Path, Mapping[int, int]]


@dataclass(frozen=True)
class Meaning:
    """What is proposed.

    Attributes:
        cases: with the pixels of each value of their masks, cut at the threshold.
        classes: what each value means.
        threshold: values above it are foreground; None where masks are not cut.
        notes: why, one sentence each.
    """

    cases: list[Case]
    classes: Classes
    threshold: float | None
    notes: tuple[str, ...]


def propose_meaning(cases: Sequence[Case]) -> Meaning:
    """Propose what the masks' values mean.

    Args:
        cases: decoded, of a folder.

    Raises:
        InvalidInputError: masks are all empty, or they contradict each other; names two of them.
    """
    threshold, why = _threshold(cases)
    found = counted(cases, threshold)
    files = {case.pair.mask: case.values for case in found}
    values = {value for case in found for value in case.values}
    if threshold is None and _are_instances(files):
        threshold, why = _ABOVE_0, "values are 1, 2, 3, … of no fixed number, as objects are numbered"
        found = counted(cases, threshold)
        files = {case.pair.mask: case.values for case in found}
    if threshold is not None:
        classes, notes = decide_over_files(files, None, None)
        return Meaning(found, classes, threshold, (f"{why}: above {threshold:g} is foreground", *notes))
    classes, notes = _classes(files, values)
    return Meaning(found, classes, None, tuple(notes))


def _threshold(cases: Sequence[Case]) -> tuple[float | None, str]:
    lossy = any(is_lossy(case.pair.mask) for case in cases)
    threshold = propose_threshold([case.labels for case in cases], lossy=lossy)
    return threshold, "masks are black and white " + ("with the noise of JPEG" if lossy else "with soft edges")


def _are_instances(files: Files) -> bool:
    """Whether each mask counts its objects from 1 on, with another number of them in each."""
    numbers = [set(values) - {0} for values in files.values()]
    counts = {len(found) for found in numbers}
    return (
        max(counts, default=0) >= _INSTANCES
        and len(counts) > 2  # noqa: PLR2004 - the same classes in all, or one less in some
        and all(found == set(range(1, len(found) + 1)) for found in numbers)
    )


def _classes(files: Files, found: set[int]) -> tuple[Classes, list[str]]:
    on = found - {0}
    if len(on) < 2 or (on <= _FULL_SCALE and not _holds_two(files, on)):  # noqa: PLR2004 - nothing to tell apart
        return decide_over_files(files, None, None)
    others = on - {_IGNORED}
    if _IGNORED in on and max(others) < _MOST_INDEX:
        _check_ignored(files, others)
        classes = _by_order_or_value(others | ({0} & found), _IGNORED)
        return classes, [f"{_IGNORED} beside class indices marks, by custom, pixels without a label"]
    _check_scales(files, on)
    if len(on) > _MOST_NAMED or on == set(range(1, len(on) + 1)):
        return decide_over_files(files, None, None)
    return _by_order_or_value(found, None), [f"values {listed(found)} do not count from 0: one class per value"]


def _by_order_or_value(found: set[int], ignore: int | None) -> Classes:
    if found == set(range(len(found))):
        return decide_classes(found, None, ignore)
    return decide_classes(
        found, {f"class_{value}" if value else "background": value for value in sorted(found)}, ignore
    )


def _check_ignored(files: Files, classes: set[int]) -> None:
    """255 has no label only where it stands beside classes, not where it is all that a mask holds."""
    holding = {path: values for path, values in files.items() if _IGNORED in values}
    alone = [path for path, values in holding.items() if not classes & values.keys()]
    if 2 * len(alone) > len(holding):
        other = next(path for path, values in files.items() if classes & values.keys())
        raise InvalidInputError(
            f"data.masks: {alone[0]} holds {_IGNORED} and no other class, {other} holds "
            f"{listed(classes & files[other].keys())}; is {_IGNORED} a class, or no label? Hint: name the values in "
            f"data.classes, or write data.ignore: {_IGNORED}."
        )


def _check_scales(files: Files, on: set[int]) -> None:
    """One set of masks has one scale: class indices or greys; and a value means the same in all of them."""
    small, large = {value for value in on if value < _MOST_INDEX}, {value for value in on if value >= _LEAST_GREY}
    scales = small and large and not any(small & values.keys() and large & values.keys() for values in files.values())
    single = on != set(range(1, len(on) + 1)) and not _holds_two(files, on)
    apart = two_apart(files, lambda value: value in (small | large if scales else on)) if scales or single else None
    if apart:
        raise InvalidInputError(
            f"data.masks: {apart} Do these values mean the same? Hint: save all masks alike; or name what each value "
            "is, as data.classes: {background: 0, vein: 128, artery: 255}."
        )


def _holds_two(files: Files, on: set[int]) -> bool:
    return any(len(on & values.keys()) > 1 for values in files.values())
