"""What the files of all masks together say: palettes by their colours, opacity, channels, white that is stored as 0."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np

from components.data.folder.stored_mask import Array, Colour, StoredMask
from components.errors import InvalidInputError

_BLACK = (0, 0, 0)
_SHOWN = 6


def settle(masks: Sequence[StoredMask]) -> tuple[list[Array], list[str]]:
    """Values of each mask once colours, opacity and channels are read, and what was decided, one sentence each.

    Args:
        masks: of all cases; what a file means depends on the others.

    Raises:
        InvalidInputError: files contradict each other; names two of them.
    """
    notes: list[str] = []
    found = list(masks)
    for step in (_by_opacity, _by_channels, _by_photometry, _by_drawing, _by_palette):
        found = step(found, notes)
    return [mask.labels for mask in found], notes


def _by_opacity(masks: list[StoredMask], notes: list[str]) -> list[StoredMask]:
    shaped = [mask for mask in masks if mask.shaped]
    if not shaped:
        return masks
    for mask in masks:
        if mask.opacity is None:
            raise InvalidInputError(
                f"data.masks: the shape of {shaped[0].path} is in its opacity (alpha channel), that of {mask.path} in "
                "its colours. Hint: save all masks alike, best as grey without an alpha channel."
            )
    notes.append(f"the shape is in the opacity (alpha channel) of {len(shaped)} of {len(masks)} masks")
    return [replace(mask, labels=mask.labels if mask.opacity is None else mask.opacity, palette=None) for mask in masks]


def _by_channels(masks: list[StoredMask], notes: list[str]) -> list[StoredMask]:
    kinds = {mask.channels: mask.path for mask in masks}
    if len(kinds) > 1:
        (kind, path), (other_kind, other) = list(kinds.items())[:2]
        said = {name: f"one channel per class, {name}" if name else "one value per class" for name in kinds}
        raise InvalidInputError(
            f"data.masks: {path} has {said[kind]}, {other} has {said[other_kind]}. Hint: save all masks with one value "
            "per class."
        )
    if "with background" in kinds:
        notes.append("masks have one channel per class: the number of the channel is the class, 0 the background")
    if "without background" in kinds:
        notes.append("masks have one channel per class: the first is class 1, a pixel without a mark is background")
    return masks


def _by_photometry(masks: list[StoredMask], notes: list[str]) -> list[StoredMask]:
    inverted = [mask for mask in masks if mask.white_is_0]
    if not inverted:
        return masks
    other = next((mask for mask in masks if not mask.white_is_0), None)
    if other:
        raise InvalidInputError(
            f"data.masks: {inverted[0].path} shows its 0 as white (WhiteIsZero), {other.path} as black; which is the "
            "background? Hint: save all masks alike."
        )
    full = max(int(mask.labels.max()) for mask in masks)
    if full not in (1, 255, 65535) or not all(np.isin(mask.labels, (0, full)).all() for mask in masks):
        notes.append("TIFF masks show 0 as white (WhiteIsZero); their values are read as they are stored")
        return masks
    notes.append("TIFF masks show 0 as white (WhiteIsZero): what is white is the foreground")
    return [replace(mask, labels=np.where(mask.labels == 0, full, 0)) for mask in masks]


def _by_drawing(masks: list[StoredMask], notes: list[str]) -> list[StoredMask]:
    colours = {mask.drawn: mask for mask in masks if mask.drawn}
    if len(colours) > 1:
        one, other = list(colours.values())[:2]
        raise InvalidInputError(
            f"data.masks: {one.path} is drawn in {_hex(one.drawn)}, {other.path} in {_hex(other.drawn)}. "
            "Hint: colours without a palette are no classes; save class indices as 8-bit grey PNG."
        )
    notes += [f"masks are drawn in {_hex(colour)} on black, which is the foreground" for colour in colours]
    return masks


def _by_palette(masks: list[StoredMask], notes: list[str]) -> list[StoredMask]:
    used = [(index, colour, mask) for mask in masks for index, colour in (mask.palette or {}).items()]
    if not used:
        return masks
    count = f"{sum(mask.palette is not None for mask in masks)} of {len(masks)} masks have a palette"
    colours = {colour for _, colour, _ in used}
    if all(len(set(colour)) == 1 for colour in colours):
        if any(index != colour[0] for index, colour, _ in used):
            notes.append(f"{count} of greys: the grey is the value (black 0, white 255), not its index")
        return [_recoloured(mask, lambda colour: colour[0]) for mask in masks]
    clash = _clash(used)
    if clash is None:
        _check_beside(masks, used)
        shown = dict(sorted({index: _hex(colour) for index, colour, _ in used}.items())[:_SHOWN])
        said = ", ".join(f"{index} {colour}" for index, colour in shown.items())
        notes.append(f"{count} of the same colours: the index is the value ({said})")
        return masks
    if len(colours) == 2 and _BLACK in colours and len(masks) == len({id(mask) for *_, mask in used}):  # noqa: PLR2004
        other = next(colour for colour in colours if colour != _BLACK)
        notes.append(f"{count} in different orders: black is background, {_hex(other)} foreground")
        return [_recoloured(mask, lambda colour: int(colour != _BLACK)) for mask in masks]
    raise InvalidInputError(f"data.masks: {clash} Hint: save all masks with one palette whose first colour is black.")


def _clash(used: Sequence[tuple[int, Colour, StoredMask]]) -> str | None:
    """Why indices cannot be classes; None where they can."""
    first: dict[int, tuple[Colour, StoredMask]] = {}
    for index, colour, mask in used:
        known, other = first.setdefault(index, (colour, mask))
        if known != colour:
            return f"palettes differ: index {index} is {_hex(known)} in {other.path} and {_hex(colour)} in {mask.path}."
    black = next(((index, mask) for index, colour, mask in used if colour == _BLACK and index), None)
    if black and 0 in first and first[0][0] != _BLACK:
        return (
            f"index {black[0]} is black in {black[1].path}, while index 0 is {_hex(first[0][0])} in "
            f"{first[0][1].path}; which is the background?"
        )
    return None


def _check_beside(masks: Sequence[StoredMask], used: Sequence[tuple[int, Colour, StoredMask]]) -> None:
    """Masks without a palette, beside those with one, must hold the same indices."""
    known = {0, *(index for index, *_ in used)}
    for mask in masks:
        if mask.palette is None and (strange := set(np.unique(mask.labels).tolist()) - known):
            raise InvalidInputError(
                f"data.masks: {used[0][2].path} has a palette, whose indices are the classes; {mask.path} has "
                f"none, and the value {min(strange)}. Hint: save all masks alike."
            )


def _recoloured(mask: StoredMask, value: Callable[[Colour], int]) -> StoredMask:
    if mask.palette is None:
        return mask
    table = np.zeros(max(chain((0,), mask.palette)) + 1, np.uint8)
    for index, colour in mask.palette.items():
        table[index] = value(colour)
    return replace(mask, labels=table[mask.labels])


def _hex(colour: Colour | None) -> str:
    return "#" + "".join(f"{part:02x}" for part in colour or _BLACK)
