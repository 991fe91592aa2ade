"""Test-time augmentation in PyTorch: a network that averages its probabilities over mirrored images."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.deployment.mirroring import flips_of
from components.losses.deep_supervision import outputs_of
from components.metrics.dice import Mode


def logits_of_mean(logits: Sequence[Tensor], mode: Mode | str, weights: Sequence[float] | None = None) -> Tensor:
    """Logits whose probabilities are the mean of those of several.

    Args:
        logits: each `(B, classes, *spatial)`.
        mode: `multiclass` (softmax), or `binary` or `multilabel` (sigmoid).
        weights: above 0, of each in the mean; by default all alike.

    Returns:
        fp32; computed from logarithms, so that certain pixels stay finite.

    Example:
        >>> logits_of_mean([torch.tensor([[2.0]]), torch.tensor([[-2.0]])], "binary")
        tensor([[0.]])
    """
    found = torch.stack([each.float() for each in logits])
    if len(found) == 1:
        return found[0]
    shares = torch.tensor([math.log(weight) for weight in weights or [1.0] * len(found)], device=found.device)
    shares = (shares - torch.logsumexp(shares, 0)).view(-1, *[1] * (found.ndim - 1))
    if mode == "multiclass":
        return torch.logsumexp(functional.log_softmax(found, dim=2) + shares, dim=0)
    chances, others = functional.logsigmoid(found) + shares, functional.logsigmoid(-found) + shares
    return torch.logsumexp(chances, dim=0) - torch.logsumexp(others, dim=0)


class Mirrored(nn.Module):
    """Gives the logits of a network's mean probability over an image and its mirror images.

    Where an image is cut into windows, each window is mirrored, as nnU-Net does (Isensee et al. 2021).

    Args:
        network: from images to logits, or to several, of which the first counts.
        mode: what its masks mean.
        axes: spatial axes, from 0, that are mirrored alone and together: 2 to their number passes.

    Example:
        >>> Mirrored(nn.Conv2d(1, 1, 3, padding=1), "binary", [0, 1])(torch.zeros(1, 1, 8, 8)).shape
        torch.Size([1, 1, 8, 8])
    """

    def __init__(self, network: nn.Module, mode: Mode | str, axes: Sequence[int]) -> None:
        super().__init__()
        self.network, self._mode = network, mode
        self._flips = [tuple(axis + 2 for axis in flip) for flip in flips_of(axes)]

    def forward(self, images: Tensor) -> Tensor:
        """From images `(B, C, *spatial)` to logits `(B, classes, *spatial)`, fp32."""
        return logits_of_mean(
            [outputs_of(self.network(images.flip(flip)), axes=images.ndim)[0].flip(flip) for flip in self._flips],
            self._mode,
        )
