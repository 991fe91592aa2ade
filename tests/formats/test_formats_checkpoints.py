"""Checkpoints of every format so far are read, those of a later one refused in plain words."""

import json
import logging
import math
import random
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from components.checkpoints import CheckpointManager, TrainingState, restore_checkpoint, verify_checkpoint
from components.checkpoints.record import FORMAT_VERSION, UnknownFormatError, manifest_bytes
from tests.formats import kept_checkpoint
from tests.formats.kept_checkpoint import BIAS, FOLDER, SEED, WEIGHT, fresh_parts

VERSIONS = range(1, FORMAT_VERSION + 1)


def check(directory: Path) -> None:
    """It holds what `kept_checkpoint` wrote, to the last bit."""
    model, optimizer, scheduler = fresh_parts()
    state = TrainingState(model, optimizer, scheduler)
    record = restore_checkpoint(directory, state)
    assert (record.epoch, record.kind, record.metadata["host"], record.metadata["trial"]) == (7, "best", "example", 3)
    assert math.isnan(record.metrics.pop("val_loss"))
    assert record.metrics == {"val_dice": 0.75, "note": "kept", "epoch": 7}
    assert record.bytes == sum(path.stat().st_size for path in directory.iterdir())

    assert model.layer.weight.tolist() == WEIGHT
    assert model.layer.bias.tolist() == BIAS
    assert (int(model.get_buffer("seen")), model.note) == (42, "trained")
    assert [entry["momentum_buffer"].unique().tolist() for entry in optimizer.state.values()] == [[1.0], [1.0]]
    assert optimizer.param_groups[0]["lr"] == 0.25
    assert scheduler.last_epoch == 1
    assert state.extra["position"] == (3, 1)
    assert state.extra["order"].tolist() == [2, 0, 1]
    followed = random.random(), float(np.random.rand()), torch.rand(1).item()  # noqa: NPY002
    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002
    torch.manual_seed(SEED)
    assert followed == (random.random(), float(np.random.rand()), torch.rand(1).item())  # noqa: NPY002


@pytest.mark.fault(
    fault="a checkpoint of an older format (one of each is kept in tests/formats)", outcome="loads with the same values"
)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_kept_checkpoint_of_each_format_loads_with_its_values(version: int) -> None:
    check(FOLDER / f"checkpoint_v{version}")


def test_what_is_written_today_holds_the_same(tmp_path: Path) -> None:
    kept_checkpoint.write(tmp_path / "today")
    check(tmp_path / "today")


def test_a_kept_checkpoint_is_found_by_a_manager_and_trained_on(tmp_path: Path) -> None:
    for version in VERSIONS:
        shutil.copytree(FOLDER / f"checkpoint_v{version}", tmp_path / f"model_best_epoch_007_v{version}")
    manager = CheckpointManager(tmp_path)
    model, optimizer, scheduler = fresh_parts()
    assert manager.load_checkpoint("best", model, optimizer, scheduler).epoch == 7
    assert manager.save_checkpoint(model, optimizer, scheduler, 8, {"val_dice": 0.8}) is not None
    assert CheckpointManager(tmp_path).load_checkpoint("latest", fresh_parts()[0]).epoch == 8


def of_a_later_format(directory: Path) -> Path:
    """A whole checkpoint, but that its manifest says a later version, and has an entry that nobody knows."""
    shutil.copytree(FOLDER / f"checkpoint_v{FORMAT_VERSION}", directory)
    manifest = json.loads((directory / "manifest.json").read_text())
    del manifest["sha256"]
    manifest |= {"format": FORMAT_VERSION + 1, "later": True, "created": datetime.now(UTC).isoformat()}
    (directory / "manifest.json").write_bytes(manifest_bytes(manifest))
    return directory


@pytest.mark.fault(
    fault="a checkpoint of a newer format",
    outcome="refused, with both versions named; left where it is, since a newer segtune can read it",
)
def test_a_checkpoint_of_a_later_format_is_refused_and_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    later = of_a_later_format(tmp_path / "model_best_epoch_007")
    said = rf"found format version {FORMAT_VERSION + 1}, this segtune reads {FORMAT_VERSION}.*newer segtune"
    with pytest.raises(UnknownFormatError, match=said):
        verify_checkpoint(later)
    with caplog.at_level(logging.WARNING):
        manager = CheckpointManager(tmp_path, save_strategy="epoch", max_checkpoints=1)
    assert "does not count and is left alone" in caplog.text
    with pytest.raises(UnknownFormatError, match=said):
        manager.load_checkpoint(later, fresh_parts()[0])
    for epoch in (1, 2, 3):
        assert manager.save_checkpoint(nn.Linear(1, 1), epoch=epoch, metrics={"val_dice": 0.1}) is not None
    assert [record.epoch for record in manager.list_checkpoints()] == [3]
    assert later.is_dir()
