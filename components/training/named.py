"""One's own code that a configuration names by its dotted path."""

from typing import Any

from components.data import Augmentation, StandardAugmentation
from components.data.batches import AUGMENTATIONS as WITH_BATCHES
from components.dotted import import_object
from components.errors import InvalidInputError
from components.hints import nearest
from components.training.steps import TrainStep

AUGMENTATIONS = (*WITH_BATCHES, "standard")


def named_augmentation(name: str) -> Augmentation | None:
    """What a batch goes through on the device; None for what is done while batches are made.

    Raises:
        InvalidInputError: it is no known name and no path that imports, or what it gives cannot be called.
    """
    if name in WITH_BATCHES:
        return None
    if name == "standard":
        return StandardAugmentation()
    if problem := augmentation_problem(name):
        raise InvalidInputError(problem)
    augmentation: Augmentation = _called(name, "training.augment")
    return augmentation


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


def _called(name: str, where: str) -> Any:
    found = import_object(name, where)()
    if not callable(found):
        raise InvalidInputError(f"{where}: {name} returned {type(found).__name__}, nothing to be called.")
    return found
