"""Looks at a folder that nobody has described yet, and proposes how to read it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from components.data.folder.decode import Case, read_cases
from components.data.folder.groups import groups_by_folder, groups_by_table
from components.data.folder.labels import Classes
from components.data.folder.load import SPLIT_FILE
from components.data.folder.pairs import pair_files
from components.data.folder.proposal import propose_meaning
from components.data.folder.tables import read_table, stem_in_table
from components.errors import InvalidInputError
from components.image_reader import is_image_file

_IMAGE_NAMES = ("images", "image", "imgs", "img", "inputs", "photos", "x", "imagestr")
_MASK_NAMES = ("masks", "mask", "labels", "label", "annotations", "segmentations", "gt", "y", "labelstr")
_GROUP_COLUMNS = ("group", "patient", "patient_id", "subject", "subject_id", "specimen", "case_id")
_STEM_COLUMNS = ("stem", "case", "case_id", "image", "image_id", "filename", "file", "name", "id")


@dataclass(frozen=True)
class Survey:
    """What was seen in a folder.

    Attributes:
        root: the folder.
        images: name of the folder of images in it.
        masks: name of the folder of masks.
        cases: decoded, in the order of their stems.
        classes: what the masks' values seem to mean.
        threshold: where the masks' edges are soft, the value that cuts them; the cases' masks are cut already.
        notes: how files found each other, and why masks are read so, one sentence each.
        has_split: whether there is a split.json.
        group: a table in the folder, and the columns in it that seem to name groups and stems.
    """

    root: Path
    images: str
    masks: str
    cases: list[Case]
    classes: Classes
    threshold: float | None
    notes: tuple[str, ...]
    has_split: bool
    group: tuple[str, str, str] | None

    @property
    def groups(self) -> int:
        """Number of groups of cases that stay in one split: of the table, of sub-folders, or the cases themselves."""
        stems = [case.pair.stem for case in self.cases]
        if self.group is None:
            return len(set(groups_by_folder(stems).values()))
        file, column, stem = self.group
        return len(set(groups_by_table(stems, self.root / file, column, stem).values()))

    @property
    def sizes(self) -> list[tuple[int, ...]]:
        """Spatial sizes that occur, smallest first."""
        return sorted({case.labels.shape for case in self.cases})

    def shares(self) -> dict[int, float]:
        """Share of the pixels that each mask value has."""
        pixels: Counter[int] = Counter()
        for case in self.cases:
            pixels.update(case.values)
        return {value: count / pixels.total() for value, count in sorted(pixels.items())}


def survey_folder(root: Path) -> Survey:
    """Look at a folder of images and masks.

    Args:
        root: holds a folder of images and one of masks, by one of the usual names.

    Raises:
        InvalidInputError: the folders are not found, or their files have problems; lists them.
    """
    images, masks = _find_folders(root)
    pairing = pair_files(root, images, masks)
    decoded = read_cases(pairing.pairs, "none", fractions=True)
    meaning = propose_meaning(decoded.cases)
    return Survey(
        root,
        images,
        masks,
        meaning.cases,
        meaning.classes,
        meaning.threshold,
        (*pairing.notes, *decoded.notes, *meaning.notes),
        (root / SPLIT_FILE).exists(),
        _find_group(meaning.cases, root),
    )


def _find_folders(root: Path) -> tuple[str, str]:
    inside = {} if not root.is_dir() else {path.name.lower(): path.name for path in root.iterdir() if path.is_dir()}
    images = next((inside[name] for name in _IMAGE_NAMES if name in inside), None)
    masks = next((inside[name] for name in _MASK_NAMES if name in inside), None)
    if images and masks:
        return images, masks
    if not root.is_dir():
        raise InvalidInputError(f"{root}: no such folder.")
    loose = sum(is_image_file(path) for path in root.iterdir())
    seen = ", ".join(sorted(inside.values())) or "no folder"
    raise InvalidInputError(
        f"{root}: found {seen}" + (f" and {loose} image files" if loose else "") + ", expected images/ and masks/ with "
        "files of the same stem. Hint: name the folders so, or write data.images and data.masks into a study file."
    )


def _find_group(cases: Sequence[Case], root: Path) -> tuple[str, str, str] | None:
    stems = {case.pair.stem for case in cases}
    for path in sorted(root.glob("*.[ct]sv")):
        try:
            columns, rows = read_table(path, "data.group.csv")
        except InvalidInputError:
            continue
        of_stems = next(
            (
                name
                for name in _STEM_COLUMNS
                if name in columns and stems <= {stem_in_table(row[name]) for _, row in rows}
            ),
            None,
        )
        column = next((name for name in _GROUP_COLUMNS if name in columns and name != of_stems), None)
        if column and of_stems:
            return path.name, column, of_stems
    return None
