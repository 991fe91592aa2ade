"""The masks that candidate losses are compared on, from whatever the user has."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from components.errors import InvalidInputError
from components.losses._checks import require_known
from components.losses.channels import kept, one_hot
from components.losses.inputs import MODES, Mode, prepare
from components.mask_policy import MaskPolicy

if TYPE_CHECKING:
    from components.data import Split

_PAIR = 2
_FEWEST_CLASSES = 2
_EXPECTED = "masks (tensor, array or batches of them), (images, masks) batches, a Split or SegmentationData"


@dataclass(frozen=True)
class MaskBatch:
    """One batch of masks and what they mean.

    Attributes:
        target: as `components.losses.inputs.prepare` describes it.
        truth: the same as `(B, C, *spatial)` float32, one channel a class, 0 at ignored pixels.
        valid: False at ignored pixels; None when no index is ignored.
        images: `(B, channels, *spatial)`, where the data have them.
        mode: what the channels mean.
        ignore_index: value of target pixels that do not count, or None.
    """

    target: Tensor
    truth: Tensor
    valid: Tensor | None
    images: Tensor | None
    mode: Mode
    ignore_index: int | None

    @property
    def foreground(self) -> Tensor:
        """Where there is foreground, bool `(B, C, *spatial)`; for exclusive classes in all channels of a pixel."""
        if self.mode == "multiclass":
            return (self.truth[:, 1:].sum(1, keepdim=True) > 0).expand_as(self.truth)
        return self.truth > 0.5  # noqa: PLR2004 - a soft label counts as what it is nearer to


def take_batch(
    data: Any,
    *,
    mode: Mode | None,
    ignore_index: int | None,
    cases: int,
    crop: int | Sequence[int] | None,
    foreground: float,
    seed: int,
    device: torch.device,
) -> MaskBatch:
    """Take the first cases of the data, or random crops of them where the data are a split.

    Raises:
        InvalidInputError: the data are none of what is expected, contradict the mode, or hold values that are no label.
    """
    from components.data import SegmentationData, Split  # noqa: PLC0415 - its metric needs this package

    classes = None
    if isinstance(data, SegmentationData):
        if mode not in (None, data.mode):
            raise InvalidInputError(f"mode: found {mode!r}, but data {data.name!r} are {data.mode!r}. Hint: leave out.")
        classes, mode, ignore_index = len(data.classes), data.mode, data.ignore_index
        data = data.train
    images: Tensor | None
    if isinstance(data, Split):
        mode = mode or _mode_of(data)
        images, target = _from_split(data, cases, crop, foreground, seed)
    elif crop is not None:
        raise InvalidInputError("crop: only a Split or SegmentationData is cropped. Hint: crop the masks yourself.")
    else:
        images, target = _from_batches(data, cases)
    mode = mode or "binary"
    require_known("mode", mode, MODES)
    return _checked(target.to(device), None if images is None else images.to(device), mode, ignore_index, classes)


def _mode_of(split: "Split") -> Mode:
    if split.masks[0].ndim < split.images[0].ndim:
        return "multiclass"
    return "binary" if len(split.masks[0]) == 1 else "multilabel"


def _from_split(
    split: "Split", cases: int, crop: int | Sequence[int] | None, foreground: float, seed: int
) -> tuple[Tensor, Tensor]:
    from components.data import training_batches  # noqa: PLC0415 - as above

    if crop is None and len(split.sizes) > 1:
        crop = [min(sizes) for sizes in zip(*split.sizes, strict=True)]
    return next(
        training_batches(split, size=cases, seed=seed, epoch=1, augment="none", crop=crop, foreground=foreground)
    )


def _from_batches(data: Any, cases: int) -> tuple[Tensor | None, Tensor]:
    # A list of two tensors is two batches of masks; a pair of images and masks is a tuple.
    alone = hasattr(data, "shape") or (isinstance(data, tuple) and _is_pair(data))
    batches = [data] if alone else data
    if not isinstance(batches, Iterable) or isinstance(batches, str | bytes | dict):
        raise InvalidInputError(f"data: found {type(data).__name__}; expected {_EXPECTED}.")
    pairs: list[tuple[Tensor | None, Tensor]] = []
    for batch in islice(batches, cases):
        images, target = batch if _is_pair(batch) else (None, batch)
        pairs.append((None if images is None else _tensor(images), _tensor(target)))
        if sum(len(part) for _, part in pairs) >= cases:
            break
    if not pairs:
        raise InvalidInputError(f"data: found none; expected {_EXPECTED}.")
    if len({target.shape[1:] for _, target in pairs}) > 1:
        sizes = sorted({tuple(target.shape[1:]) for _, target in pairs})
        raise InvalidInputError(f"data: found masks of different shapes, {sizes[0]} and {sizes[1]}. Hint: crop them.")
    whole = all(images is not None for images, _ in pairs)
    images = torch.cat([images for images, _ in pairs if images is not None])[:cases] if whole else None
    return images, torch.cat([target for _, target in pairs])[:cases]


def _is_pair(batch: Any) -> bool:
    return isinstance(batch, tuple | list) and len(batch) == _PAIR and all(hasattr(part, "shape") for part in batch)


def _tensor(values: Any) -> Tensor:
    try:
        return torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInputError(f"data: found {type(values).__name__}; expected {_EXPECTED}.") from error


def _checked(
    target: Tensor, images: Tensor | None, mode: Mode, ignore_index: int | None, classes: int | None
) -> MaskBatch:
    _check_values(target, mode, ignore_index, classes)
    if mode == "multiclass":
        labels = target if ignore_index is None else target[target != ignore_index]
        channels = classes or max(int(labels.max()) + 1 if labels.numel() else 0, _FEWEST_CLASSES)
        logits = torch.zeros(len(target), channels, *target.shape[1:], device=target.device)
    else:
        bare = mode == "binary" and target.ndim > 1 and target.shape[1] != 1
        logits = torch.zeros(target.unsqueeze(1).shape if bare else target.shape, device=target.device)
    _, indices, valid = prepare(logits, target, mode, MaskPolicy(ignore_index=ignore_index))
    truth = kept(one_hot(indices, logits), valid, 0.0) if mode == "multiclass" else indices
    return MaskBatch(target, truth, valid, images, mode, ignore_index)


def _check_values(target: Tensor, mode: Mode, ignore_index: int | None, classes: int | None) -> None:
    largest = 1 if mode != "multiclass" else (classes - 1 if classes else None)
    counted = target if ignore_index is None else target[target != ignore_index]
    if counted.numel() == 0:
        raise InvalidInputError("data: found no pixel that is not ignored. Hint: is ignore_index the right value?")
    low, high = counted.min().item(), counted.max().item()
    if low < 0 or (largest is not None and high > largest):
        expected = "class indices from 0" if largest is None else f"0 to {largest}"
        raise InvalidInputError(
            f"data: found mask values from {low:g} to {high:g}; mode {mode!r} expects {expected}. "
            "Hint: divide masks of 0 and 255 by 255, or name the value without a label as ignore_index."
        )
