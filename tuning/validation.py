"""Scores a network on the validation split as a study does it: in a trial, and again when its model is handed over."""

from math import isnan, prod
from typing import Any

from torch import nn

from components.data import SegmentationData
from components.losses import ReferenceTerms
from components.metrics import METRICS, DiceScores, LogitSample, ThresholdCounts, overlap_scores
from components.metrics.masks import PackedMasks
from components.training import Precision, SlidingWindow, choose_precision, evaluate
from components.training.precision import device_of
from tuning.config import StudyConfig, TrainingConfig

# Without gradients no activations are kept: whole images of so many times a training step's pixels need less memory.
_PIXELS_OF_A_STEP = 4
_LARGE_VOLUME = 8  # crops: twice as long along each axis; the activations of a whole one would fill the memory


def validate(
    model: nn.Module,
    data: SegmentationData,
    settings: StudyConfig,
    precision: Precision | None = None,
    reference: ReferenceTerms | None = None,
    thresholds: ThresholdCounts | None = None,
    sample: LogitSample | None = None,
) -> tuple[DiceScores, PackedMasks]:
    """Dice and predicted masks of the validation split.

    Args:
        model: network from images to logits.
        data: the fold.
        settings: of the trial.
        precision: in place of the study's.
        reference: watches every batch.
        thresholds: counts at many thresholds.
        sample: collects logits.
    """
    masks = PackedMasks(data.mode)
    scores = evaluate(
        model,
        data.val,
        mode=data.mode,
        batch=_batch(data, settings),
        precision=precision or choose_precision(settings.training.precision, device_of(model)),
        divisor=settings.model.divisor,
        window=sliding_window(data, settings),
        ignore_index=data.ignore_index,
        scored=data.scored,
        masks=masks,
        reference=reference,
        thresholds=thresholds,
        sample=sample,
    )
    return scores, masks


def sliding_window(data: SegmentationData, settings: StudyConfig) -> SlidingWindow | None:
    """How validation cuts large images; None sends each through the network as a whole.

    Raises:
        InvalidInputError: the window has not one number an axis.
    """
    training = settings.training
    size = _window_size(data, training)
    if size is None:
        return None
    window = SlidingWindow(_an_axis(size, data.spatial_dims), training.overlap, training.batch * _PIXELS_OF_A_STEP)
    window.covers((0,) * data.spatial_dims)
    return window


def _window_size(data: SegmentationData, training: TrainingConfig) -> int | list[int] | None:
    crop = training.crop
    if not isinstance(training.window, str):
        return training.window
    if training.window == "whole" or crop is None or data.spatial_dims == 2:  # noqa: PLR2004 - images
        return None
    largest = max(prod(found) for split in data.splits.values() for found in split.sizes)
    return crop if largest > _LARGE_VOLUME * prod(_an_axis(crop, data.spatial_dims)) else None


def _an_axis(size: int | list[int], axes: int) -> tuple[int, ...]:
    return tuple(size) if isinstance(size, list) else (size,) * axes


def _batch(data: SegmentationData, settings: StudyConfig) -> int:
    """Whole images at a time: as many as in a training step, unless they are much larger than its crops."""
    batch, crop = settings.training.batch, settings.training.crop
    if crop is None:
        return batch
    pixels = prod(_an_axis(crop, data.spatial_dims)) * batch * _PIXELS_OF_A_STEP
    return max(1, min(batch, pixels // max(prod(size) for size in data.val.sizes)))


def case_rows(scores: DiceScores, data: SegmentationData, epoch: int) -> list[dict[str, Any]]:
    """What each case of the validation split scored, a row for each scored class; None where it is undefined.

    Args:
        scores: of the split.
        data: the fold.
        epoch: of the trial.
    """
    found = overlap_scores(scores.counts)
    return [
        {
            "epoch": epoch,
            "case": case,
            "group": group,
            "class": name,
            **{metric: _number(found[metric].per_case[number, index]) for metric in METRICS},
        }
        for number, (case, group) in enumerate(zip(data.val.cases, data.val.groups, strict=True))
        for index, (name, scored) in enumerate(zip(data.foreground, data.scored, strict=True))
        if scored
    ]


def _number(value: float) -> float | None:
    return None if isnan(value) else float(value)
