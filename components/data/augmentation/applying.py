"""An augmentation sent over the batches of an epoch, and what it gives back checked."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from components.data.augmentation.drawing import Augmentation, Batch
from components.errors import InvalidInputError

_LARGE_PRIME = 1_000_003  # keeps (seed, epoch) apart from (seed + 1, epoch - 1)


def augmented(
    batches: Iterable[Batch], augmentation: Augmentation, *, seed: int, epoch: int, device: torch.device | str = "cpu"
) -> Iterator[Batch]:
    """Batches on the device, augmented there.

    Args:
        batches: images and masks, as `training_batches` yields them.
        augmentation: `StandardAugmentation`, `StrongAugmentation`, another callable of images, masks and a generator,
            or a dictionary transform of MONAI's, which is called with each case's `image` and `label`.
        seed: training seed.
        epoch: with `seed` it decides everything.
        device: that trains.

    Raises:
        InvalidInputError: what came back does not fit the batch.
    """
    generator = torch.Generator().manual_seed(seed * _LARGE_PRIME + epoch)
    apply = _per_case(augmentation) if _is_monai(augmentation) else augmentation
    for images, masks in batches:
        found = apply(images.to(device, non_blocking=True), masks.to(device, non_blocking=True), generator)
        yield _checked(found, images, masks)


def _is_monai(augmentation: object) -> bool:
    return any(base.__module__.startswith("monai.transforms") for base in type(augmentation).__mro__)


def _per_case(transform: Any) -> Augmentation:
    """A dictionary transform, seeded before each batch, called for each case."""

    def apply(images: Tensor, masks: Tensor, generator: torch.Generator) -> Batch:
        if hasattr(transform, "set_random_state"):
            transform.set_random_state(seed=int(torch.randint(2**31, (), generator=generator)))
        indices = masks.ndim == images.ndim - 1
        found = [
            transform({"image": image, "label": mask[None] if indices else mask})
            for image, mask in zip(images, masks, strict=True)
        ]
        changed = torch.stack([torch.as_tensor(case["image"]) for case in found])
        labels = torch.stack([torch.as_tensor(case["label"]) for case in found]).to(masks.dtype)
        return changed.as_subclass(Tensor), (labels[:, 0] if indices else labels).as_subclass(Tensor)

    return apply


def _checked(found: Any, images: Tensor, masks: Tensor) -> Batch:
    """Sizes may change, together; numbers of cases, channels and axes may not."""
    if isinstance(found, tuple) and len(found) == 2 and all(isinstance(part, Tensor) for part in found):  # noqa: PLR2004
        changed, labels = found
        leading = masks.ndim - images.ndim + 2  # axes before the spatial ones
        fits = changed.shape[:2] == images.shape[:2] and labels.shape[:leading] == masks.shape[:leading]
        if fits and changed.shape[2:] == labels.shape[leading:] and labels.dtype == masks.dtype:
            return changed, labels
        text = f"images {tuple(changed.shape)} and masks {tuple(labels.shape)} {labels.dtype}"
    else:
        text = type(found).__name__
    raise InvalidInputError(
        f"augment: found {text} for images {tuple(images.shape)} and masks {tuple(masks.shape)} {masks.dtype}. "
        "Hint: return images and masks, of the same sizes as each other, with cases, channels and dtypes as they came."
    )
