"""Exact Euclidean distances to a mask, on the tensors' own device and in one graph."""

import torch
from torch import Tensor

# Numbers of a line's pairwise costs that are held at once: larger pieces leave a core's cache.
_PIECE = 1 << 20


@torch.no_grad()
def distance_to(mask: Tensor) -> Tensor:
    """Return each pixel's distance to the nearest pixel of the mask, in pixels; 0 everywhere where the mask is empty.

    Squared distances are lowered along one axis after another, d(i) = min_j d(j) + (i-j)² (Felzenszwalb & Huttenlocher
    2012), by comparing all pairs: n numbers of a line cost n², but without a branch.

    Args:
        mask: bool `(B, C, *spatial)`; samples and classes by themselves.

    Returns:
        fp32, same shape.

    Example:
        >>> distance_to(torch.tensor([[[[True, False, False]]]]))
        tensor([[[[0., 1., 2.]]]])
    """
    far = float(sum(size**2 for size in mask.shape[2:]))  # no squared distance reaches it
    squared = torch.where(mask, 0.0, far)
    for axis in range(2, mask.ndim):
        if mask.shape[axis] > 1:
            squared = _lowered(squared, axis)
    found = mask.flatten(2).any(2)
    return squared.sqrt() * found.view(*found.shape, *[1] * (mask.ndim - 2))


def _lowered(squared: Tensor, axis: int) -> Tensor:
    lines = squared.movedim(axis, -1)
    length = lines.shape[-1]
    steps = torch.arange(length, device=squared.device, dtype=squared.dtype)
    costs = (steps.unsqueeze(1) - steps).square()
    rows = lines.reshape(-1, length)
    height = max(1, _PIECE // length**2)
    pieces = [rows[top : top + height].unsqueeze(1) for top in range(0, len(rows), height)]
    lowest = torch.cat([(piece + costs).amin(2) for piece in pieces])
    return lowest.view(lines.shape).movedim(-1, axis)
