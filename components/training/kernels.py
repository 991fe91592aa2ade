"""Layers whose gradients PyTorch computes slowly on the CPU, in a faster form with the same names and values."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import leaky_relu
from torch.nn.functional import pad as pad_zeros


def uses_fast_form(values: Tensor) -> bool:
    """Whether a faster form is one here: on the CPU, and not while the network is compiled or exported."""
    return values.device.type == "cpu" and not torch.compiler.is_compiling()


def single_slope_prelu(values: Tensor, slope: Tensor) -> Tensor:
    """PReLU (He et al. 2015) with one slope for all channels: `max(0, x) + slope * min(0, x)`.

    Args:
        values: of any shape.
        slope: of shape `(1,)`.

    Returns:
        of the shape and dtype of `values`.
    """
    result: Tensor = _PReLU.apply(values, slope)  # type: ignore[no-untyped-call]  # torch leaves it without types
    return result


def single_plane_conv(values: Tensor, weight: Tensor, padding: Sequence[int]) -> Tensor:
    """Convolution of stride 1 from one channel to one: a weighted sum of the moved input, as are its gradients.

    Args:
        values: `(B, 1, *spatial)`.
        weight: `(1, 1, *kernel)`.
        padding: zeros at both ends of each axis.

    Returns:
        `(B, 1, *spatial)` in fp32.
    """
    ends = [pad for pad in reversed(padding) for _ in range(2)]
    result: Tensor = _WeightedMoves.apply(pad_zeros(values.float(), ends), weight.float())  # type: ignore[no-untyped-call]
    return result


class _WeightedMoves(torch.autograd.Function):
    """Sum over the kernel's positions of its weight there times the input from there on."""

    @staticmethod
    def forward(ctx: Any, padded: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(padded, weight)
        windows = _windows(padded, weight.shape[2:])
        result = None
        for window, factor in zip(windows, weight.flatten().tolist(), strict=True):
            result = window * factor if result is None else result.add_(window, alpha=factor)
        return result if result is not None else padded

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        padded, weight = ctx.saved_tensors
        of_padded = of_weight = None
        if ctx.needs_input_grad[0]:
            of_padded = torch.zeros_like(padded)
            for window, factor in zip(_windows(of_padded, weight.shape[2:]), weight.flatten().tolist(), strict=True):
                window.add_(gradient, alpha=factor)
        if ctx.needs_input_grad[1]:
            products = [(window * gradient).sum() for window in _windows(padded, weight.shape[2:])]
            of_weight = torch.stack(products).reshape(weight.shape)
        return of_padded, of_weight


def _windows(padded: Tensor, kernel: Sequence[int]) -> list[Tensor]:
    """Views of the input from each position of the kernel on, of the output's size."""
    sizes = [size - width + 1 for size, width in zip(padded.shape[2:], kernel, strict=True)]
    found = []
    for position in product(*(range(width) for width in kernel)):
        window = padded
        for axis, (first, size) in enumerate(zip(position, sizes, strict=True), start=2):
            window = window.narrow(axis, first, size)
        found.append(window)
    return found


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
            of_slope = (gradient * values.clamp(max=0)).sum().to(slope.dtype).reshape(1)
        return of_values, of_slope
