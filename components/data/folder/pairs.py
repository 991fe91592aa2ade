"""Finds the image and the mask of each case: the files of the same stem."""

import difflib
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from components.data.folder.affixes import shared_affixes, without_affixes
from components.data.folder.names import stem_of
from components.data.folder.problems import Problems
from components.image_reader import SUFFIXES, find_image_files, is_image_file, split_channels

Files = dict[str, Path]


@dataclass(frozen=True)
class Pair:
    """The files of one case.

    Attributes:
        stem: names the case; the path below the folder of images, without suffix, Unicode composed.
        image: the file of the image, or of its first channel.
        mask: the file of the mask.
        more: files of the further channels, where an image has one file per channel.
    """

    stem: str
    image: Path
    mask: Path
    more: tuple[Path, ...] = ()

    @property
    def images(self) -> tuple[Path, ...]:
        """All files of the image, one per channel or a single one."""
        return (self.image, *self.more)


@dataclass(frozen=True)
class Pairing:
    """The cases of a folder, and how their files found each other.

    Attributes:
        pairs: in the order of their stems.
        notes: what was recognised beyond equal stems, one sentence each.
    """

    pairs: list[Pair]
    notes: tuple[str, ...] = ()


def find_pairs(root: Path, images: str = "images", masks: str = "masks") -> list[Pair]:
    """Pair the files of two folders; see `pair_files`."""
    return pair_files(root, images, masks).pairs


def pair_files(root: Path, images: str = "images", masks: str = "masks") -> Pairing:
    """Pair the files of two folders and their sub-folders by stem.

    Hidden files and those of other kinds are passed over. Stems are compared with Unicode composed (NFC). Where they do
    not fit, an ending or beginning that all masks (or all images) share, such as `_mask`, is left out; and images of
    one file per channel (`case_0000`, `case_0001`, as nnU-Net has them) become one case.

    Args:
        root: folder that holds both.
        images: folder of the images, relative to root.
        masks: folder of the masks, relative to root.

    Raises:
        InvalidInputError: a folder is missing or empty, a stem stands twice or has no partner; lists every problem.
    """
    folders = {"images": root / images, "masks": root / masks}
    problems = Problems()
    if not root.is_dir():
        problems.add(
            f"data.root: {root}: no such folder. Hint: a relative path starts at the study file; of a study whose data "
            "have moved, name the new place with -s data.root=FOLDER."
        )
        problems.raise_if_any()
    for name, folder in folders.items():
        if not folder.is_dir():
            problems.add(_missing_folder(root, name, folder))
    problems.raise_if_any()
    found = {name: _by_stem(folder, problems) for name, folder in folders.items()}
    pictures, labels, notes = _matched(found["images"], found["masks"])
    _compare(pictures, labels, "mask", folders["masks"], problems)
    _compare(labels, pictures, "image", folders["images"], problems)
    _check_channels(pictures, problems)
    problems.raise_if_any()
    pairs = [Pair(stem, files[0], labels[stem][0], tuple(files[1:])) for stem, files in sorted(pictures.items())]
    return Pairing(pairs, tuple(notes))


def _matched(images: Files, masks: Files) -> tuple[dict[str, list[Path]], dict[str, list[Path]], list[str]]:
    """Files of each case, once what all names share is left out."""
    plain = {stem: [path] for stem, path in images.items()}, {stem: [path] for stem, path in masks.items()}
    if not images or not masks or images.keys() == masks.keys():
        return *plain, []
    if (channels := split_channels(images)) and len(channels.keys() & masks.keys()) > len(images.keys() & masks.keys()):
        count = max(map(len, channels.values()))
        return channels, plain[1], [f"Images have one file per channel (_0000, …): {count} per case."]
    affixes = shared_affixes(images.keys(), masks.keys())
    if affixes is None:
        return *plain, []
    left_out = [
        f"{affix.shown!r} of all {name}" for name, affix in zip(("images", "masks"), affixes, strict=True) if affix.text
    ]
    cut = [without_affixes(files, affix) for files, affix in zip((images, masks), affixes, strict=True)]
    return *({stem: [path] for stem, path in files.items()} for files in cut), [  # type: ignore[return-value]
        f"Names are compared without {' and '.join(left_out)}."
    ]


def _check_channels(images: dict[str, list[Path]], problems: Problems) -> None:
    """Every case needs as many files as the others."""
    counts = Counter(map(len, images.values()))
    usual = counts.most_common(1)[0][0] if counts else 0
    for files in images.values():
        if len(files) != usual:
            names = ", ".join(path.name for path in files)
            problems.add(
                f"{files[0]}: {len(files)} channel file(s) ({names}), most cases have {usual}. "
                "Hint: add or remove files."
            )


def _missing_folder(root: Path, name: str, folder: Path) -> str:
    inside = ", ".join(sorted(path.name for path in root.iterdir() if path.is_dir())) or "no folder"
    return f"data.{name}: {folder}: no such folder. Hint: {root} has {inside}; name it in data.{name}."


def _by_stem(folder: Path, problems: Problems) -> Files:
    files: Files = {}
    for path in find_image_files(folder):
        if path.is_symlink() and not path.exists():
            problems.add(f"{path}: a link to {path.readlink()}, which does not exist. Hint: repair or remove it.")
            continue
        stem = unicodedata.normalize("NFC", (path.relative_to(folder).parent / stem_of(path)).as_posix())
        if stem in files:
            problems.add(_twice(path, files[stem]))
        files.setdefault(stem, path)
    if not files:
        problems.add(f"{folder}: no image in it. Hint: {', '.join(SUFFIXES)} can be read.")
    return files


def _twice(path: Path, other: Path) -> str:
    if stem_of(path) != stem_of(other):
        return (
            f"{path}: {other.name!r} looks the same, but one name is composed Unicode (NFC) and the other decomposed "
            "(NFD). Hint: keep one of the two."
        )
    return f"{path}: {other.name} has the same stem. Hint: keep one of the two."


def _compare(
    files: dict[str, list[Path]], others: dict[str, list[Path]], missing: str, folder: Path, problems: Problems
) -> None:
    if not others:
        return
    for stem, (path, *_) in files.items():
        if stem not in others:
            hint = "" if problems.full else _why_alone(stem, others, missing, folder)
            problems.add(f"{path}: no {missing} of this stem in {folder}.{hint and f' Hint: {hint}'}")


def _why_alone(stem: str, others: dict[str, list[Path]], missing: str, folder: Path) -> str:
    """What may be the matter with a file that has no partner; empty where nothing is near."""
    last = stem.rpartition("/")[2]
    for other, (path, *_) in others.items():
        if other.casefold() == stem.casefold():
            return f"{path.name} differs in upper and lower case only; image and mask need the same stem."
        if other.rpartition("/")[2] == last:
            return f"{path.relative_to(folder)} has that name in another sub-folder; both need the same one."
    place = folder / stem
    for path in sorted(place.parent.glob("*")) if place.parent.is_dir() else []:
        if path.name.startswith(f"{last}.") and not is_image_file(path):
            return f"{path.name} is there, but {path.suffix} cannot be read; {', '.join(SUFFIXES)} can be."
    near = difflib.get_close_matches(stem, others, n=1, cutoff=0.8)
    if not near:
        return ""
    end = f" no ending is shared by all {missing}s, which could be left out;" if near[0].startswith(stem) else ""
    return f"{others[near[0]][0].name} is near;{end} image and mask need the same stem."
