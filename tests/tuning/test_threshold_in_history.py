"""Each epoch of a trial says which threshold would have been the best on validation; the objective stays at ½."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from benchmarks.toy import tiny_data
from components.deployment.bundle import WEIGHTS
from components.training import accelerate
from tests.folders import tiff_folder
from tuning import Study, StudyConfig
from tuning.building import build_model
from tuning.data import load_data
from tuning.network_task import NetworkTask
from tuning.record import StudyDirectory
from tuning.store import TuneStore
from tuning.trial import Shared, trial_epochs

Make = Callable[..., StudyConfig]


def rows_of(config: StudyConfig, folder: Path) -> list[dict[str, Any]]:
    """Train a trial; its rows, and in `folder` each epoch's checkpoint."""
    folder.mkdir()
    store = TuneStore(folder / "staging", [], lambda: folder.glob("epoch_*"))
    shared = Shared(config, NetworkTask(load_data(config.data)), str(folder))
    rows = []
    for row, _, _ in trial_epochs({"number": 0, "overrides": {}, "checkpoints": []}, shared, store):
        if store.staged:
            shutil.copytree(store.staged.path, folder / f"epoch_{row['epoch']}")
            store.discard()
        rows.append(row)
    return rows


def dice_at(threshold: float, probabilities: np.ndarray, masks: np.ndarray) -> float:
    predicted = probabilities > threshold
    both, sizes = (predicted & masks).sum((1, 2, 3)), predicted.sum((1, 2, 3)) + masks.sum((1, 2, 3))
    return float((2 * both / sizes).mean())


def test_each_epoch_has_the_best_threshold_of_its_own_network(study_config: Make, tmp_path: Path) -> None:
    config = study_config(
        training={"epochs": 3, "lr": 0.01, "precision": "fp32"},
        checkpoint={"strategy": "epoch", "max_checkpoints": 9},
    )
    val = tiny_data().val
    images, masks = torch.from_numpy(np.stack(val.images)), np.stack(val.masks) == 1
    rows = rows_of(config, tmp_path / "trial")
    for row in rows:
        model = build_model(config, tiny_data())
        model.load_state_dict(load_file(tmp_path / "trial" / f"epoch_{row['epoch']}" / WEIGHTS))
        with torch.inference_mode():
            probabilities = accelerate(model).eval()(images).double().sigmoid().numpy()
        every = {step: dice_at(step / 100, probabilities, masks) for step in range(1, 100)}
        best = max(every.values())
        assert row["val_dice_tuned"] == pytest.approx(best)
        assert every[round(100 * row["val_threshold"])] == pytest.approx(best)
        assert row["val_dice"] == pytest.approx(every[50])
    assert any(row["val_dice_tuned"] > row["val_dice"] for row in rows)


def test_classes_of_which_the_largest_logit_decides_have_no_threshold(study_config: Make, tmp_path: Path) -> None:
    data = {"root": str(tiff_folder(tmp_path / "kinds")), "build": None, "ignore": 255}
    config = study_config(data=data | {"classes": ["background", "red", "blue"]}, training={"epochs": 1})
    (row,) = rows_of(config, tmp_path / "trial")
    assert "val_dice_red" in row
    assert not [name for name in row if "threshold" in name or "tuned" in name]


@pytest.mark.usefixtures("ray_session")
def test_a_study_keeps_it_in_its_history_and_judges_by_one_half(study_config: Make, folder: Path) -> None:
    config = study_config(search={"trials": 1, "baselines": False}, training={"epochs": 2}, scheduler={"type": "none"})
    (trial,) = Study(config, folder).run().trials
    rows = StudyDirectory(folder).trial(0).epochs()
    assert all(0 < row["val_threshold"] < 1 and row["val_dice_tuned"] >= row["val_dice"] for row in rows.values())
    assert trial.dice == {epoch: row["val_dice"] for epoch, row in rows.items()}
