"""A decoded data set: three splits of images and masks, and what they mean."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from components.errors import InvalidInputError
from components.metrics.dice import Mode

IGNORED = 255  # in a decoded mask: a pixel without a label
Image = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Cases of one split; arrays may be read-only views of memory that trials share, and are copied if not contiguous.

    Attributes:
        images: one `(C, *spatial)` float32 a case; sizes may differ.
        masks: class indices `(*spatial)` uint8 for multiclass, else 0/1 `(C, *spatial)` uint8; 255 where the data has
            pixels without a label.
        cases: name of each case.
        groups: independent unit of each case (patient, specimen, block of neighbouring slices).
        stored_digests: hash of each image as it was stored, where it came from a file.
        spacings: mm between the pixels of each case along each axis, where its file says.

    Raises:
        InvalidInputError: numbers of entries differ, or a mask has not its image's size.
    """

    images: Sequence[Image]
    masks: Sequence[Mask]
    cases: tuple[str, ...]
    groups: tuple[str, ...]
    stored_digests: tuple[str, ...] = ()
    spacings: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        # Trials share only arrays that lie in one piece; others would be copied into each of their processes.
        object.__setattr__(self, "images", tuple(map(np.ascontiguousarray, self.images)))
        object.__setattr__(self, "masks", tuple(map(np.ascontiguousarray, self.masks)))
        lengths = {len(self.images), len(self.masks), len(self.cases), len(self.groups)}
        if len(lengths) != 1:
            raise InvalidInputError(
                f"a split needs one mask, case and group for each image: found {len(self.images)} images, "
                f"{len(self.masks)} masks, {len(self.cases)} cases, {len(self.groups)} groups."
            )
        if len(self.stored_digests) not in (0, len(self)):
            raise InvalidInputError(f"a split of {len(self)} cases: found {len(self.stored_digests)} digests.")
        if len(self.spacings) not in (0, len(self)):
            raise InvalidInputError(f"a split of {len(self)} cases: found {len(self.spacings)} spacings.")
        for case, image, mask in zip(self.cases, self.images, self.masks, strict=True):
            if mask.shape[mask.ndim - image.ndim + 1 :] != image.shape[1:]:
                raise InvalidInputError(f"case {case}: found an image {image.shape} and a mask {mask.shape}.")

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def digests(self) -> tuple[str, ...]:
        """What identifies each image: the hash of its file's content, or else of its pixels."""
        return self.stored_digests or tuple(_digest(image) for image in self.images)

    @cached_property
    def known_foreground(self) -> dict[int, tuple[Positions, ...]]:
        """Where the foreground of a case is; `components.data.foreground` looks once and keeps it here."""
        return {}

    @property
    def sizes(self) -> set[tuple[int, ...]]:
        """Spatial sizes that occur."""
        return {image.shape[1:] for image in self.images}


@dataclass(frozen=True)
class SegmentationData:
    """Train, validation and test split with the meaning of their masks.

    Attributes:
        name: what the data is called in plans and reports.
        classes: foreground class names; for multiclass the background (index 0) is named first.
        mode: `binary`, `multilabel` or `multiclass`.
        train: cases that train.
        val: cases that decide.
        test: cases that nobody looks at before the end; may be empty.
        ignore: whether masks may hold 255, a pixel without a label.
        facts: what else is worth recording of where the data came from; plain values.

    Raises:
        InvalidInputError: train or val is empty, images differ in channels or dimensions, a mask has other axes than
            its mode or values that are no class, or there is no foreground in train or in val.
    """

    name: str
    mode: Mode
    classes: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    ignore: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("train", "val"):
            if not len(self.splits[name]):
                raise InvalidInputError(f"data {self.name!r}: the {name} split is empty.")
        self._check_axes()
        self._check_masks()
        for name in ("train", "val"):
            if not any(self.present(self.splits[name])):
                raise InvalidInputError(
                    f"data {self.name!r}: no foreground ({', '.join(self.foreground)}) anywhere in {name}. "
                    "Hint: are the masks empty, or is the split lopsided?"
                )

    @property
    def splits(self) -> dict[str, Split]:
        """The splits by name."""
        return {"train": self.train, "val": self.val, "test": self.test}

    @property
    def foreground(self) -> tuple[str, ...]:
        """Names of the classes that are scored."""
        return self.classes[1:] if self.mode == "multiclass" else self.classes

    @property
    def in_channels(self) -> int:
        """Channels of an image."""
        return int(self.train.images[0].shape[0])

    @property
    def spatial_dims(self) -> int:
        """2 for images, 3 for volumes."""
        return self.train.images[0].ndim - 1

    @property
    def ignore_index(self) -> int | None:
        """Mask value of pixels without a label, or None."""
        return IGNORED if self.ignore else None

    @cached_property
    def scored(self) -> tuple[bool, ...]:
        """Whether each foreground class occurs in a validation mask; the others have no Dice."""
        return self.present(self.val)

    def of_class(self, mask: Mask, index: int) -> npt.NDArray[np.bool_]:
        """Pixels of a mask that belong to a foreground class, `(*spatial)`."""
        chosen: npt.NDArray[np.bool_] = mask == index + 1 if self.mode == "multiclass" else mask[index] == 1
        return chosen

    def present(self, split: Split) -> tuple[bool, ...]:
        """Whether each foreground class occurs in a split."""
        return tuple(
            any(self.of_class(mask, index).any() for mask in split.masks) for index in range(len(self.foreground))
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over images, masks, case names and splits: equal data, equal fingerprint."""
        digest = hashlib.sha256(f"{self.mode}|{self.classes}|{self.ignore}".encode())
        for name, split in self.splits.items():
            digest.update(f"{name}|{split.cases}|{split.groups}|{split.digests}".encode())
            if split.spacings:
                digest.update(f"{split.spacings}".encode())
            for mask in split.masks:
                digest.update(_digest(mask).encode())
        return digest.hexdigest()

    def _check_axes(self) -> None:
        first = self.train.images[0]
        for split in self.splits.values():
            for case, image in zip(split.cases, split.images, strict=True):
                if image.ndim != first.ndim or len(image) != len(first):
                    raise InvalidInputError(
                        f"data {self.name!r}: case {case} has shape {image.shape}, case {self.train.cases[0]} "
                        f"{first.shape}. Hint: all need the same number of channels and dimensions."
                    )

    def _check_masks(self) -> None:
        indices = self.mode == "multiclass"
        largest = len(self.classes) - 1 if indices else 1
        for split in self.splits.values():
            for case, image, mask in zip(split.cases, split.images, split.masks, strict=True):
                expected = image.shape[1:] if indices else (len(self.classes), *image.shape[1:])
                if mask.shape != expected:
                    raise InvalidInputError(
                        f"data {self.name!r}: case {case} has a mask of shape {mask.shape}; expected {expected} for "
                        f"{len(self.classes)} classes in mode {self.mode!r}."
                    )
                odd = mask[(mask > largest) & ~(self.ignore & (mask == IGNORED))]
                if odd.size:
                    raise InvalidInputError(
                        f"data {self.name!r}: case {case} has the mask value {odd[0]}; expected 0 to {largest}"
                        + (f", or {IGNORED} for no label." if self.ignore else ".")
                    )


def _digest(array: npt.NDArray[Any]) -> str:
    content = hashlib.sha256(f"{array.dtype}|{array.shape}".encode())
    content.update(np.ascontiguousarray(array).data)
    return content.hexdigest()
