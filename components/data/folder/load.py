"""A folder of images and masks as a data set."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from components.data.dataset import Mask, SegmentationData, Split
from components.data.folder.decode import Case, counted, read_cases
from components.data.folder.groups import groups_by_folder
from components.data.folder.labels import Classes, decide_over_files, listed
from components.data.folder.nifti import CANONICAL
from components.data.folder.pairs import pair_files
from components.data.folder.problems import Problems
from components.data.folder.soft_edges import propose_threshold
from components.data.folder.splits import DEFAULT_RATIO, Stems, read_split, split_by_ratio, split_in_folds
from components.data.folder.stored_mask import is_lossy
from components.errors import InvalidInputError

SPLIT_FILE = "split.json"
_LOSSY = "JPEG changes values; save masks as PNG"
Grouping = Callable[[Sequence[str]], dict[str, str]]


@dataclass(frozen=True)
class Folder:
    """The decoded cases of a folder.

    Attributes:
        root: the folder.
        classes: what the masks' values mean.
        cases: by stem.
        masks: encoded, by stem.
        notes: how files found each other, and what was decided on the meaning of the masks, one sentence each.
    """

    root: Path
    classes: Classes
    cases: dict[str, Case]
    masks: dict[str, Mask]
    notes: tuple[str, ...]

    def data(self, parts: Stems, groups: Mapping[str, str]) -> SegmentationData:
        """The data set with these stems in train, val and test."""
        classes = self.classes
        return SegmentationData(
            name=self.root.resolve().name,
            mode=classes.mode,
            classes=classes.names,
            train=self._split(parts["train"], groups),
            val=self._split(parts["val"], groups),
            test=self._split(parts["test"], groups),
            ignore=classes.ignore is not None,
            facts=self._facts(set(chain.from_iterable(parts.values()))),
        )

    def _split(self, stems: Sequence[str], groups: Mapping[str, str]) -> Split:
        return Split(
            images=[self.cases[stem].image for stem in stems],
            masks=[self.masks[stem] for stem in stems],
            cases=tuple(stems),
            groups=tuple(groups[stem] for stem in stems),
            stored_digests=tuple(self.cases[stem].digest for stem in stems),
            spacings=self._spacings(stems),
        )

    def _spacings(self, stems: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        """Of each case, where all files say."""
        found = tuple(grid.spacing for stem in stems if (grid := self.cases[stem].grid))
        return found if len(found) == len(stems) else ()

    def _facts(self, used: set[str]) -> dict[str, Any]:
        files = max(len(case.pair.images) for case in self.cases.values())
        types, smallest, largest = zip(*(case.stored for case in self.cases.values()), strict=True)
        return {
            "mask_values": list(self.classes.values),
            "mask_meaning": [self.classes.describe(), *self.notes],
            **({"files_per_image": files} if files > 1 else {}),
            "stored_types": sorted(set(types)),
            "stored_range": [min(smallest), max(largest)],
            "unused_cases": len(self.cases.keys() - used),
            **self._orientation(),
        }

    def _orientation(self) -> dict[str, Any]:
        """Of volumes: how they were stored, and how they are used."""
        stored = Counter(case.grid.orientation for case in self.cases.values() if case.grid)
        return {"orientation": {"used": CANONICAL, "stored": dict(sorted(stored.items()))}} if stored else {}


def open_folder(
    root: Path,
    *,
    images: str = "images",
    masks: str = "masks",
    classes: Sequence[str] | Mapping[str, int] | None = None,
    ignore: int | None = None,
    normalize: str = "zscore",
    threshold: float | None = None,
) -> Folder:
    """Read and check every image and mask of a folder.

    Args:
        root: folder that holds `images` and `masks`, files of the same stem.
        images: folder of the images, relative to root: PNG, JPEG, TIFF or NPY; 8 bit, 16 bit or float; channels as
            colour samples or as pages; or NIfTI volumes, which are turned to RAS.
        masks: folder of the masks.
        classes: names in the order of the values, or the value of each name; None reads them from the masks.
        ignore: mask value of pixels without a label.
        normalize: as of `normalize_image`.
        threshold: of masks whose edges are soft: what is above it is foreground.

    Raises:
        InvalidInputError: lists every problem, each with its file; where masks contradict each other, two of them.

    Example:
        >>> open_folder(Path("nuclei")).classes.names  # doctest: +SKIP
        ('foreground',)
    """
    pairing = pair_files(root, images, masks)
    decoded = read_cases(pairing.pairs, normalize, fractions=threshold is not None)
    found = _counted(decoded.cases, classes, ignore, threshold)
    meaning, notes = _decide(found, classes, ignore)
    cases = {case.pair.stem: case for case in found}
    cut = [f"masks are cut at {threshold:g} (data.threshold): above it is 1"] if threshold is not None else []
    _check_strangers(found, meaning)
    encoded = {stem: meaning.encode(case.labels) for stem, case in cases.items()}
    return Folder(root, meaning, cases, encoded, (*pairing.notes, *decoded.notes, *cut, *notes))


def split_folder(
    folder: Folder,
    *,
    split: str | None = None,
    ratio: Sequence[float] | None = None,
    seed: int = 0,
    grouping: Grouping | None = None,
    folds: int | None = None,
) -> list[SegmentationData]:
    """Deal a folder's cases to splits or folds.

    Args:
        folder: as `open_folder` gives it.
        split: JSON file with the stems of each split, relative to the folder; by default `split.json` if there is one.
        ratio: shares of train, val and test where there is no such file.
        seed: of the split by ratio, and of the folds.
        grouping: from stems to the group of each; by default its sub-folder, or the case itself.
        folds: number of folds that train and val together are dealt to; test stays apart.

    Returns:
        One data set; or one a fold, which validates on it and trains on the others. All share their arrays.

    Raises:
        InvalidInputError: the split does not fit the folder.
    """
    stems = list(folder.cases)
    groups = (grouping or groups_by_folder)(stems)
    file = folder.root / (split or SPLIT_FILE)
    if split or (ratio is None and file.exists()):
        parts = read_split(file, stems)
    else:
        parts = split_by_ratio(groups, ratio or DEFAULT_RATIO, seed)
    if folds is None:
        return [folder.data(parts, groups)]
    dealt = split_in_folds({stem: groups[stem] for stem in (*parts["train"], *parts["val"])}, folds, seed)
    return [
        folder.data(
            {
                "train": sorted(chain.from_iterable(other for other in dealt if other is not fold)),
                "val": fold,
                "test": parts["test"],
            },
            groups,
        )
        for fold in dealt
    ]


def _counted(
    cases: Sequence[Case],
    classes: Sequence[str] | Mapping[str, int] | None,
    ignore: int | None,
    threshold: float | None,
) -> list[Case]:
    if threshold is None:
        return counted(cases, None)
    if isinstance(classes, Mapping) or len(classes or ()) > 2 or ignore is not None:  # noqa: PLR2004 - binary
        raise InvalidInputError(
            "data.threshold: makes masks of 0 and 1, so that data.classes may hold one or two names without "
            "values, and data.ignore none. Hint: keep the threshold or these."
        )
    return counted(cases, threshold)


def _decide(
    cases: Sequence[Case], classes: Sequence[str] | Mapping[str, int] | None, ignore: int | None
) -> tuple[Classes, list[str]]:
    try:
        return decide_over_files({case.pair.mask: case.values for case in cases}, classes, ignore)
    except InvalidInputError as error:
        if classes is None:
            raise InvalidInputError(f"{error}{_soft_hint(cases)}") from error
        raise


def _soft_hint(cases: Sequence[Case]) -> str:
    """What helps where the masks are black and white with soft edges."""
    hint = _threshold_hint(cases) or (_LOSSY if any(is_lossy(case.pair.mask) for case in cases) else None)
    return f" Or: {hint}." if hint else ""


def _threshold_hint(cases: Sequence[Case]) -> str | None:
    lossy = any(is_lossy(case.pair.mask) for case in cases)
    threshold = propose_threshold([case.labels for case in cases], lossy=lossy)
    if threshold is None:
        return None
    return f"the masks seem to be black and white with soft edges; data.threshold: {threshold:g} cuts them"


def _check_strangers(cases: Sequence[Case], classes: Classes) -> None:
    found = [(case, *item) for case in cases for item in classes.strangers(case.values).items()]
    soft = _threshold_hint(cases) if found else None
    problems = Problems()
    for case, value, count in found:
        problems.add(_stranger(case, value, count, classes, soft))
    problems.raise_if_any()


def _stranger(case: Case, value: int, count: int, classes: Classes, soft: str | None) -> str:
    hint = soft or (
        _LOSSY
        if is_lossy(case.pair.mask)
        else "add it to data.classes, or name it in data.ignore if it marks pixels without a label"
    )
    return (
        f"{case.pair.mask}: the value {value} ({count} pixels) is none of the classes' values "
        f"{listed(set(classes.values))}. Hint: {hint}."
    )
