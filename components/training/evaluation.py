"""One pass of evaluation over a split."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from components.data import Split, evaluation_batches
from components.losses import ReferenceTerms
from components.metrics.calibration import LogitSample
from components.metrics.dice import DiceCounts, DiceScores, Mode
from components.metrics.masks import PackedMasks
from components.metrics.threshold import ThresholdCounts
from components.training.inference import SlidingWindow, predict
from components.training.precision import Precision, autocast, device_of


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    split: Split,
    *,
    mode: Mode,
    batch: int,
    precision: Precision = "fp32",
    divisor: int = 1,
    window: SlidingWindow | None = None,
    ignore_index: int | None = None,
    scored: Sequence[bool] | None = None,
    masks: PackedMasks | None = None,
    reference: ReferenceTerms | None = None,
    thresholds: ThresholdCounts | None = None,
    sample: LogitSample | None = None,
) -> DiceScores:
    """Hard Dice of the model on every case of a split, in the given precision.

    Args:
        model: network from images to logits, or to several, of which the first counts; put into evaluation mode.
        split: cases to score, in order.
        mode: what the masks mean.
        batch: cases at a time; the score does not depend on it beyond the network's own rounding.
        precision: as in `train_epoch`.
        divisor: sizes are continued to a multiple of it by mirroring; what is predicted there is cut off.
        window: for images that it does not cover.
        ignore_index: mask value of pixels that are not counted.
        scored: whether each foreground class counts.
        masks: collects the predicted masks.
        reference: watches every batch.
        thresholds: counts at many thresholds.
        sample: collects logits.
    """
    model.eval()
    device = device_of(model)
    counts = DiceCounts(mode, ignore_index=ignore_index, scored=scored)
    for images, target in evaluation_batches(split, size=batch, divisor=divisor):
        with autocast(device, precision):
            logits = predict(model, images.to(device), window)
        inside: tuple[Any, ...] = (..., *(slice(size) for size in target.shape[target.ndim - logits.ndim + 2 :]))
        counts.add(logits[inside], target.to(device))
        if masks is not None:
            masks.add(logits[inside])
        if reference is not None:
            reference.add(logits[inside], target.to(device))
        if thresholds is not None:
            thresholds.add(logits[inside], target.to(device))
        if sample is not None:
            sample.add(logits[inside], target)
    return counts.scores()
