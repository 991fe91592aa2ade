"""Makes a network faster without changing what it computes: memory layout, and layers in a faster form."""

import difflib
import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from components.errors import InvalidInputError
from components.training.kernels import single_plane_conv, single_slope_prelu, uses_fast_form

MemoryFormat = Literal["auto", "contiguous", "channels_last"]
_LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}  # by the axes of a convolution's weight


def accelerate(model: nn.Module, *, memory_format: str = "auto") -> nn.Module:
    """Prepare a network, in place, on the device that trains it; names and values of its weights stay.

    On the CPU, PReLUs with one slope and convolutions from one channel to one, as MONAI's networks for binary tasks
    have them, get gradients that take a fraction of PyTorch's time. Convolutions on a GPU get the layout that their
    fast kernels read. Numbers change by rounding alone.

    Args:
        model: network.
        memory_format: of convolutions' weights, which their outputs follow. `auto`: channels last for 2D on a GPU;
            contiguous on the CPU, where instance normalisation brings it back each time (measured: slower).

    Returns:
        The same network.

    Raises:
        InvalidInputError: there is no such memory format.

    Example:
        >>> accelerate(nn.Sequential(nn.Conv2d(1, 4, 3), nn.PReLU()))[1].weight.shape
        torch.Size([1])
    """
    if memory_format not in get_args(MemoryFormat):
        raise InvalidInputError(f"memory_format: found {memory_format!r}; use {', '.join(get_args(MemoryFormat))}.")
    for parameter in model.parameters():
        layout = _LAYOUTS.get(parameter.ndim)
        wanted = memory_format == "channels_last" or (
            memory_format == "auto" and parameter.is_cuda and layout is torch.channels_last
        )
        if layout is not None and wanted:
            parameter.data = parameter.data.to(memory_format=layout)
    for module in model.modules():
        fast = _fast_form_of(module)
        if fast is not None:
            module.__class__ = fast
    return model


def compile_network(model: nn.Module, setting: bool | str) -> nn.Module:  # noqa: FBT001 - a setting's value
    """Let a network run in compiled code, in place, so that its weights keep their names.

    Args:
        model: network.
        setting: `training.compile`: whether; or a backend of `torch.compile`.

    Returns:
        The same network.

    Raises:
        InvalidInputError: there is no such backend.
    """
    if isinstance(setting, str):
        known = torch.compiler.list_backends(exclude_tags=())
        if setting not in known:
            close = difflib.get_close_matches(setting, known, n=1) or torch.compiler.list_backends()
            raise InvalidInputError(
                f"training.compile: found {setting!r}, which is no backend of torch.compile. "
                f"Hint: true, false, or a backend such as {', '.join(close)}."
            )
        model.compile(backend=setting)
    elif setting:
        model.compile()
    return model


class _PReLU(nn.PReLU):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - PyTorch's name, here and below
        return single_slope_prelu(input, self.weight) if uses_fast_form(input) else super().forward(input)


class _Conv2d(nn.Conv2d):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return _conv(self, input) if uses_fast_form(input) else super().forward(input)


class _Conv3d(nn.Conv3d):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return _conv(self, input) if uses_fast_form(input) else super().forward(input)


def _fast_form_of(module: nn.Module) -> type[nn.Module] | None:
    """The class that computes what the layer computes, but faster; None where there is none."""
    if type(module) is nn.PReLU and module.weight.numel() == 1:
        return _PReLU
    if type(module) not in (nn.Conv2d, nn.Conv3d) or not isinstance(module, nn.Conv2d | nn.Conv3d):
        return None
    one = (module.in_channels, module.out_channels, *module.stride, *module.dilation)
    several = math.prod(module.kernel_size) > 1  # one position alone is fast as it is
    if set(one) != {1} or not several or module.padding_mode != "zeros" or isinstance(module.padding, str):
        return None
    return _Conv2d if isinstance(module, nn.Conv2d) else _Conv3d


def _conv(module: nn.Conv2d | nn.Conv3d, values: Tensor) -> Tensor:
    """In the dtype that the layer itself would give."""
    found = single_plane_conv(values, module.weight, [int(pad) for pad in module.padding])
    found = found if module.bias is None else found + module.bias.float()
    return found.to(torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else values.dtype)
