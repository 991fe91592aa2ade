"""Finds the image and the mask of each case: the files of the same stem."""

import difflib
from dataclasses import dataclass
from pathlib import Path

from components.data.folder.names import stem_of
from components.data.folder.problems import Problems
from components.image_reader import SUFFIXES, is_image_file


@dataclass(frozen=True)
class Pair:
    """The files of one case."""

    stem: str
    image: Path
    mask: Path


def find_pairs(root: Path, images: str = "images", masks: str = "masks") -> list[Pair]:
    """Pair the files of two folders by stem; hidden files and those of other kinds are passed over.

    Args:
        root: folder that holds both.
        images: folder of the images, relative to root.
        masks: folder of the masks, relative to root.

    Returns:
        Pairs in the order of their stems.

    Raises:
        InvalidInputError: a folder is missing or empty, a stem stands twice or has no partner; lists every problem.
    """
    folders = {"images": root / images, "masks": root / masks}
    problems = Problems()
    if not root.is_dir():
        problems.add(f"data.root: {root}: no such folder. Hint: a relative path starts at the study file.")
        problems.raise_if_any()
    for name, folder in folders.items():
        if not folder.is_dir():
            problems.add(_missing_folder(root, name, folder))
    problems.raise_if_any()
    found = {name: _by_stem(folder, problems) for name, folder in folders.items()}
    _compare(found["images"], found["masks"], "mask", folders["masks"], problems)
    _compare(found["masks"], found["images"], "image", folders["images"], problems)
    problems.raise_if_any()
    return [Pair(stem, found["images"][stem], found["masks"][stem]) for stem in sorted(found["images"])]


def _missing_folder(root: Path, name: str, folder: Path) -> str:
    inside = ", ".join(sorted(path.name for path in root.iterdir() if path.is_dir())) or "no folder"
    return f"data.{name}: {folder}: no such folder. Hint: {root} has {inside}; name it in data.{name}."


def _by_stem(folder: Path, problems: Problems) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in sorted(path for path in folder.iterdir() if is_image_file(path) and path.is_file()):
        stem = stem_of(path)
        if stem in files:
            problems.add(f"{path}: {files[stem].name} has the same stem. Hint: keep one of the two.")
        files.setdefault(stem, path)
    if not files:
        problems.add(f"{folder}: no image in it. Hint: {', '.join(SUFFIXES)} can be read.")
    return files


def _compare(files: dict[str, Path], others: dict[str, Path], missing: str, folder: Path, problems: Problems) -> None:
    if not others:
        return
    for stem, path in files.items():
        if stem not in others:
            near = [] if problems.full else difflib.get_close_matches(stem, others, n=1, cutoff=0.8)
            hint = f" Hint: {others[near[0]].name} is near; image and mask need the same stem." if near else ""
            problems.add(f"{path}: no {missing} of this stem in {folder}.{hint}")
