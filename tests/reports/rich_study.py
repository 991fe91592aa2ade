"""A study whose report has every section and every kind of figure."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.checkpoints import CheckpointManager
from components.data import SegmentationData, Split
from components.metrics.masks import PackedMasks
from tests.report_studies import StudyWriter, write_finalists

CASES = ("case_0", "case_1", "case_2", "case_3")
CLASSES = ("vessel", "lesion", "a class with a rather long name")
_SIDE = 48
_EPOCHS = 12


def write_rich_study(root: Path, marked: str) -> Path:
    """A study of several losses, strategies, schedules and classes, with pictures, finalists and every end of a trial.

    Args:
        root: to make.
        marked: text that a user may have written wherever a user may write.
    """
    study = StudyWriter(root, epochs=_EPOCHS, name=marked)
    cases = {case: 0.5 + 0.05 * number for number, case in enumerate((*CASES, marked))}
    study.add(_curve(0.7), baseline="dice", weights={"dice": 1.0}, cases=cases)
    study.add(_curve(0.6), baseline=marked, weights={marked: 1.0}, cases=cases)
    for number in range(12):
        share = number / 12
        study.add(
            _curve(0.66 + number / 100),
            weights={"dice": 0.2 + 0.5 * share, "bce": 0.5 - 0.3 * share, "focal": 0.3 - 0.2 * share},
            params={
                "training.lr": 10 ** (-1 - 2 * share),
                "model.name": marked if number % 3 else "unet",
                "checkpoint.strategy": ("best", "epoch", "adaptive")[number % 3],
                "loss.schedule": {"type": ("constant", "dwa", "linear")[number % 3]},
            },
            cases={case: dice + 0.01 * number for case, dice in cases.items()},
        )
    study.add(_curve(0.5)[:3], state="pruned", cause=f"stopped at rung 3 {marked}")
    study.add(_curve(0.4)[:4], state="running")
    study.add([0.1], state="failed", cause=marked, log=f"{marked}\n" * 3 + "a long line " * 30)
    study.write()
    for number in (-1, 11):
        _move_weights(study.directory.trial(number).metrics)
        _score_classes(study.directory.trial(number).cases)
        _keep_predictions(root, study.directory.trial(number).index, wrong=6 if number < 0 else 3)
    write_finalists(root)
    return root


def rich_data() -> SegmentationData:
    """Images with a square of each class."""
    random = np.random.default_rng(0)
    masks = []
    for number in range(len(CASES)):
        mask = np.zeros((_SIDE, _SIDE), np.uint8)
        for label in range(1, 1 + len(CLASSES)):
            mask[10 * label : 10 * label + 8, 6 + number : 30 + number] = label
        masks.append(mask)
    images = [(mask + random.standard_normal(mask.shape))[None].astype(np.float32) for mask in masks]
    split = Split(images, masks, CASES, CASES)
    return SegmentationData("squares", "multiclass", ("background", *CLASSES), split, split, split)


def _curve(top: float) -> list[float]:
    return [top * (1 - 0.5**epoch) for epoch in range(1, 1 + _EPOCHS)]


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _move_weights(metrics: Path) -> None:
    """As a schedule does: from the first term to the others."""
    moved = []
    for row in _rows(metrics):
        names = [name for name in row if name.startswith("weight_")]
        shift = 0.5 * row["epoch"] / _EPOCHS
        weights = {name: row[name] * (1 - shift) if name == names[0] else row[name] * (1 + shift) for name in names}
        moved.append(row | weights)
    _write(metrics, moved)


def _score_classes(cases: Path) -> None:
    rows = _rows(cases)
    _write(
        cases, [row | {"class": name, "dice": row["dice"] - 0.1 * i} for row in rows for i, name in enumerate(CLASSES)]
    )


def _keep_predictions(root: Path, index: Path, *, wrong: int) -> None:
    """A checkpoint for the last line of the index, whose masks miss some rows and find others in vain."""
    masks = PackedMasks("multiclass")
    for truth in rich_data().val.masks:
        found = np.roll(truth, wrong, axis=0)
        masks.add(
            torch.nn.functional.one_hot(torch.from_numpy(found).long(), 1 + len(CLASSES)).movedim(-1, 0)[None].float()
        )
    manager = CheckpointManager(root / "made", model_name="net", save_strategy="all")
    saved = manager.save_checkpoint(torch.nn.Linear(1, 1), None, None, 1, {}, extra={"predicted": masks.to_tensors()})
    assert saved is not None
    target = root / _rows(index)[-1]["path"]
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(saved, target)
    shutil.rmtree(root / "made")
