"""Predicted masks, packed small enough to be kept with a checkpoint."""

import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from components.metrics.dice import Mode

_FAST = 1  # zlib level: masks are smooth, higher levels gain little
HardMask = npt.NDArray[np.uint8]


def hard_masks(logits: Tensor, mode: Mode) -> HardMask:
    """Decide each pixel: probability above ½ for `binary` and `multilabel`, the largest logit for `multiclass`.

    Args:
        logits: `(B, C, *spatial)`.
        mode: what the channels mean.

    Returns:
        0/1 `(B, C, *spatial)`, or class indices `(B, *spatial)`.
    """
    decided = logits.argmax(dim=1) if mode == "multiclass" else logits > 0
    return decided.to(torch.uint8).cpu().numpy()


class PackedMasks:
    """Collects predicted masks case by case, as compressed bytes.

    Example:
        >>> masks = PackedMasks("binary")
        >>> masks.add(torch.tensor([[[[1.0, -1.0]]]]))
        >>> masks.unpack([(1, 1, 2)])
        [array([[[1, 0]]], dtype=uint8)]
    """

    def __init__(self, mode: Mode, packed: Sequence[bytes] = ()) -> None:
        self._mode = mode
        self._packed = list(packed)

    def add(self, logits: Tensor) -> None:
        """Pack the masks of a batch; logits `(B, C, *spatial)`."""
        for mask in hard_masks(logits, self._mode):
            content = mask if self._mode == "multiclass" else np.packbits(mask)
            self._packed.append(zlib.compress(content.tobytes(), _FAST))

    def unpack(self, shapes: Sequence[tuple[int, ...]]) -> list[HardMask]:
        """The masks again, given the shape of each.

        Raises:
            ValueError: the number of masks, or of pixels of one, is not that of the packed ones.
        """
        masks = []
        for packed, shape in zip(self._packed, shapes, strict=True):
            content = np.frombuffer(zlib.decompress(packed), np.uint8)
            if self._mode != "multiclass":
                content = _unpack_bits(content, int(np.prod(shape)))
            masks.append(content.reshape(shape))
        return masks

    def to_tensors(self) -> dict[str, Tensor]:
        """As tensors, for a checkpoint."""
        content = np.frombuffer(b"".join(self._packed), np.uint8)
        lengths = [len(packed) for packed in self._packed]
        return {"content": torch.from_numpy(content.copy()), "lengths": torch.tensor(lengths, dtype=torch.int64)}

    @classmethod
    def from_tensors(cls, mode: Mode, tensors: dict[str, Tensor]) -> "PackedMasks":
        """The inverse of `to_tensors`."""
        content, ends = tensors["content"].numpy().tobytes(), tensors["lengths"].cumsum(0).tolist()
        return cls(mode, [content[start:end] for start, end in zip([0, *ends], ends, strict=False)])


def _unpack_bits(packed: HardMask, count: int) -> HardMask:
    if packed.size != -(-count // 8):
        raise ValueError(f"cannot unpack {count} pixels from {packed.size} bytes")
    return np.unpackbits(packed, count=count)
