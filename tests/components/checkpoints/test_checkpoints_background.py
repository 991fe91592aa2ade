"""Saving in the background: what was copied, when it is durable, where an error shows."""

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from components.checkpoints import CheckpointManager, CheckpointRecord, LocalStore, verify_checkpoint
from components.checkpoints.store import Write
from components.errors import CheckpointError


class Gated(LocalStore):
    """A local directory whose writes wait for a gate, and fail when told to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.gate, self.broken, self.begun = threading.Event(), False, 0

    def save(self, name: str, write: Write) -> CheckpointRecord:
        self.begun += 1
        assert self.gate.wait(10)
        if self.broken:
            raise CheckpointError("the disk is on fire")
        return super().save(name, write)


def filled(value: float) -> nn.Linear:
    model = nn.Linear(2, 1)
    nn.init.constant_(model.weight, value)
    return model


def test_what_training_does_next_is_not_in_the_checkpoint(tmp_path: Path) -> None:
    store, model = Gated(tmp_path), filled(1.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    manager = CheckpointManager(store=store)
    metrics = {"val_dice": 0.5}
    seen, scale = [1, 2], torch.tensor(1.0)
    extra = {"seen": seen, "scale": scale}
    handle = manager.save_checkpoint(model, optimizer, epoch=1, metrics=metrics, extra=extra, asynchronous=True)
    assert handle is not None
    assert not handle.done()
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 7.0
    metrics["val_dice"] = 9.0
    seen.append(3)
    scale += 1
    store.gate.set()
    path = handle.result()
    assert verify_checkpoint(path).metrics == {"val_dice": 0.5}
    restored, found = nn.Linear(2, 1), dict[str, Any]()
    again = torch.optim.SGD(restored.parameters(), lr=0.5, momentum=0.9)
    manager.load_checkpoint("latest", restored, again, extra=found)
    assert restored.weight.tolist() == [[1.0, 1.0]]
    assert again.param_groups[0]["lr"] == 0.1
    assert found == {"seen": [1, 2], "scale": torch.tensor(1.0)}


def test_one_write_is_in_flight_and_the_next_call_waits_for_it(tmp_path: Path) -> None:
    store = Gated(tmp_path)
    manager = CheckpointManager(store=store, save_strategy="epoch")
    manager.save_checkpoint(filled(1.0), epoch=1, metrics={"val_dice": 0.5}, asynchronous=True)
    threading.Timer(0.2, store.gate.set).start()
    second = manager.save_checkpoint(filled(2.0), epoch=2, metrics={"val_dice": 0.6}, asynchronous=True)
    assert [record.epoch for record in store.records()] in ([1], [1, 2])
    assert second is not None
    second.result()
    assert [record.epoch for record in manager.list_checkpoints()] == [1, 2]


def test_what_is_best_is_known_before_the_next_decision(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path, save_strategy="best")
    saved = [
        manager.save_checkpoint(filled(1.0), epoch=epoch, metrics={"val_dice": score}, asynchronous=True) is not None
        for epoch, score in enumerate((0.5, 0.4, 0.6, 0.6), start=1)
    ]
    assert saved == [True, False, True, False]
    best = manager.best_checkpoint
    assert best is not None
    assert best.epoch == 3


def test_many_saves_keep_what_saving_in_the_loop_keeps(tmp_path: Path) -> None:
    scores = [0.3, 0.9, 0.1, 0.8, 0.7, 0.95, 0.2]
    kept = []
    for asynchronous in (False, True):
        manager = CheckpointManager(tmp_path / str(asynchronous), save_strategy="epoch", max_checkpoints=2)
        for epoch, score in enumerate(scores, start=1):
            if asynchronous:
                manager.save_checkpoint(filled(epoch), epoch=epoch, metrics={"val_dice": score}, asynchronous=True)
            else:
                manager.save_checkpoint(filled(epoch), epoch=epoch, metrics={"val_dice": score})
        kept.append([record.epoch for record in manager.list_checkpoints()])
    assert kept[0] == kept[1] == [2, 6, 7]


def test_an_error_shows_at_the_next_call_once(tmp_path: Path) -> None:
    store = Gated(tmp_path)
    store.gate.set()
    manager = CheckpointManager(store=store, save_strategy="epoch")
    store.broken = True
    manager.save_checkpoint(filled(1.0), epoch=1, metrics={"val_dice": 0.5}, asynchronous=True)
    with pytest.raises(CheckpointError, match="on fire"):
        manager.save_checkpoint(filled(2.0), epoch=2, metrics={"val_dice": 0.5}, asynchronous=True)
    assert store.begun == 1
    store.broken = False
    assert manager.save_checkpoint(filled(2.0), epoch=2, metrics={"val_dice": 0.5}) is not None


def test_an_error_that_was_seen_is_not_raised_again(tmp_path: Path) -> None:
    store = Gated(tmp_path)
    store.gate.set()
    store.broken = True
    manager = CheckpointManager(store=store)
    handle = manager.save_checkpoint(filled(1.0), epoch=1, metrics={"val_dice": 0.5}, asynchronous=True)
    assert handle is not None
    with pytest.raises(CheckpointError, match="on fire"):
        handle.result()
    manager.close()


def test_leaving_the_block_finishes_the_write_and_raises_its_error(tmp_path: Path) -> None:
    store = Gated(tmp_path)
    threading.Timer(0.1, store.gate.set).start()
    with CheckpointManager(store=store, save_strategy="epoch") as manager:
        manager.save_checkpoint(filled(1.0), epoch=1, metrics={"val_dice": 0.5}, asynchronous=True)
    assert [record.epoch for record in LocalStore(tmp_path).records()] == [1]
    store.broken = True
    with pytest.raises(CheckpointError, match="on fire"), manager:
        manager.save_checkpoint(filled(1.0), epoch=2, metrics={"val_dice": 0.5}, asynchronous=True)


def test_an_error_of_the_block_itself_goes_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Gated(tmp_path)
    store.gate.set()
    store.broken = True

    def train() -> None:
        with CheckpointManager(store=store) as manager:
            manager.save_checkpoint(filled(1.0), epoch=1, metrics={"val_dice": 0.5}, asynchronous=True)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    assert "on fire" in caplog.text


def test_a_real_write_error_shows_and_leaves_earlier_checkpoints(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path / "run", save_strategy="epoch")
    first = manager.save_checkpoint(filled(1.0), epoch=1, metrics={"val_dice": 0.5})
    assert first is not None
    shutil.move(tmp_path / "run", tmp_path / "away")
    handle = manager.save_checkpoint(filled(2.0), epoch=2, metrics={"val_dice": 0.6}, asynchronous=True)
    assert handle is not None
    with pytest.raises(CheckpointError, match="is no longer there"):
        handle.result()
    assert verify_checkpoint(tmp_path / "away" / first.name).epoch == 1
