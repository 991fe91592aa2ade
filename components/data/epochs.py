"""The batches of every epoch of a training: held on the device where they fit, augmented there."""

from collections.abc import Iterator, Sequence

import torch

from components.data.augmentation import Augmentation, augmented
from components.data.batches import Batch, training_batches
from components.data.dataset import Split
from components.data.on_device import hold_on_device


class EpochBatches:
    """Training batches by epoch.

    Args:
        split: cases to draw from.
        size: cases a batch.
        seed: training seed.
        device: that trains; a GPU holds the cases if they fit, and otherwise gets them from page-locked memory.
        augment: `none` or `flip`, as in `training_batches`, where there is no `augmentation`.
        augmentation: of whole batches, on the device.
        crop: as in `training_batches`.
        divisor: as in `training_batches`.
        foreground: as in `training_batches`.
        steps: of the optimiser in an epoch, each of `accumulate` batches; None: one pass over the cases.
        accumulate: batches of a step.
        join_single: as in `training_batches`.
        mirror: as in `training_batches`.

    Example:
        >>> batches = EpochBatches(data.train, size=8, seed=0, device="cpu", crop=128)  # doctest: +SKIP
        >>> for images, masks in batches.of(epoch=1): ...  # doctest: +SKIP
    """

    def __init__(
        self,
        split: Split,
        *,
        size: int,
        seed: int,
        device: torch.device | str,
        augment: str = "none",
        augmentation: Augmentation | None = None,
        crop: int | Sequence[int] | None = None,
        divisor: int = 1,
        foreground: float = 0.0,
        steps: int | None = None,
        accumulate: int = 1,
        join_single: bool = False,
        mirror: Sequence[int] | None = None,
    ) -> None:
        self._split, self._size, self._seed, self._device = split, size, seed, torch.device(device)
        self._augment, self._augmentation = "none" if augmentation else augment, augmentation
        self._crop, self._divisor, self._foreground = crop, divisor, foreground
        self._batches = None if steps is None else steps * accumulate
        self._join_single, self._mirror = join_single, mirror
        self._held = hold_on_device(split, self._device, crop=crop, divisor=divisor)

    def of(self, epoch: int) -> Iterator[Batch]:
        """Batches of an epoch, from 1; the same whenever they are asked for.

        Raises:
            InvalidInputError: as of `training_batches` and `augmented`.
        """
        batches = training_batches(
            self._split,
            size=self._size,
            seed=self._seed,
            epoch=epoch,
            augment=self._augment,
            crop=self._crop,
            divisor=self._divisor,
            foreground=self._foreground,
            batches=self._batches,
            held=self._held,
            join_single=self._join_single,
            mirror=self._mirror,
            pinned=self._device.type == "cuda" and self._held is None,
        )
        if self._augmentation is None:
            return batches
        return augmented(batches, self._augmentation, seed=self._seed, epoch=epoch, device=self._device)
