"""In which numbers a network computes, and where."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import nn

from components.errors import InvalidInputError

Precision = Literal["fp32", "bf16"]


def device_of(model: nn.Module) -> torch.device:
    """The device of the weights."""
    return next(model.parameters()).device


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """The forward pass in that precision."""
    if precision == "fp32":
        return nullcontext()
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    raise InvalidInputError(f"precision: found {precision!r}; use 'fp32' or 'bf16'.")
