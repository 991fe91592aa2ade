"""Scores a network on the validation split as a study does it: in a trial, and again when its model is handed over."""

from math import prod

from torch import nn

from components.data import SegmentationData
from components.losses import ReferenceTerms
from components.metrics.dice import DiceScores
from components.metrics.masks import PackedMasks
from components.training import Precision, choose_precision, evaluate
from components.training.precision import device_of
from tuning.config import StudyConfig

# Without gradients no activations are kept: whole images of so many times a training step's pixels need less memory.
_PIXELS_OF_A_STEP = 4


def validate(
    model: nn.Module,
    data: SegmentationData,
    settings: StudyConfig,
    precision: Precision | None = None,
    reference: ReferenceTerms | None = None,
) -> tuple[DiceScores, PackedMasks]:
    """Dice and predicted masks of the validation split.

    Args:
        model: network from images to logits.
        data: the fold.
        settings: of the trial.
        precision: in place of the study's.
        reference: watches every batch.
    """
    masks = PackedMasks(data.mode)
    scores = evaluate(
        model,
        data.val,
        mode=data.mode,
        batch=_batch(data, settings),
        precision=precision or choose_precision(settings.training.precision, device_of(model)),
        divisor=settings.model.divisor,
        ignore_index=data.ignore_index,
        scored=data.scored,
        masks=masks,
        reference=reference,
    )
    return scores, masks


def _batch(data: SegmentationData, settings: StudyConfig) -> int:
    """Whole images at a time: as many as in a training step, unless they are much larger than its crops."""
    batch, crop = settings.training.batch, settings.training.crop
    if crop is None:
        return batch
    pixels = prod(crop if isinstance(crop, list) else (crop,) * data.spatial_dims) * batch * _PIXELS_OF_A_STEP
    return max(1, min(batch, pixels // max(prod(size) for size in data.val.sizes)))
