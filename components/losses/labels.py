"""Whether a target's values are labels at all; read on the CPU only, where nothing has to be waited for."""

from dataclasses import dataclass
from weakref import ref

import torch
from torch import Tensor

from components.errors import InvalidInputError

Range = tuple[int, int | None]


@dataclass
class _Last:
    """The last target that was found right: the terms of a loss get the same one in turn, and one look is enough."""

    target: "ref[Tensor] | None" = None
    version: int = -1
    range: Range = (-1, None)

    def is_it(self, target: Tensor, expected: Range) -> bool:
        """Whether this target was looked at, and not written to since."""
        if self.target is None or self.target() is not target or target.is_inference():
            return False
        return (_version(target), expected) == (self.version, self.range)

    def note(self, target: Tensor, expected: Range) -> None:
        """Remember it; an inference tensor does not count its changes."""
        if not target.is_inference():
            self.target, self.version, self.range = ref(target), _version(target), expected


def _version(target: Tensor) -> int:
    return target._version  # noqa: SLF001 - torch documents it, and has no other counter of changes


_last = _Last()


def check_labels(target: Tensor, labels: Tensor, classes: int | None, ignore_index: int | None) -> None:
    """Refuse labels outside their range; on another device, or while compiling, that is the data's promise.

    Args:
        target: as it was given; remembered, so that it is looked at once.
        labels: its values, 0 where ignored.
        classes: number of classes whose indices these are; None for values between 0 and 1.
        ignore_index: the value that was left out of `labels`.

    Raises:
        InvalidInputError: names a value that was found, and the range.
    """
    if labels.device.type != "cpu" or torch.compiler.is_compiling() or labels.dtype == torch.bool:
        return
    highest = 1 if classes is None else classes - 1
    if _last.is_it(target, (highest, ignore_index)):
        return
    low, high = _range(labels.detach())
    if low >= 0 and high <= highest:
        _last.note(target, (highest, ignore_index))
        return
    found = high if low >= 0 else low
    if classes is None:
        raise InvalidInputError(
            f"target: found the value {found:g}; expected values between 0 and 1. Hint: masks of 0 and 255 become "
            "labels by mask > 0; pixels without a label need ignore_index."
        )
    raise InvalidInputError(
        f"target: found the label {found}; expected 0 to {highest}, as there are {classes} classes. "
        "Hint: pixels without a label need ignore_index."
    )


def _range(labels: Tensor) -> tuple[float, float]:
    """Smallest and largest value; NaN is neither."""
    if labels.dtype == torch.uint8:
        return 0, labels.amax().item()
    if labels.is_floating_point():  # two passes are three times as fast as torch's one for both (measured)
        return labels.amin().item(), labels.amax().item()
    low, high = torch.aminmax(labels)
    return low.item(), high.item()
