"""Augmentation of whole batches, on the device that trains, drawn from (seed, epoch) alone."""

from components.data.augmentation.applying import augmented
from components.data.augmentation.drawing import Augmentation, Batch
from components.data.augmentation.standard import StandardAugmentation
from components.data.augmentation.strong import StrongAugmentation

__all__ = ["Augmentation", "Batch", "StandardAugmentation", "StrongAugmentation", "augmented"]
