"""Makes a network faster without changing what it computes: memory layout, and kernels that PyTorch has not."""

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import leaky_relu

from components.errors import InvalidInputError

MemoryFormat = Literal["auto", "contiguous", "channels_last"]
_LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}  # by the axes of a convolution's weight


def accelerate(model: nn.Module, *, memory_format: str = "auto") -> nn.Module:
    """Prepare a network, in place, on the device that trains it; names and values of its weights stay.

    On the CPU the gradient of a PReLU with one slope, as in MONAI's residual networks, takes a fraction of PyTorch's
    time. Convolutions on a GPU get the layout that their fast kernels read. Numbers change by rounding alone.

    Args:
        model: network.
        memory_format: of convolutions' weights, which their outputs follow. `auto`: channels last for 2D on a GPU;
            contiguous on the CPU, where normalisations bring it back each time (measured: slower).

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
        if type(module) is nn.PReLU and module.weight.numel() == 1:
            module.__class__ = SingleSlopePReLU
    return model


class SingleSlopePReLU(nn.PReLU):
    """A PReLU (He et al. 2015) with one slope for all channels, with a fast gradient on the CPU."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - PyTorch's name
        """Return `max(0, x) + slope * min(0, x)`, of the shape and dtype of the input."""
        if input.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(input)
        result: Tensor = _PReLU.apply(input, self.weight)  # type: ignore[no-untyped-call]  # torch leaves it without types
        return result


class _PReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(values, slope)
        return leaky_relu(values, slope.item())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        values, slope = ctx.saved_tensors
        of_values = of_slope = None
        if ctx.needs_input_grad[0]:
            of_values = torch.ops.aten.leaky_relu_backward(gradient, values, slope.item(), self_is_result=False)
        if ctx.needs_input_grad[1]:
            product = gradient * values.clamp(max=0)
            of_slope = product.sum(dtype=torch.promote_types(slope.dtype, torch.float32)).to(slope.dtype).reshape(1)
        return of_values, of_slope
