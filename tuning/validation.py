"""Scores a network on the validation split as a study does it: in a trial, and again when its model is handed over."""

from math import isnan
from typing import Any

from torch import nn

from components.data import SegmentationData
from components.losses import ReferenceTerms
from components.metrics import METRICS, DiceScores, LogitSample, ThresholdCounts, overlap_scores
from components.metrics.masks import PackedMasks
from components.training import Precision, SlidingWindow, choose_precision, evaluate
from components.training.precision import device_of
from components.training.windows import validation_batch, validation_window
from tuning.config import StudyConfig


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
        batch=validation_batch(data.val.sizes, batch=settings.training.batch, crop=settings.training.crop),
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
    return validation_window(
        {size for split in data.splits.values() for size in split.sizes},
        batch=training.batch,
        crop=training.crop,
        window=training.window,
        overlap=training.overlap,
    )


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
