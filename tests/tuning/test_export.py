"""Handing over a trial's model: checked in a fresh process, or refused with nothing left behind."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from components.checkpoints import TrainingState, restore_checkpoint
from components.deployment import load_model, read_bundle, write_bundle
from tests.folders import png_folder
from tuning import Study, StudyConfig
from tuning.config import StudyConfig as Settings
from tuning.data import load_data
from tuning.errors import ExportError, StudyNotFoundError
from tuning.export import export_trial
from tuning.record import StudyDirectory

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return png_folder(tmp_path_factory.mktemp("data") / "discs")


@pytest.fixture(scope="module")
def study(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study in bf16."""
    settings = {
        "name": "discs",
        "data": {"root": str(data)},
        "training": {"epochs": 3, "batch": 2, "lr": 0.03, "precision": "bf16"},
        "search": {"trials": 1},
        "scheduler": {"type": "none"},
        "resources": {"concurrent": 2},
    }
    folder = tmp_path_factory.mktemp("studies") / "discs"
    Study(StudyConfig.load(settings), folder).run()
    return folder


def test_the_best_trial_is_handed_over_and_gives_the_recorded_masks_again(study: Path, tmp_path: Path) -> None:
    export = export_trial(study, tmp_path / "out")
    trials = {trial.name: json.loads((trial / "params.json").read_text()) for trial in (study / "trials").iterdir()}
    best = max(
        (StudyDirectory(study).trial(number) for number in (-1, -2, -3, -4, 0)),
        key=lambda trial: max(row["val_dice"] for row in trial.epochs().values()),
    )
    line = best.best_checkpoint()
    assert line is not None
    check = export.check
    assert (export.epoch, check["dice"]["recorded"]) == (line["epoch"], line["dice"])
    assert (check["equal_masks"], check["cases"], check["flipped"], check["precision"]) == (2, 2, 0.0, "bf16")
    assert check["dice"]["again"] == check["dice"]["recorded"]
    assert 0 < check["dice"]["fp32"] <= 1
    assert check["dice"]["fp32"] == pytest.approx(check["dice"]["again"], abs=0.02)

    assert {path.name for path in export.folder.iterdir()} == {
        "MODEL_CARD.md",
        "SHA256SUMS",
        "bundle.json",
        "metrics.json",
        "model.safetensors",
        "settings.yaml",
    }
    settings = Settings.load(yaml.safe_load((export.folder / "settings.yaml").read_text()))
    assert settings.loss.weights == trials[best.path.name]["loss.weights"]
    recorded = json.loads((export.folder / "metrics.json").read_text())["recorded"]
    assert recorded["val_dice"] == line["dice"]

    ours = load_model(export.folder)
    theirs = load_model(export.folder)
    restore_checkpoint(study / line["path"], TrainingState(theirs, rng=False))
    image = torch.from_numpy(load_data(settings.data)[0].val.images[0][None])
    assert torch.equal(ours(image), theirs(image))


def test_the_bundle_says_what_threshold_validation_would_choose(study: Path, tmp_path: Path) -> None:
    export = export_trial(study, tmp_path / "out")
    output = read_bundle(export.folder)["output"]
    found = output["tuned_threshold"]
    assert output["threshold"] == [0.5]
    assert found == export.check["threshold"]
    assert (found["tuned_on"], found["cases"], list(found["tuned"])) == ("validation", 2, output["classes"])
    assert found["dice_at_half"] == export.check["dice"]["fp32"]
    assert found["dice_at_half"] <= found["dice_at_tuned"] <= 1
    (threshold,) = found["tuned"].values()
    assert f"{threshold:.3g} is best on validation, which it was tuned on: Dice" in export.lines()[-1]
    calibration = export.check["calibration"]
    assert calibration["pixels"] == 2 * 32 * 32
    assert output["temperature"] == calibration["temperature"]
    assert calibration["after"]["nll"] <= calibration["before"]["nll"]
    dice = export.check["intervals"]["metrics"]["dice"]
    assert export.check["intervals"]["groups"] == 2
    assert dice["mean"] == pytest.approx(export.check["dice"]["fp32"])
    assert 0 <= dice["low"] <= dice["mean"] <= dice["high"] <= 1
    card = (export.folder / "MODEL_CARD.md").read_text()
    assert f"| dice | {dice['mean']:.4f} | {dice['low']:.4f} to {dice['high']:.4f} |" in card
    assert f"| expected calibration error | {calibration['before']['ece']:.4f} |" in card
    assert f"| {output['classes'][0]} | 0.5 | {threshold:.4g} |" in card
    metrics = json.loads((export.folder / "metrics.json").read_text())
    assert metrics["surface"]["best_epoch"] == export.epoch
    assert 0 <= metrics["surface"]["best_nsd"] <= 1


def test_any_trial_can_be_asked_for(study: Path, tmp_path: Path) -> None:
    assert export_trial(study, tmp_path / "out", -2).label == "baseline dice"
    assert read_bundle(tmp_path / "out")["trial"] == "baseline dice"
    with pytest.raises(ExportError, match=r"--trial 7: no such trial with a Dice\. Hint: there are -4, -3, -2, -1, 0"):
        export_trial(study, tmp_path / "other", 7)


def test_what_cannot_be_handed_over_leaves_nothing(study: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyNotFoundError, match="no study here"):
        export_trial(tmp_path / "none", tmp_path / "out")
    (tmp_path / "taken").mkdir()
    with pytest.raises(ExportError, match=r"taken: exists already\. Hint: name a new folder"):
        export_trial(study, tmp_path / "taken")
    image = data / "images" / "case_1.png"
    content = image.read_bytes()
    image.write_bytes((data / "images" / "case_2.png").read_bytes())
    with pytest.raises(ExportError, match=r"the data have changed since the study ran\. Hint: restore them"):
        export_trial(study, tmp_path / "out")
    image.write_bytes(content)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["taken"]


def test_weights_that_give_other_masks_are_refused(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate looks at masks: weights of another trial are a plausible model, but not the recorded one."""
    other = StudyDirectory(study).trial(-3).best_checkpoint()
    assert other is not None
    wrong = (study / other["path"] / "model.safetensors").read_bytes()

    def write_wrong(folder: Path, weights: bytes, *rest: Any) -> None:
        assert weights != wrong
        write_bundle(folder, wrong, *rest)

    monkeypatch.setattr("tuning.export.exporting.write_bundle", write_wrong)
    with pytest.raises(ExportError, match="the weights do not give the recorded masks again: "):
        export_trial(study, tmp_path / "out", -2)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_checkpoint_is_passed_over(study: Path, tmp_path: Path) -> None:
    line = StudyDirectory(study).trial(-1).best_checkpoint()
    assert line is not None
    weights = study / line["path"] / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1])
    others = [entry for entry in StudyDirectory(study).trial(-1).checkpoints() if entry["path"] != line["path"]]
    if others:
        assert export_trial(study, tmp_path / "out", -1).epoch == others[-1]["epoch"]
    else:
        with pytest.raises(ExportError, match=r"no usable checkpoint \(.*model\.safetensors: found"):
            export_trial(study, tmp_path / "out", -1)
    weights.write_bytes(content)


def test_a_checkpoint_that_is_removed_while_it_is_copied_is_looked_up_again(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = StudyDirectory(study).trial(0)
    line = trial.best_checkpoint()
    assert line is not None
    folder, moved = study / line["path"], (study / line["path"]).with_name("checkpoint_000099")
    copy = shutil.copytree

    def removing(source: Path, target: Path, **options: Any) -> Any:
        """Ray Tune replaces it by another one meanwhile, and the index says so."""
        if source == folder and folder.exists():
            folder.rename(moved)
            index = trial.path / "checkpoints.jsonl"
            index.write_text(index.read_text().replace(folder.name, moved.name))
        return copy(source, target, **options)

    monkeypatch.setattr("tuning.export.handover.shutil.copytree", removing)
    assert export_trial(study, tmp_path / "out", 0).epoch == line["epoch"]
