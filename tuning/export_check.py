"""Run in a fresh process: does a bundle give the masks again that the trial recorded with its checkpoint?

python -m tuning.export_check BUNDLE CHECKPOINT FINGERPRINT
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from components.checkpoints import TrainingState, restore_checkpoint
from components.deployment import load_model
from components.metrics.masks import HardMask, PackedMasks
from components.training import accelerate
from tuning.building import device_of
from tuning.config import StudyConfig
from tuning.data import describe_data, load_data
from tuning.dotted import make_working_directory_importable
from tuning.errors import ExportError
from tuning.export import SETTINGS
from tuning.fold import PREDICTED
from tuning.objective import dice_of_weights
from tuning.validation import validate


def check_bundle(folder: Path, checkpoint: Path, fingerprint: str) -> dict[str, Any]:
    """Predict the validation split with a bundle, in the study's precision and in fp32.

    Args:
        folder: the bundle, with the trial's settings.
        checkpoint: holds the recorded masks.
        fingerprint: of the study's data.

    Returns:
        As `tuning.export.Export.check`.

    Raises:
        ExportError: the data are no longer those of the study.
    """
    settings = StudyConfig.load(yaml.safe_load((folder / SETTINGS).read_text(encoding="utf-8")))
    folds = load_data(settings.data)
    if describe_data(folds)["fingerprint"] != fingerprint:
        raise ExportError("the data have changed since the study ran. Hint: restore them.")
    state = TrainingState(model=None, rng=False)
    record = restore_checkpoint(checkpoint, state)
    data = folds[(record.epoch - 1) // settings.training.epochs if settings.data.folds else 0]
    shapes = [mask.shape for mask in data.val.masks]
    recorded = PackedMasks.from_tensors(data.mode, state.extra[PREDICTED]).unpack(shapes)

    torch.set_num_threads(settings.resources.cpus_per_trial)
    device = device_of(settings) if torch.cuda.is_available() else "cpu"
    model = accelerate(load_model(folder).to(device))  # as in the trial, so that rounding is the same
    again, predicted = validate(model, data, settings)
    plain = again if settings.training.precision == "fp32" else validate(model, data, settings, "fp32")[0]
    masks = predicted.unpack(shapes)
    return {
        "cases": len(masks),
        "equal_masks": sum(np.array_equal(a, b) for a, b in zip(masks, recorded, strict=True)),
        "flipped": _flipped(masks, recorded),
        "precision": settings.training.precision,
        "device": device,
        "dice": {"recorded": dice_of_weights(record.metrics), "again": again.mean, "fp32": plain.mean},
    }


def _flipped(masks: list[HardMask], recorded: list[HardMask]) -> float:
    different = sum(int((a != b).sum()) for a, b in zip(masks, recorded, strict=True))
    return different / sum(mask.size for mask in masks)


if __name__ == "__main__":
    make_working_directory_importable()
    json.dump(check_bundle(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]), sys.stdout)
