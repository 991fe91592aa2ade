"""A decoded data set: three splits of images and masks, and what they mean."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from components.errors import InvalidInputError
from components.metrics.dice import Mode


@dataclass(frozen=True)
class Split:
    """Cases of one split; arrays may be read-only views of memory that trials share.

    Attributes:
        images: `(N, C, *spatial)` float32.
        masks: class indices `(N, *spatial)` uint8 for multiclass, else 0/1 `(N, C, *spatial)` uint8.
        cases: name of each case.
        groups: independent unit of each case (patient, specimen, block of neighbouring slices).
    """

    images: npt.NDArray[np.float32]
    masks: npt.NDArray[np.uint8]
    cases: tuple[str, ...]
    groups: tuple[str, ...]

    def __post_init__(self) -> None:
        lengths = {len(self.images), len(self.masks), len(self.cases), len(self.groups)}
        if len(lengths) != 1:
            raise InvalidInputError(
                f"a split needs one mask, case and group for each image: found {len(self.images)} images, "
                f"{len(self.masks)} masks, {len(self.cases)} cases, {len(self.groups)} groups."
            )

    def __len__(self) -> int:
        return len(self.cases)


@dataclass(frozen=True)
class SegmentationData:
    """Train, validation and test split with the meaning of their masks.

    Attributes:
        name: what the data is called in plans and reports.
        classes: foreground class names; for multiclass the background (index 0) is named first.
        mode: `binary`, `multilabel` or `multiclass`.

    Raises:
        InvalidInputError: a split is empty, a group stands in two splits, or a class is missing in validation.
    """

    name: str
    mode: Mode
    classes: tuple[str, ...]
    train: Split
    val: Split
    test: Split

    def __post_init__(self) -> None:
        self._check_splits()
        self._check_classes()

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
        return int(self.train.images.shape[1])

    @property
    def spatial_dims(self) -> int:
        """2 for images, 3 for volumes."""
        return self.train.images.ndim - 2

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over shapes, pixels, masks, case names and splits: equal data, equal fingerprint."""
        digest = hashlib.sha256(f"{self.mode}|{self.classes}".encode())
        for name, split in self.splits.items():
            digest.update(f"{name}|{split.cases}|{split.groups}".encode())
            for array in (split.images, split.masks):
                digest.update(f"{array.dtype}|{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def _check_splits(self) -> None:
        for name, split in self.splits.items():
            if not len(split):
                raise InvalidInputError(f"data {self.name!r}: the {name} split is empty.")
        splits = list(self.splits.items())
        for index, (name, split) in enumerate(splits):
            for other_name, other in splits[index + 1 :]:
                shared = sorted(set(split.groups) & set(other.groups))
                if shared:
                    raise InvalidInputError(
                        f"data {self.name!r}: group(s) {shared[:3]} stand in both {name} and {other_name}; "
                        "scores would be too good. Hint: keep a group in one split."
                    )

    def _check_classes(self) -> None:
        for index, name in enumerate(self.foreground):
            masks = self.val.masks == index + 1 if self.mode == "multiclass" else self.val.masks[:, index] > 0
            if not masks.any():
                raise InvalidInputError(
                    f"data {self.name!r}: class {name!r} occurs in no validation mask, so its Dice is undefined. "
                    "Hint: move a case with it to the validation split."
                )
