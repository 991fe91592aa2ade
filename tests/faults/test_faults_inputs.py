"""Metrics, weights, clocks and directories that are not what they should be."""

import logging
import math
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from components.checkpoints import (
    CheckpointManager,
    CheckpointRecord,
    LocalStore,
    TrainingState,
    take_snapshot,
    verify_checkpoint,
)
from components.errors import CheckpointError, InvalidInputError

_START = datetime(2026, 3, 29, 2, tzinfo=UTC)


def model_of(epoch: float) -> nn.Linear:
    model = nn.Linear(2, 1)
    nn.init.constant_(model.weight, epoch)
    return model


def offer(manager: CheckpointManager, epoch: int, metrics: dict[str, Any]) -> Path | None:
    return manager.save_checkpoint(model_of(epoch), epoch=epoch, metrics=metrics)


def epochs(manager: CheckpointManager) -> list[int]:
    return [record.epoch for record in manager.list_checkpoints()]


NO_NUMBER = [{"val_dice": math.nan}, {"val_dice": math.inf}, {"val_dice": "high"}, {"val_dice": None}, {}]
IDS = ["NaN", "infinity", "text", "null", "missing"]


@pytest.mark.fault(
    fault="the monitored metric is NaN, infinite, a text, null or missing",
    outcome="never best, with one warning; the real best stays best, also after a restart; latest is still saved",
)
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("metrics", NO_NUMBER, ids=IDS)
def test_a_metric_that_is_no_finite_number_is_never_best(
    tmp_path: Path, metrics: dict[str, Any], caplog: pytest.LogCaptureFixture, *, restart: bool
) -> None:
    best, every = (CheckpointManager(tmp_path / name, save_strategy=name) for name in ("best", "epoch"))
    for manager in (best, every):
        offer(manager, 1, {"val_dice": 0.3})
    assert offer(best, 2, metrics) is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "val_dice is no finite number, so never best" in caplog.text
    assert offer(every, 2, metrics) is not None
    if restart:
        best, every = (CheckpointManager(tmp_path / name, save_strategy=name) for name in ("best", "epoch"))
    assert every.load_checkpoint("best").epoch == 1
    assert every.load_checkpoint("latest").epoch == 2
    assert offer(best, 3, {"val_dice": 0.2}) is None
    assert offer(best, 4, {"val_dice": 0.4}) is not None


@pytest.mark.fault(fault="weights with NaN or infinity", outcome="not saved, with a warning; the best stays and loads")
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_are_not_finite_are_not_saved(
    tmp_path: Path, value: float, caplog: pytest.LogCaptureFixture
) -> None:
    manager = CheckpointManager(tmp_path, save_strategy="all")
    offer(manager, 1, {"val_dice": 0.3})
    assert manager.save_checkpoint(model_of(value), epoch=2, metrics={"val_dice": 0.9}) is None
    assert "the weights of epoch 2 hold NaN or infinity" in caplog.text
    model = model_of(0)
    assert manager.load_checkpoint("latest", model).epoch == 1
    assert epochs(CheckpointManager(tmp_path)) == [1]


@pytest.mark.fault(fault="metrics of another epoch than the weights", outcome="refused by name; nothing is written")
def test_metrics_of_another_epoch_are_refused(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path, save_strategy="all")
    manager.close()
    for asynchronous in (False, True):
        with pytest.raises(InvalidInputError, match="metrics of epoch 4 do not belong to weights of epoch 5"):
            manager.save_checkpoint(
                model_of(5), epoch=5, metrics={"val_dice": 0.9, "epoch": 4}, asynchronous=asynchronous
            )
    assert [path.name for path in tmp_path.iterdir()] == ["index.json"]


@pytest.mark.fault(fault="equal metrics", outcome="the later epoch is better, also after a restart")
@given(
    scores=st.lists(st.sampled_from([0.1, 0.5, 0.9]), min_size=1, max_size=6),
    count=st.integers(1, 3),
    mode=st.sampled_from(["min", "max"]),
)
@settings(max_examples=15, deadline=None)
def test_ties_go_to_the_later_epoch(
    tmp_path_factory: pytest.TempPathFactory, scores: list[float], count: int, mode: Any
) -> None:
    folder = tmp_path_factory.mktemp("ties")
    options: dict[str, Any] = {"save_strategy": "epoch", "mode": mode, "max_checkpoints": count}
    manager = CheckpointManager(folder, **options)
    for epoch, score in enumerate(scores, start=1):
        offer(manager, epoch, {"val_dice": score})
    sign = 1 if mode == "max" else -1
    ranked = sorted(range(1, len(scores) + 1), key=lambda epoch: (sign * scores[epoch - 1], epoch), reverse=True)
    for opened in (manager, CheckpointManager(folder, **options)):
        assert opened.load_checkpoint("best").epoch == ranked[0]
        assert epochs(opened) == sorted({*ranked[:count], len(scores)})


def saved_at(store: LocalStore, epoch: int, moment: datetime) -> CheckpointRecord:
    """A checkpoint that a machine whose clock shows that moment would write."""
    snapshot = take_snapshot(
        TrainingState(model_of(epoch)), epoch=epoch, metrics={"val_dice": 0.1 * epoch}, kind="epoch"
    )
    snapshot.manifest["created"] = moment.isoformat()
    return store.save(f"model_epoch_epoch_{epoch:03d}_{moment:%Y%m%d_%H%M%S}", snapshot.write)


@pytest.mark.fault(
    fault="the system's clock jumps back between saves", outcome="order, best and latest go by epoch; no name is reused"
)
def test_the_order_is_by_epoch_when_the_clock_jumps_back(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    for epoch in range(1, 5):
        saved_at(store, epoch, _START - epoch * timedelta(hours=1))
    manager = CheckpointManager(tmp_path, save_strategy="epoch", max_checkpoints=1)
    assert epochs(manager) == [1, 2, 3, 4]
    assert manager.load_checkpoint("latest").epoch == manager.load_checkpoint("best").epoch == 4
    offer(manager, 5, {"val_dice": 0.1})
    assert epochs(manager) == epochs(CheckpointManager(tmp_path)) == [4, 5]


@pytest.mark.fault(fault="several saves of an epoch within a second", outcome="each has a name of its own; all verify")
def test_saves_within_a_second_have_names_of_their_own(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    paths = [saved_at(store, 1, _START).path for _ in range(3)]
    assert [path.name.removeprefix("model_epoch_epoch_001_20260329_020000") for path in paths] == ["", "_2", "_3"]
    assert [verify_checkpoint(path).epoch for path in paths] == [1, 1, 1]


@pytest.mark.fault(
    fault="the manager's own clock jumps back",
    outcome="`interval` in minutes counts on from there; gains are saved as ever",
)
def test_a_clock_that_jumps_back_delays_an_interval_and_nothing_else(tmp_path: Path) -> None:
    now = [1000.0]
    options: dict[str, Any] = {"save_strategy": "interval", "interval_minutes": 1, "clock": lambda: now[0]}
    manager = CheckpointManager(tmp_path / "interval", **options)
    gains = CheckpointManager(tmp_path / "best", clock=lambda: now[0])
    for moment, epoch, saved in ((1060.0, 1, True), (960.0, 2, False), (1019.0, 3, False), (1020.0, 4, True)):
        now[0] = moment
        assert (offer(manager, epoch, {"val_dice": 0.5}) is not None) == saved
        assert offer(gains, epoch, {"val_dice": 0.1 * epoch}) is not None


@pytest.mark.fault(
    fault="the directory is moved between save and load",
    outcome="a manager at the new place finds best and latest; the old one says that it is no longer there",
)
def test_a_directory_that_was_moved_is_whole_at_its_new_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    old = CheckpointManager(tmp_path / "old", save_strategy="epoch")
    for epoch, score in enumerate((0.1, 0.9, 0.5), start=1):
        offer(old, epoch, {"val_dice": score})
    (tmp_path / "old").rename(tmp_path / "new")
    assert str(tmp_path) not in (tmp_path / "new" / "index.json").read_text()
    for which in ("best", "latest"):
        with pytest.raises(CheckpointError, match=r"old: is no longer there. Hint: was it moved"):
            old.load_checkpoint(which)
    with pytest.raises(CheckpointError, match=r"old: is no longer there. Hint: was it moved"):
        offer(old, 4, {"val_dice": 0.2})
    assert not (tmp_path / "old").exists()

    new = CheckpointManager(tmp_path / "new", save_strategy="epoch")
    model = model_of(0)
    for which, epoch in (("best", 2), ("latest", 3)):
        assert new.load_checkpoint(which, model).epoch == epoch
        assert float(model.weight.detach()[0, 0]) == epoch
    assert offer(new, 4, {"val_dice": 0.2}) is not None
    assert not caplog.records


@pytest.mark.fault(
    fault="a checkpoint, or the whole directory, is copied to another place", outcome="loads there by its path"
)
def test_a_copy_loads_by_its_path(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path / "run")
    path = offer(manager, 3, {"val_dice": 0.5})
    assert path is not None
    copied = shutil.copytree(path, tmp_path / "elsewhere" / "renamed")
    model = model_of(0)
    assert manager.load_checkpoint(copied, model).epoch == 3
    assert float(model.weight.detach()[0, 0]) == 3


@pytest.mark.fault(
    fault="a checkpoint is deleted by hand while the manager runs", outcome="the next older one is loaded"
)
def test_a_checkpoint_deleted_by_hand_does_not_stop_the_training(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path, save_strategy="epoch")
    for epoch in (1, 2):
        path = offer(manager, epoch, {"val_dice": 0.1 * epoch})
    assert path is not None
    shutil.rmtree(path)
    assert manager.load_checkpoint("best").epoch == 1
    assert offer(manager, 3, {"val_dice": 0.3}) is not None
    assert epochs(manager) == [1, 3]
