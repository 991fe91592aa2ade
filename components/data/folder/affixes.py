"""What all names of a folder share: an ending such as `_mask`, a beginning such as `mask_`, or numbers of channels."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

_SIGNS = "_-. "
_KNOWN = re.compile(
    r"[_\-. ]?(masks?|seg|segs|segmentations?|segmented|gt|ground_?truth|labels?|lbl|annotations?|annotated|manual\d?|"
    r"image|images|img|im|photo|training|test|target|truth|mask[_\-]?gt|roi)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Affix:
    """A part that all names share; empty for none.

    Attributes:
        text: in lower case.
        leads: whether names begin with it; else they end so.
    """

    text: str = ""
    leads: bool = False

    @property
    def shown(self) -> str:
        """With dots where the rest of the name stands."""
        return f"{self.text}…" if self.leads else f"…{self.text}"

    def cut(self, stem: str) -> str:
        """A stem without it."""
        folder, slash, name = stem.rpartition("/")
        return folder + slash + (name[len(self.text) :] if self.leads else name[: len(name) - len(self.text)])


def shared_affixes(images: Collection[str], masks: Collection[str]) -> tuple[Affix, Affix] | None:
    """What to leave out of the names of images and of masks so that more of them pair; None where nothing helps.

    A part that is a usual word (`_mask`, `_seg`) is enough if it pairs most cases; any other must pair them all.
    """
    best, most = None, len(set(images) & set(masks))
    for of_images in _candidates(images):
        for of_masks in _candidates(masks):
            cut = [{affix.cut(stem) for stem in stems} for affix, stems in ((of_images, images), (of_masks, masks))]
            if len(cut[0]) < len(images) or len(cut[1]) < len(masks) or "" in cut[0] | cut[1]:
                continue
            paired = len(cut[0] & cut[1])
            known = all(not affix.text or _KNOWN.fullmatch(affix.text.strip(_SIGNS)) for affix in (of_images, of_masks))
            if paired > most and (known or cut[0] == cut[1]):
                best, most = (of_images, of_masks), paired
    return best


def without_affixes(files: Mapping[str, Path], affix: Affix) -> dict[str, Path]:
    """The files by what is left of their stems."""
    return {affix.cut(stem): path for stem, path in files.items()}


def _candidates(stems: Collection[str]) -> list[Affix]:
    """Nothing, and every beginning or ending at a sign between words that all names share, in either case."""
    names = [stem.rpartition("/")[2].lower() for stem in stems]
    start = _common_start(names)
    end = _common_start([name[::-1] for name in names])[::-1]
    found = [Affix()]
    found += [Affix(end[index:]) for index, sign in enumerate(end) if sign in _SIGNS]
    found += [Affix(start[: index + 1], leads=True) for index, sign in enumerate(start) if sign in _SIGNS]
    return found


def _common_start(names: Collection[str]) -> str:
    first, last = min(names), max(names)  # what these two share, all between them share
    return first[: next((index for index, sign in enumerate(first) if last[index : index + 1] != sign), len(first))]
