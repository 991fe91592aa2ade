"""What the store leaves alone, what it refuses, and what a manager carries over."""

import logging
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from components.checkpoints import (
    CheckpointManager,
    CheckpointRecord,
    LocalStore,
    TrainingState,
    restore_checkpoint,
    verify_checkpoint,
    write_checkpoint,
)
from components.errors import CheckpointDamagedError, InvalidInputError

MODEL = nn.Linear(2, 1)


def write(folder: Path, **options: Any) -> CheckpointRecord:
    state = TrainingState(MODEL, **options)
    return write_checkpoint(folder, state, epoch=3, metrics={"val_dice": 0.5}, kind="best", durable=False)


def offer(manager: CheckpointManager, epoch: int, score: float = 0.5) -> Path | None:
    return manager.save_checkpoint(MODEL, epoch=epoch, metrics={"val_dice": score})


@pytest.mark.parametrize("bit", [0, 5])
def test_each_flipped_byte_of_a_manifest_is_noticed(tmp_path: Path, bit: int) -> None:
    write(tmp_path / "one")
    path = tmp_path / "one" / "manifest.json"
    content = path.read_bytes()
    before = verify_checkpoint(tmp_path / "one")
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << bit
        path.write_bytes(flipped)
        try:
            record = verify_checkpoint(tmp_path / "one")
        except CheckpointDamagedError:
            continue
        assert record.metrics == before.metrics, f"byte {place} changed what the checkpoint says"
        assert record.epoch == before.epoch


def test_a_manifest_with_a_flipped_byte_costs_only_its_own_checkpoint(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path)
    offer(manager, 1, 0.5)
    path = offer(manager, 2, 0.6)
    assert path is not None
    manifest = path / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"sha256", b"shb256", 1))
    assert CheckpointManager(tmp_path).load_checkpoint("best", MODEL).epoch == 1


def test_a_file_that_the_manifest_does_not_name_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "one")
    (tmp_path / "one" / "stray.py").write_text("")
    with pytest.raises(CheckpointDamagedError, match=r"not those of the manifest: stray\.py"):
        verify_checkpoint(tmp_path / "one")


def test_a_checkpoint_that_is_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "one")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    with pytest.raises(CheckpointDamagedError, match="symbolic link"):
        verify_checkpoint(tmp_path / "two")


def test_names_with_slashes_do_not_collide(tmp_path: Path) -> None:
    write(tmp_path / "one", extra={"a/b": torch.tensor(1), "a": {"b": torch.tensor(2), "b+": torch.tensor(3)}})
    state = TrainingState(None)
    restore_checkpoint(tmp_path / "one", state)
    assert state.extra == {"a/b": 1, "a": {"b": 2, "b+": 3}}


def test_folders_that_are_no_checkpoints_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "manifest.json").write_text("mine")
    CheckpointManager(tmp_path)
    assert (tmp_path / "logs" / "manifest.json").read_text() == "mine"


@pytest.mark.parametrize("lost", ["manifest.json", "model.safetensors"])
def test_a_checkpoint_that_lost_a_file_is_set_aside_at_opening(tmp_path: Path, lost: str) -> None:
    manager = CheckpointManager(tmp_path)
    offer(manager, 1, 0.5)
    path = offer(manager, 2, 0.6)
    assert path is not None
    (path / lost).unlink()
    assert [record.epoch for record in CheckpointManager(tmp_path).list_checkpoints()] == [1]
    assert (tmp_path / f".damaged-{path.name}").is_dir()


def test_epochs_may_be_counted_from_zero(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path, save_strategy="epoch")
    assert [offer(manager, epoch) is not None for epoch in (0, 0, 1)] == [True, False, True]


def test_what_was_just_saved_stays_when_training_went_back_to_an_earlier_epoch(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path, save_strategy="all", max_checkpoints=1)
    offer(manager, 5, 0.9)
    path = offer(manager, 4, 0.1)
    assert path is not None
    assert verify_checkpoint(path).epoch == 4


@pytest.mark.parametrize("wrong", [{"metrics": {"per_class": [0.1, 0.2]}}, {"metadata": {"folder": Path()}}])
def test_what_json_cannot_hold_is_refused_and_leaves_nothing(tmp_path: Path, wrong: dict[str, Any]) -> None:
    manager = CheckpointManager(tmp_path, save_strategy="all")
    with pytest.raises(InvalidInputError, match=r"per_class|metadata"):
        manager.save_checkpoint(MODEL, epoch=1, **wrong)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".user-")] == ["index.json"]


def test_an_interrupt_while_writing_leaves_nothing(tmp_path: Path) -> None:
    def interrupted(folder: Path) -> CheckpointRecord:
        write(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LocalStore(tmp_path).save("one", interrupted)
    assert [path.name for path in tmp_path.iterdir()] == ["index.json"]


def test_a_save_succeeds_though_another_process_prunes_it_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = LocalStore(tmp_path), LocalStore(tmp_path)

    def prune(_: Path) -> None:
        for record in other.records():
            other.remove(record)

    monkeypatch.setattr("components.checkpoints.local_store.sync_folder", prune)
    record = store.save("one", write)
    assert (record.path, record.epoch) == (tmp_path / "one", 3)
    assert store.records() == []


def test_too_little_space_is_seen_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    manager = CheckpointManager(tmp_path)
    offer(manager, 1, 0.5)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    assert offer(manager, 2, 0.6) is None
    assert re.search(r"nothing saved, training goes on: .*10 bytes free, about .* needed", caplog.text)
    monkeypatch.undo()
    assert manager.load_checkpoint("best", MODEL).epoch == 1
    assert offer(manager, 2, 0.6) is not None


def test_a_missing_metric_is_warned_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    manager = CheckpointManager(tmp_path)
    with caplog.at_level(logging.WARNING):
        for epoch in (1, 2, 3):
            manager.save_checkpoint(MODEL, epoch=epoch, metrics={"val_dice": "none"})
    assert [record.message for record in caplog.records] == [
        "val_dice is no finite number, so never best: found none at epoch 1"
    ]


def test_a_manager_that_takes_its_state_back_decides_as_uninterrupted(tmp_path: Path) -> None:
    now = [0.0]
    options: dict[str, Any] = {"save_strategy": "interval", "interval_minutes": 1, "clock": lambda: now[0]}
    first = CheckpointManager(tmp_path, **options)
    now[0] = 50
    assert offer(first, 1) is None
    state = first.state_dict()
    now[0] = 1000  # another process, whose clock began elsewhere
    second = CheckpointManager(tmp_path, **options)
    second.load_state_dict(state)
    now[0] = 1009
    assert offer(second, 2) is None
    now[0] = 1010
    assert offer(second, 3) is not None
    progress = second.training_progress()
    assert (progress["epochs"], progress["best_epoch"], progress["seconds"]) == (3, 1, 60)
    with pytest.raises(InvalidInputError, match="no state of a checkpoint manager"):
        second.load_state_dict({"seconds": 1})
    assert second.training_progress() == progress
