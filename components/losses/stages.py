"""Logits as a network might give them on the way from untrained to good, made from the masks alone."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, avg_pool3d

_NOISE = 0.5  # of fresh logits, whose probabilities then lie around ½
_HALF_GAIN, _GOOD_GAIN = 6.0, 12.0  # logit between sure background and sure foreground: ±3 and ±6
_HALF_WIDTH, _GOOD_WIDTH = 5, 3  # pixels that are blurred together, per pass
_PASSES = 2
_PATCH_WIDTH, _PATCH_NOISE = 15, 2.0  # of what is missed and what is false half way
_WANDER = 0.2  # how far the outline of a good prediction strays, in units of the blurred truth
_STEEP = 4.0  # a good prediction is sure where the blurred truth is an eighth above or below ½
_PLANES = 2


def stage_logits(truth: Tensor, stage: str, seed: int) -> Tensor:
    """Synthesise the logits of a stage of training.

    - `untrained`: noise around 0, which knows nothing of the truth.
    - `half`: the truth blurred over about 9 pixels, unsure (logits of ±3 where the blur is sure), with patches that
      are missed or false (smooth noise of deviation 2) and noise of deviation 1, as after a few epochs.
    - `good`: the truth with an outline that strays in and out by about a pixel, sure (±6), with noise of deviation 1.

    Args:
        truth: `(B, C, *spatial)` float in 0-1, one channel a class (one-hot for exclusive classes).
        stage: a name of `STAGES`.
        seed: of the noise.

    Returns:
        Logits in the shape and dtype of `truth`, on its device; the same on each for one seed. A sigmoid reads them,
        and for one-hot classes a softmax.
    """
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(seed)).to(truth)
    return STAGES[stage](truth, noise)


def _untrained(truth: Tensor, noise: Tensor) -> Tensor:
    del truth
    return _NOISE * noise


def _half(truth: Tensor, noise: Tensor) -> Tensor:
    return _HALF_GAIN * (_blurred(truth, _HALF_WIDTH) - 0.5) + _PATCH_NOISE * _smooth(noise, _PATCH_WIDTH) + noise


def _good(truth: Tensor, noise: Tensor) -> Tensor:
    found = _blurred(truth, _GOOD_WIDTH) + _WANDER * _smooth(noise, _HALF_WIDTH)
    return _GOOD_GAIN * (_STEEP * (found - 0.5)).clamp(-0.5, 0.5) + noise


def _smooth(noise: Tensor, width: int) -> Tensor:
    """Blurred noise, of deviation 1 again."""
    smooth = _blurred(noise, width)
    return smooth / smooth.square().mean().sqrt().clamp_min(torch.finfo(smooth.dtype).tiny)


def _blurred(values: Tensor, width: int) -> Tensor:
    """Mean over a window along each axis, twice; the window is cut off at the border and at small images."""
    pool: Callable[..., Tensor] = avg_pool2d if values.ndim == _PLANES + 2 else avg_pool3d
    kernel = [min(width, size - 1 + size % 2) for size in values.shape[2:]]
    padding = [math.floor(size / 2) for size in kernel]
    for _ in range(_PASSES):
        values = pool(values, kernel, stride=1, padding=padding, count_include_pad=False)
    return values


STAGES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"untrained": _untrained, "half": _half, "good": _good}
