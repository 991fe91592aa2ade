"""Logits of whole images, at once or window by window where an image is too large for the memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from components.errors import InvalidInputError
from components.losses.deep_supervision import outputs_of


@dataclass(frozen=True)
class SlidingWindow:
    """How a large image is cut for inference.

    Attributes:
        size: of a window, one number an axis, multiples of what the network needs.
        overlap: of neighbouring windows, as a share of their size.
        batch: windows at a time.

    Raises:
        InvalidInputError: a size or the batch is below 1, or the overlap not in [0, 1).

    Example:
        >>> SlidingWindow((64, 64, 32)).covers((48, 64, 32))
        True
    """

    size: tuple[int, ...]
    overlap: float = 0.25
    batch: int = 1

    def __post_init__(self) -> None:
        if not self.size or min(self.size) < 1 or self.batch < 1 or not 0 <= self.overlap < 1:
            raise InvalidInputError(
                "sliding window: size and batch must be at least 1, overlap at least 0 and below 1; found "
                f"{list(self.size)}, {self.batch}, {self.overlap}."
            )

    def covers(self, sizes: Sequence[int]) -> bool:
        """Whether one window holds an image of these spatial sizes.

        Raises:
            InvalidInputError: the image has another number of axes.
        """
        if len(sizes) != len(self.size):
            raise InvalidInputError(f"training.window: found {list(self.size)}, the images have {len(sizes)} axes.")
        return all(size <= part for size, part in zip(sizes, self.size, strict=True))


def extended(images: Tensor, divisor: int) -> Tensor:
    """Images continued at their ends by mirroring, along each spatial axis, to a multiple of a number.

    Args:
        images: `(B, C, *spatial)`.
        divisor: of every size.

    Example:
        >>> extended(torch.arange(3.0).view(1, 1, 3), 4).tolist()
        [[[0.0, 1.0, 2.0, 2.0]]]
    """
    for axis in range(2, images.ndim):
        size = images.shape[axis]
        missing = -size % divisor
        if missing:
            places = torch.arange(size + missing, device=images.device) % (2 * size)
            images = images.index_select(axis, torch.where(places < size, places, 2 * size - 1 - places))
    return images


def outputs_for(model: nn.Module, images: Tensor) -> list[Tensor]:
    """A network's outputs from fine to coarse, the first as large as the images.

    Args:
        model: network from images to logits, or to several.
        images: `(B, C, *spatial)`, on its device.

    Raises:
        InvalidInputError: it gives no tensors, or the first has another size: it would be scored pixels away.
    """
    outputs = outputs_of(model(images), axes=images.ndim)
    found, expected = outputs[0].shape, (len(images), *images.shape[2:])
    if (*found[:1], *found[2:]) != expected:
        raise InvalidInputError(
            f"network: gives logits of {_times(found)} for images of {_times(images.shape)}; expected the size of the "
            "images. Hint: padded convolutions keep it; every size must be a multiple of what the network needs."
        )
    return outputs


def predict(model: nn.Module, images: Tensor, window: SlidingWindow | None = None) -> Tensor:
    """Logits of images.

    Args:
        model: network from images to logits, or to several, of which the first counts.
        images: `(B, C, *spatial)`, sizes as the network needs them, on its device.
        window: None, or one that covers the images, sends them through the network as they are. Otherwise windows are
            sent, and where they overlap their logits are averaged with Gaussian weights that fade towards a window's
            edge, where the network sees least (MONAI's `sliding_window_inference`; Isensee et al. 2021, nnU-Net).

    Returns:
        `(B, classes, *spatial)`; those of windows in fp32.

    Raises:
        InvalidInputError: the window has another number of axes than the images, or what the network gives is not as
            large as they are.
    """
    spatial = images.shape[2:]
    if window is None or window.covers(spatial):
        return outputs_for(model, images)[0]
    from monai.inferers.utils import sliding_window_inference  # noqa: PLC0415 - half a second, only for large images

    logits: Tensor = sliding_window_inference(
        images,
        # Along an axis on which the image is smaller than a window it is not padded, but taken whole.
        roi_size=[min(size, part) for size, part in zip(spatial, window.size, strict=True)],
        sw_batch_size=window.batch,
        predictor=lambda part: outputs_for(model, part)[0].float(),
        overlap=window.overlap,
        mode="gaussian",
    )
    return logits


def _times(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))
