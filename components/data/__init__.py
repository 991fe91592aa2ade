"""Images and masks of a study: its splits, fingerprint and batches."""

from components.data.augmentation import Augmentation, StandardAugmentation, StrongAugmentation, augmented
from components.data.batches import evaluation_batches, training_batches
from components.data.dataset import SegmentationData, Split
from components.data.findings import find_warnings
from components.data.on_device import DeviceCases, hold_on_device
from components.data.sampler import ResumableSampler
from components.data.summary import summarize

__all__ = [
    "Augmentation",
    "DeviceCases",
    "ResumableSampler",
    "SegmentationData",
    "Split",
    "StandardAugmentation",
    "StrongAugmentation",
    "augmented",
    "evaluation_batches",
    "find_warnings",
    "hold_on_device",
    "summarize",
    "training_batches",
]
