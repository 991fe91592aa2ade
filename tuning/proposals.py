"""Which crop `init` proposes for images and volumes, and how often it is to show foreground."""

from math import prod
from statistics import median

from components.data.folder.survey import Survey

DIVISOR = 16  # as by default, model.divisor
_IMAGE_CROP = 128  # what two CPU cores train at a bearable pace
_VOLUME_PIXELS = 2**16  # as above, as many as a batch of four such images
_IMAGE_AXES = 2
_SPARSE = 0.05  # share of foreground below which most random crops of a large image show next to none
_FOREGROUND = 0.33  # of the crops, as in nnU-Net (Isensee et al. 2021)

Crop = int | list[int] | None


def propose_crop(survey: Survey) -> Crop:
    """Size of the random part of each case; None takes cases whole."""
    return _image_crop(survey) if len(survey.sizes[0]) == _IMAGE_AXES else _volume_crop(survey)


def propose_foreground(survey: Survey, crop: Crop) -> float | None:
    """Share of crops that are sure to hold foreground; None where random ones hold enough."""
    if crop is None:
        return None
    axes = len(survey.sizes[0])
    shown = prod(crop if isinstance(crop, list) else [crop] * axes)
    known = {value: share for value, share in survey.shares().items() if value != survey.classes.ignore}
    foreground = 1 - known.get(survey.classes.values[0], 0.0) / sum(known.values())
    usual = median(prod(case.labels.shape) for case in survey.cases)
    return _FOREGROUND if foreground < _SPARSE and 2 * shown < usual else None


def _image_crop(survey: Survey) -> Crop:
    """By the usual size, as smaller images are continued by mirroring; sizes that differ need a crop."""
    usual = int(min(_median_sizes(survey)))
    if usual >= _IMAGE_CROP + DIVISOR:
        return _IMAGE_CROP
    if len(survey.sizes) == 1:
        return None
    return max(DIVISOR, usual // DIVISOR * DIVISOR)


def _volume_crop(survey: Survey) -> Crop:
    """The usual size, halved along its longest axis until it is small enough; smaller volumes are continued."""
    if len(survey.sizes) == 1 and prod(survey.sizes[0]) <= _VOLUME_PIXELS:
        return None
    crop: list[int] = [max(1, int(size) // DIVISOR) for size in _median_sizes(survey)]
    while prod(crop) * DIVISOR ** len(crop) > _VOLUME_PIXELS and max(crop) > 1:
        longest = crop.index(max(crop))
        crop[longest] = -(-crop[longest] // 2)
    return [part * DIVISOR for part in crop]


def _median_sizes(survey: Survey) -> list[float]:
    """Along each axis."""
    return [median(sizes) for sizes in zip(*(case.labels.shape for case in survey.cases), strict=True)]
