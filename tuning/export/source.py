"""What a model was trained and validated with."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from components.data import SegmentationData
from tuning.config import StudyConfig
from tuning.data import load_data
from tuning.validation import sliding_window

SETTINGS = "settings.yaml"  # of a bundle: those of its trial
FORMATS = ("safetensors", "onnx", "pt2")
_WHOLE = {2: 1024, 3: 96}  # images up to this go through the network as a whole, unless the study says otherwise
_OVERLAP = 0.25


def fold_of(settings: StudyConfig, epoch: int) -> int:
    """The fold, from 0, to which an epoch of a trial belongs."""
    return (epoch - 1) // settings.training.epochs if settings.data.folds else 0


@dataclass(frozen=True)
class Source:
    """What a model was validated with.

    Attributes:
        settings: of the trial.
        data: the fold.
    """

    settings: StudyConfig
    data: SegmentationData

    @classmethod
    def load(cls, settings: StudyConfig, epoch: int) -> "Source":
        """Load the data of the fold to which an epoch belongs."""
        return cls(settings, load_data(settings.data)[fold_of(settings, epoch)])

    def tiling(self) -> dict[str, Any]:
        """Windows for images that are larger than they: the study's own, or as large as its largest image at least.

        The study's are blended as in validation; where it had none, what a window sees whole is cut out of it.
        """
        window = sliding_window(self.data, self.settings)
        if window is not None:
            return {"size": list(window.size), "overlap": window.overlap, "blend": "gaussian"}
        sizes = self._multiples(np.maximum(self._largest(), _WHOLE[self.data.spatial_dims]))
        return {"size": sizes, "overlap": _OVERLAP, "blend": "centre"}

    def fixed_size(self) -> list[int]:
        """For networks that take one size: that of windows, else of the largest image."""
        window = sliding_window(self.data, self.settings)
        return list(window.size) if window is not None else self._multiples(self._largest())

    def _largest(self) -> Any:
        return np.max([image.shape[1:] for split in self.data.splits.values() for image in split.images], axis=0)

    def _multiples(self, sizes: Any) -> list[int]:
        divisor = self.settings.model.divisor
        return [-(-int(size) // divisor) * divisor for size in sizes]
