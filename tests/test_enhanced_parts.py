"""Configurations by name, the recorder, the mixed loss and the helper of the enhanced training system."""

import logging
from pathlib import Path

import pytest
import torch

from components import (
    EnhancedModelCheckpoint,
    LossManager,
    MixedLoss,
    TrainingConfiguration,
    TrainingHelper,
    TrainingManager,
)
from components.checkpoints import CheckpointRecord
from components.errors import InvalidInputError
from tests.training_toys import batch, network
from tuning.config import StudyConfig


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_presets_are_valid_differ_and_go_through_a_file() -> None:
    presets = TrainingManager.presets()
    assert set(presets) == {"quick", "balanced", "thorough", "small_data", "imbalanced"}
    for name, preset in presets.items():
        preset.save(f"{name}.yaml")
        assert TrainingConfiguration.load(f"{name}.yaml") == preset
        assert preset.diff(preset) == {}
    assert presets["quick"].diff(presets["balanced"])["training.epochs"] == (5, 50)
    assert TrainingHelper.compare("quick", "balanced") == presets["quick"].diff(presets["balanced"])


def test_settings_have_the_names_and_meanings_of_a_studys() -> None:
    sections = TrainingConfiguration().to_mapping()
    only_here = {"loss": {"mode", "ignore_index"}, "checkpoint": {"monitor", "mode"}}
    for name, settings in sections.items():
        fields = StudyConfig.model_fields[name].annotation.model_fields  # type: ignore[union-attr]
        assert settings.keys() - only_here.get(name, set()) <= fields.keys()
    shared = {
        name: {key: value for key, value in settings.items() if key not in only_here.get(name, ())}
        for name, settings in TrainingConfiguration.from_mapping({"preset": "small_data"}).to_mapping().items()
    }
    study = StudyConfig.load({"name": "x", "data": {"build": "components.data.mni152:mni152_slices"}, **shared})
    assert study.training.epochs == 150


def test_all_problems_of_a_configuration_are_named_at_once() -> None:
    with pytest.raises(InvalidInputError) as caught:
        TrainingConfiguration.from_mapping(
            {"training": {"epochs": 0, "optimizer": "adam", "warmup": -1}, "checkpoint": {"strategy": "bests"}}
        )
    assert str(caught.value).splitlines() == [
        "training.epochs: found 0, must be at least 1.",
        (
            "training.optimizer: found 'adam', must be 'adamw' or 'sgd' or a path such as package.module:name. "
            "Hint: did you mean adamw?"
        ),
        "training.warmup: found -1, must be at least 0.",
        (
            "checkpoint.strategy: found 'bests', must be 'best' or 'epoch' or 'interval' or 'all' or 'adaptive'. "
            "Hint: did you mean best?"
        ),
    ]
    with pytest.raises(InvalidInputError, match=r"training.epoch: unknown setting. Hint: did you mean epochs\?"):
        TrainingManager("out", "unet", {"training": {"epoch": 3}})
    with pytest.raises(InvalidInputError, match=r"preset: found 'quik'. Hint: did you mean quick\?"):
        TrainingManager("out", "unet", {"preset": "quik"})
    with pytest.raises(InvalidInputError, match=r"loss: .*dicee"):
        TrainingManager("out", "unet", {"loss": {"type": "combined", "dicee_weight": 1.0}})


class Rows:
    """A recorder as a database would be, which may be away."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.away = False

    def committed(self, record: CheckpointRecord) -> None:
        if self.away:
            raise ConnectionError("the database is away")
        self.names.add(record.path.name)

    def removed(self, record: CheckpointRecord) -> None:
        self.names.discard(record.path.name)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_recorder_knows_what_the_directory_holds(*, asynchronous: bool) -> None:
    rows = Rows()
    with EnhancedModelCheckpoint("out", "unet", recorder=rows, save_strategy="epoch", max_checkpoints=2) as manager:
        for epoch, dice in enumerate((0.5, 0.9, 0.1, 0.7, 0.3), start=1):
            manager.save_checkpoint(network(), epoch=epoch, metrics={"val_dice": dice}, asynchronous=asynchronous)
        assert rows.names == {record.path.name for record in manager.list_checkpoints()}
        assert len(rows.names) == 3
        best = manager.best_checkpoint
        assert best is not None
        (best.path / "model.safetensors").write_bytes(b"damaged")
        assert manager.load_checkpoint("best", network()).epoch == 4
    assert best.path.name not in rows.names


def test_a_recorder_that_is_away_costs_no_checkpoint(caplog: pytest.LogCaptureFixture) -> None:
    rows = Rows()
    manager = EnhancedModelCheckpoint("out", "unet", recorder=rows)
    rows.away = True
    with caplog.at_level(logging.ERROR):
        assert manager.save_checkpoint(network(), epoch=1, metrics={"val_dice": 0.5}) is not None
    assert "could not be told" in caplog.text
    assert manager.load_checkpoint("best", network()).epoch == 1


def test_the_mixed_loss_is_the_combined_one_of_its_weights() -> None:
    images, masks = batch()
    mixed = MixedLoss(0.7, 0.3)
    combined = LossManager.create_loss_function({"type": "combined", "dice_weight": 0.7, "bce_weight": 0.3})
    assert torch.equal(mixed(images, masks), combined(images, masks))
    assert set(MixedLoss(mode="multiclass").weights) == {"dice", "ce"}
    with pytest.raises(InvalidInputError, match="weight"):
        MixedLoss(-1.0)


def test_a_helper_keeps_changes_and_loads_configurations() -> None:
    helper = TrainingHelper("out", "unet", {"preset": "quick"}).with_adaptive_schedule()
    assert helper.configuration.loss.schedule == {"type": "adaptive"}
    changed = helper.with_changes({"training": {"epochs": 2}, "checkpoint": {"strategy": "epoch"}})
    path = changed.save_configuration()
    assert TrainingHelper.from_file(path).configuration == changed.configuration
    manager = changed.setup(network(), report=None)
    assert len(manager.fit([batch()], [batch(seed=1)])) == 2
    with pytest.raises(InvalidInputError, match="did you mean 'adaptive'"):
        helper.with_adaptive_schedule("adaptiv")
