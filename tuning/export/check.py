"""Run in a fresh process: does a bundle give the masks again that the trial recorded, and how does it score?

python -m tuning.export.check BUNDLE FINGERPRINT EPOCH [CHECKPOINT]
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from components.checkpoints import TrainingState, restore_checkpoint
from components.data import SegmentationData
from components.deployment import load_model
from components.deployment.bundle import read_bundle
from components.metrics import (
    DiceScores,
    LogitSample,
    ThresholdCounts,
    fit_temperature,
    overlap_scores,
    reliability,
    sweep_threshold,
    threshold_counts,
)
from components.metrics.masks import PackedMasks
from components.training import accelerate
from components.training.mirrored import Mirrored
from tuning.building import device_of
from tuning.config import StudyConfig
from tuning.data import describe_data, load_data
from tuning.dotted import make_working_directory_importable
from tuning.errors import ExportError
from tuning.export.scores import describe_intervals
from tuning.export.source import SETTINGS, fold_of
from tuning.objective import dice_of_weights
from tuning.surface import PREDICTED
from tuning.validation import validate


def check_bundle(folder: Path, fingerprint: str, epoch: int, checkpoint: Path | None = None) -> dict[str, Any]:
    """Predict the validation split with a bundle, in the study's precision and in fp32.

    Args:
        folder: the bundle, with the trial's settings.
        fingerprint: of the study's data.
        epoch: of the weights, which says the fold.
        checkpoint: holds the recorded masks; None for weights that the study never validated.

    Returns:
        As `tuning.export.Export.check`.

    Raises:
        ExportError: the data are no longer those of the study.
    """
    settings = StudyConfig.load(yaml.safe_load((folder / SETTINGS).read_text(encoding="utf-8")))
    folds = load_data(settings.data)
    if describe_data(folds)["fingerprint"] != fingerprint:
        raise ExportError("the data have changed since the study ran. Hint: restore them.")
    data = folds[fold_of(settings, epoch)]
    torch.set_num_threads(settings.resources.cpus_per_trial)
    device = device_of(settings) if torch.cuda.is_available() else "cpu"
    model = accelerate(load_model(folder).to(device))  # as in the trial, so that rounding is the same
    # Thresholds and temperature cost no pass of their own; they are those of fp32, as what is handed over.
    thresholds = threshold_counts(data.mode, data.ignore_index)
    sample = LogitSample(data.mode, ignore_index=data.ignore_index)
    watching: dict[str, Any] = {"thresholds": thresholds, "sample": sample}
    as_studied = settings.training.precision == "fp32"
    tta = read_bundle(folder)["tta"]
    axes = tta["axes"] if tta["used"] else []
    once = {} if axes else watching  # what is handed over is watched, after the gate has seen it as it was recorded
    again, predicted = validate(model, data, settings, **(once if as_studied else {}))
    plain = again if as_studied else validate(model, data, settings, "fp32", **once)[0]
    final = validate(Mirrored(model, data.mode, axes), data, settings, "fp32", **watching)[0] if axes else plain
    calibration = _calibrated(sample)
    recorded = {"equal_masks": None, "flipped": None, "recorded": None}
    if checkpoint is not None:
        recorded = _beside_recorded(data, predicted, checkpoint)
    return {
        "cases": len(data.val),
        "equal_masks": recorded["equal_masks"],
        "flipped": recorded["flipped"],
        "precision": settings.training.precision,
        "device": device,
        "dice": {
            "recorded": recorded["recorded"],
            "again": again.mean,
            "fp32": plain.mean,
            "tta": final.mean if axes else None,
        },
        "threshold": None if thresholds is None else _tuned(data, thresholds, calibration["temperature"]),
        "calibration": calibration,
        "intervals": _intervals(data, final),
    }


def _intervals(data: SegmentationData, scores: DiceScores) -> dict[str, Any]:
    """Each metric's mean over the groups of validation; ends of an interval are cut to 0 and 1."""
    found = overlap_scores(scores.counts)
    scored = np.asarray(data.scored)
    return describe_intervals({name: one.per_case[:, scored] for name, one in found.items()}, data.val.groups)


def _calibrated(sample: LogitSample) -> dict[str, Any]:
    """The temperature that suits validation best, and how reliable probabilities are there without and with it."""
    temperature = fit_temperature(sample)
    return {
        "temperature": temperature,
        "fitted_on": "validation",
        "pixels": len(sample.truth),
        "before": reliability(sample).describe(),
        "after": reliability(sample, temperature).describe(),
    }


def _tuned(data: SegmentationData, counted: ThresholdCounts, temperature: float) -> dict[str, Any]:
    """The threshold of each class that gives the best Dice on validation, and what that gains there.

    It is one of the calibrated probability, which the predictor gives.
    """
    sweep = sweep_threshold(counted, data.scored)
    odds = [(value / (1 - value)) ** (1 / temperature) for value in sweep.tuned]
    return {
        "tuned": dict(zip(data.foreground, [odd / (1 + odd) for odd in odds], strict=True)),
        "tuned_on": "validation",
        "cases": len(data.val),
        "dice_at_half": sweep.dice_at_half,
        "dice_at_tuned": sweep.dice_at_tuned,
    }


def _beside_recorded(data: SegmentationData, predicted: PackedMasks, checkpoint: Path) -> dict[str, Any]:
    state = TrainingState(model=None, rng=False)
    record = restore_checkpoint(checkpoint, state)
    shapes = [mask.shape for mask in data.val.masks]
    stored = PackedMasks.from_tensors(data.mode, state.extra[PREDICTED])
    pairs = list(zip(predicted.unpack(shapes), stored.unpack(shapes), strict=True))
    return {
        "equal_masks": sum(np.array_equal(again, before) for again, before in pairs),
        "flipped": sum(int((again != before).sum()) for again, before in pairs) / sum(mask.size for mask, _ in pairs),
        "recorded": dice_of_weights(record.metrics),
    }


if __name__ == "__main__":
    make_working_directory_importable()
    json.dump(check_bundle(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), *map(Path, sys.argv[4:])), sys.stdout)
