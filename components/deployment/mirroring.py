"""Test-time augmentation: the mean of a network's probabilities over mirrored images. Needs numpy alone.

A bundle carries this file in its `predict.py`.
"""

from collections.abc import Callable, Sequence
from itertools import chain, combinations
from typing import Any

import numpy as np
import numpy.typing as npt

Logits = npt.NDArray[np.float32]


def flips_of(axes: Sequence[int]) -> list[tuple[int, ...]]:
    """Every way to mirror along some of the axes, none of them first.

    Example:
        >>> flips_of([0, 1])
        [(), (0,), (1,), (0, 1)]
    """
    return list(chain.from_iterable(combinations(axes, count) for count in range(len(axes) + 1)))


def mirrored_logits(
    network: Callable[[Logits], Logits], images: Logits, axes: Sequence[int], *, exclusive: bool
) -> Logits:
    """Logits of the mean probability over an image and its mirror images, each turned back.

    Args:
        network: from images to logits.
        images: `(B, C, *spatial)`.
        axes: spatial axes, from 0, that are mirrored alone and together: 2 to their number passes.
        exclusive: whether probabilities are a softmax over the classes (else a sigmoid of each).

    Returns:
        `(B, classes, *spatial)`; their softmax or sigmoid is the mean.
    """
    flips = [tuple(axis + 2 for axis in flip) for flip in flips_of(axes)]
    if len(flips) == 1:
        return network(images)
    chances: Any = -np.inf  # logarithms of sums of probabilities, so that certain pixels stay finite
    others: Any = -np.inf
    for flip in flips:
        logits = np.flip(network(np.ascontiguousarray(np.flip(images, flip))), flip)
        if exclusive:
            chances = np.logaddexp(chances, logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
        else:
            chances, others = (
                np.logaddexp(chances, -np.logaddexp(0, -logits)),
                np.logaddexp(others, -np.logaddexp(0, logits)),
            )
    mean = chances - np.log(len(flips)) if exclusive else chances - others
    return np.asarray(mean, np.float32)
