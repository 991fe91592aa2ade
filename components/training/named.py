"""One's own code that a configuration names by its dotted path."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from components.data import Augmentation, Split, StandardAugmentation, StrongAugmentation
from components.data.augmentation.mirroring import axes_to_mirror
from components.data.batches import AUGMENTATIONS as WITH_BATCHES
from components.dotted import import_object
from components.errors import InvalidInputError
from components.hints import nearest
from components.training.steps import TrainStep

AUGMENTATIONS = (*WITH_BATCHES, "standard", "strong")
_MIRRORING = ("flip", "standard", "strong")


class AugmentationSettings(Protocol):
    """What the section `training` says of augmentation."""

    @property
    def augment(self) -> str:
        """Name, or dotted path."""

    @property
    def augment_strength(self) -> float:
        """Of `standard` and `strong`."""

    @property
    def mirror(self) -> Sequence[int] | None:
        """Spatial axes that may be mirrored; None: all."""


def named_augmentation(settings: AugmentationSettings, split: Split) -> Augmentation | None:
    """What a batch goes through on the device; None for what is done while batches are made.

    Args:
        settings: of the training.
        split: that trains; says how many axes there are, and how far apart pixels lie.

    Raises:
        InvalidInputError: the name is unknown, or its path does not import or gives nothing that can be called; or the
            images do not have an axis that is to be mirrored.
    """
    name, strength = settings.augment, settings.augment_strength
    mirror = axes_to_mirror(settings.mirror, split.images[0].ndim - 1)
    if name in WITH_BATCHES:
        return None
    if name == "standard":
        return StandardAugmentation.of_strength(strength, mirror)
    if name == "strong":
        return StrongAugmentation(strength, mirror=mirror, spacing=_typical_spacing(split))
    if problem := augmentation_problem(name):
        raise InvalidInputError(problem)
    augmentation: Augmentation = _called(name, "training.augment")
    return augmentation


def trained_mirrored(settings: AugmentationSettings, axes: int) -> tuple[int, ...]:
    """Axes along which a network was trained on mirrored images, so that test-time augmentation may mirror them.

    They are those that `mirror` names; without it all of them, but none where the training mirrors nothing, or where
    only its own code knows.

    Args:
        settings: of the training.
        axes: how many spatial axes there are.

    Raises:
        InvalidInputError: the images have no such axis.
    """
    return axes_to_mirror(settings.mirror, axes) if may_mirror(settings) else ()


def may_mirror(settings: AugmentationSettings) -> bool:
    """Whether there is an axis at all, see `trained_mirrored`."""
    return settings.augment in _MIRRORING if settings.mirror is None else bool(settings.mirror)


def augmentation_problem(name: str) -> str:
    """What is wrong with a name that is neither known nor a dotted path; empty where it may be right."""
    if ":" in name or name in AUGMENTATIONS:
        return ""
    hint = nearest(name, AUGMENTATIONS)
    return f"training.augment: found {name!r}, no augmentation and no package.module:name. {hint}"


def named_step(name: str | None) -> TrainStep | None:
    """What computes a batch's loss in place of the loop; None where it is the loop.

    Raises:
        InvalidInputError: the path does not import, or what it gives cannot be called.
    """
    if name is None:
        return None
    step: TrainStep = _called(name, "training.step")
    return step


def _typical_spacing(split: Split) -> tuple[float, ...] | None:
    """The median over the cases, along each axis; None where files do not say."""
    if not split.spacings:
        return None
    return tuple(float(value) for value in np.median(split.spacings, axis=0))


def _called(name: str, where: str) -> Any:
    found = import_object(name, where)()
    if not callable(found):
        raise InvalidInputError(f"{where}: {name} returned {type(found).__name__}, nothing to be called.")
    return found
