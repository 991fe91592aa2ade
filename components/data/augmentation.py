"""Augmentation of whole batches, on the device that trains, drawn from (seed, epoch) alone."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from components.errors import InvalidInputError

Batch = tuple[Tensor, Tensor]
Augmentation = Callable[[Tensor, Tensor, torch.Generator], Batch]
_LARGE_PRIME = 1_000_003  # keeps (seed, epoch) apart from (seed + 1, epoch - 1)


class StandardAugmentation:
    """Mirroring, right-angle turns and changes of intensity, each case on its own, without a loop over cases.

    Turns are of the last two axes, a quarter where they are equally long and a half otherwise. Intensities are
    multiplied by `1 ± contrast`, moved by `± brightness` and get Gaussian noise of a standard deviation up to `noise`,
    all in units of the images as they are, which is their standard deviation where they are normalised; these are
    three of nnU-Net's (Isensee et al. 2021), in the cheapest form.

    Args:
        contrast: largest change of the factor.
        brightness: largest change of the level.
        noise: largest standard deviation.

    Raises:
        InvalidInputError: a number is negative.

    Example:
        >>> images, masks = torch.zeros(4, 1, 8, 8), torch.zeros(4, 8, 8, dtype=torch.int64)
        >>> StandardAugmentation()(images, masks, torch.Generator().manual_seed(0))[0].shape
        torch.Size([4, 1, 8, 8])
    """

    def __init__(self, contrast: float = 0.25, brightness: float = 0.1, noise: float = 0.1) -> None:
        if min(contrast, brightness, noise) < 0:
            raise InvalidInputError(f"augmentation: found {contrast}, {brightness}, {noise}; none may be negative.")
        self._contrast, self._brightness, self._noise = contrast, brightness, noise

    def __call__(self, images: Tensor, masks: Tensor, generator: torch.Generator) -> Batch:
        """Return the batch, augmented.

        Args:
            images: `(B, C, *spatial)`, floating.
            masks: `(B, *spatial)` indices or `(B, C, *spatial)`.
            generator: on the CPU. Another device draws the noise itself, from a seed of this generator.
        """
        spatial = images.ndim - 2
        for axis in range(-spatial, 0):
            chosen = self._chosen(images, generator)
            images, masks = (_where(chosen, part.flip(axis), part) for part in (images, masks))
        if images.shape[-1] == images.shape[-2]:
            chosen = self._chosen(images, generator)
            images, masks = (_where(chosen, part.transpose(-1, -2), part) for part in (images, masks))
        return self._recoloured(images, generator), masks

    def _chosen(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return (torch.rand(len(images), generator=generator) < 0.5).to(images.device, non_blocking=True)  # noqa: PLR2004

    def _recoloured(self, images: Tensor, generator: torch.Generator) -> Tensor:
        spread = torch.rand(3, len(images), generator=generator).to(images, non_blocking=True)
        factor, level = 1 + self._contrast * (2 * spread[0] - 1), self._brightness * (2 * spread[1] - 1)
        noise = _normal(images, generator)
        axes = (-1, *[1] * (images.ndim - 1))
        return images * factor.view(axes) + level.view(axes) + noise * (self._noise * spread[2]).view(axes)


def augmented(
    batches: Iterable[Batch], augmentation: Augmentation, *, seed: int, epoch: int, device: torch.device | str = "cpu"
) -> Iterator[Batch]:
    """Batches on the device, augmented there.

    Args:
        batches: images and masks, as `training_batches` yields them.
        augmentation: `StandardAugmentation`, another callable of images, masks and a generator, or a dictionary
            transform of MONAI's, which is called with each case's `image` and `label`.
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


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal numbers, drawn where they are needed: as many as pixels are too many to send."""
    if like.device.type != "cpu":
        seed = int(torch.randint(2**62, (), generator=generator))
        generator = torch.Generator(like.device).manual_seed(seed)
    return torch.randn(like.shape, dtype=like.dtype, device=like.device, generator=generator)


def _where(chosen: Tensor, changed: Tensor, unchanged: Tensor) -> Tensor:
    return torch.where(chosen.view(-1, *[1] * (changed.ndim - 1)), changed, unchanged)


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
