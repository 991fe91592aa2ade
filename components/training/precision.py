"""In which numbers a network computes, and where."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, get_args

import torch
from torch import nn

from components.errors import InvalidInputError

Precision = Literal["fp32", "bf16", "fp16"]
_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
_FP16_TENSOR_CORES = (7, 0)  # compute capability from which half precision is faster than fp32
# Instructions that multiply bf16 numbers; without them bf16 is emulated, slower than fp32.
_CPU_BF16 = ("avx512_bf16", "amx_bf16", "bf16")


def device_of(model: nn.Module) -> torch.device:
    """The device of the weights."""
    return next(model.parameters()).device


def choose_precision(wanted: str, device: str | torch.device) -> Precision:
    """What `auto` means on this machine: bf16 where it is computed natively, on older GPUs fp16, else fp32.

    Args:
        wanted: `auto`, or a precision, which is returned as it is.
        device: that trains.

    Raises:
        InvalidInputError: there is no such precision.

    Example:
        >>> choose_precision("fp32", "cpu")
        'fp32'
    """
    if wanted in get_args(Precision):
        return wanted  # type: ignore[return-value]  # it is one of them
    if wanted != "auto":
        raise InvalidInputError(f"precision: found {wanted!r}; use 'auto', 'fp32', 'bf16' or 'fp16'.")
    if torch.device(device).type == "cuda":
        if not torch.cuda.is_available():  # asked where the study is launched, which may be another machine
            return "fp32"
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16"
        return "fp16" if torch.cuda.get_device_capability(device) >= _FP16_TENSOR_CORES else "fp32"
    able: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # PyTorch 2.10 does not say
    return "bf16" if any(able.get(name) for name in _CPU_BF16) else "fp32"


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """The forward pass in that precision."""
    if precision == "fp32":
        return nullcontext()
    if precision not in _HALF:
        raise InvalidInputError(f"precision: found {precision!r}; use 'fp32', 'bf16' or 'fp16'.")
    return torch.autocast(device.type, dtype=_HALF[precision])
