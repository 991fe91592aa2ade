"""Soft erosion, dilation and skeleton of probabilities, by pooling."""

import math

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d, max_pool3d

from components.losses.channels import kept

_NDIM_2D = 4


def soft_skeleton(values: Tensor, iterations: int, valid: Tensor | None = None) -> Tensor:
    """Return what openings remove from ever stronger erosions (Shit et al. 2021, algorithm 1).

    Args:
        values: `(B, C, *spatial)` between 0 and 1.
        iterations: erosions; half the width of the thickest structure, in pixels.
        valid: False at ignored pixels, which neither erode nor dilate others and are 0 in the result; None for all.
    """
    skeleton = _removed(values, valid)
    for _ in range(iterations):
        values = _eroded(values, valid)
        found = _removed(values, valid)
        skeleton = skeleton + torch.relu(found - skeleton * found)
    return skeleton


def dilated(values: Tensor, valid: Tensor | None = None) -> Tensor:
    """Return the largest value of each pixel and its neighbours along the axes; 0 at ignored pixels."""
    values = kept(values, valid, -math.inf)
    return kept(torch.stack([_pooled(values, kernel) for kernel in _along_axes(values)]).amax(0), valid, 0.0)


def _removed(values: Tensor, valid: Tensor | None) -> Tensor:
    opened = _pooled(kept(_eroded(values, valid), valid, -math.inf), [3] * (values.ndim - 2))
    return kept(torch.relu(values - opened), valid, 0.0)


def _eroded(values: Tensor, valid: Tensor | None) -> Tensor:
    """The smallest value of each pixel and its neighbours along the axes."""
    values = -kept(values, valid, math.inf)
    eroded = -_pooled(values, _along_axes(values)[0])
    for kernel in _along_axes(values)[1:]:
        eroded = torch.minimum(eroded, -_pooled(values, kernel))
    return eroded


def _along_axes(values: Tensor) -> list[list[int]]:
    axes = range(values.ndim - 2)
    return [[3 if axis == chosen else 1 for axis in axes] for chosen in axes]


def _pooled(values: Tensor, kernel: list[int]) -> Tensor:
    pool = max_pool2d if values.ndim == _NDIM_2D else max_pool3d
    return pool(values, kernel, stride=1, padding=[size // 2 for size in kernel])
