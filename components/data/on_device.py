"""Training cases in the memory of the device that trains, so that batches are cut there and never copied."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from components.data.batches import Batch, Place, as_target, check_crop, extended_case
from components.data.dataset import Split

_SHARE = 0.5  # of the free memory at most; a network and other trials need the rest


class DeviceCases:
    """Every case of a split as tensors on a device, continued for the crop as `training_batches` continues it.

    Args:
        split: cases; copied.
        device: that trains.
        crop: as in `training_batches`.
        divisor: as in `training_batches`.
    """

    def __init__(
        self, split: Split, device: torch.device | str, *, crop: int | Sequence[int] | None = None, divisor: int = 1
    ) -> None:
        window = check_crop(split, crop, 1)
        self._cases: list[tuple[Tensor, Tensor]] = []
        for index in range(len(split)):
            image, mask = extended_case(split, index, window, divisor)
            self._cases.append((torch.tensor(image, device=device), torch.tensor(mask, device=device)))

    def batch(self, places: Sequence[tuple[int, Place]], mirrored: npt.NDArray[np.bool_] | None) -> Batch:
        """Cut a batch.

        Args:
            places: number and place of each case.
            mirrored: whether along each spatial axis, `(cases, axes)`.

        Returns:
            images and masks as `training_batches` yields them, on the device.
        """
        images, masks = [], []
        for number, (index, inside) in enumerate(places):
            image, mask = (part[inside] for part in self._cases[index])
            if mirrored is not None:
                spatial = image.ndim - 1
                axes = [int(axis) - spatial for axis in np.flatnonzero(mirrored[number])]
                image, mask = image.flip(axes), mask.flip(axes)
            images.append(image)
            masks.append(mask)
        together = torch.stack(images)
        return together, as_target(torch.stack(masks), together.ndim)


def hold_on_device(
    split: Split, device: torch.device | str, *, crop: int | Sequence[int] | None = None, divisor: int = 1
) -> DeviceCases | None:
    """The cases on a GPU if they take at most half of its free memory; None otherwise, and on a CPU.

    Args:
        split: cases.
        device: that trains.
        crop: as in `training_batches`.
        divisor: as in `training_batches`.

    Example:
        >>> hold_on_device(split, "cpu")  # doctest: +SKIP
    """
    if torch.device(device).type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    needed = sum(array.nbytes for part in (split.images, split.masks) for array in part)
    return DeviceCases(split, device, crop=crop, divisor=divisor) if needed <= _SHARE * free else None
