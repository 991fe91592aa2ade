"""When the manager saves, what it keeps, what it loads."""

import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from components.checkpoints import CheckpointManager
from components.errors import CheckpointDamagedError, CheckpointNotFoundError, InvalidInputError

MODEL = nn.Linear(2, 1)


def run(manager: CheckpointManager, scores: list[float], first: int = 1) -> list[int]:
    """Offer an epoch a score; returns the epochs that were saved."""
    saved = []
    for epoch, score in enumerate(scores, start=first):
        if manager.save_checkpoint(MODEL, epoch=epoch, metrics={"val_dice": score}):
            saved.append(epoch)
    return saved


def epochs(manager: CheckpointManager) -> list[int]:
    return [record.epoch for record in manager.list_checkpoints()]


@pytest.mark.parametrize(
    ("options", "saved"),
    [
        ({"save_strategy": "best"}, [1, 3]),
        ({"save_strategy": "epoch"}, [1, 2, 3, 4, 5]),
        ({"save_strategy": "interval", "interval_epochs": 2}, [2, 4]),
        ({"save_strategy": "interval"}, [5]),
        ({"save_strategy": "all"}, [1, 2, 3, 4, 5]),
        ({"save_strategy": "best", "mode": "min"}, [1, 4]),
    ],
)
def test_each_strategy_saves_when_it_says(tmp_path: Path, options: dict[str, Any], saved: list[int]) -> None:
    assert run(CheckpointManager(tmp_path, **options), [0.5, 0.5, 0.7, 0.2, 0.7]) == saved


def test_best_k_and_the_latest_are_kept_and_ties_go_to_the_later(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path, save_strategy="epoch", max_checkpoints=2)
    run(manager, [0.5, 0.9, 0.1, 0.9, 0.9, 0.2])
    assert epochs(manager) == [4, 5, 6]
    best, last = manager.best_checkpoint, manager.latest_checkpoint
    assert best is not None
    assert last is not None
    assert (best.epoch, last.epoch) == (5, 6)


def test_all_prunes_nothing_unless_a_number_is_given(tmp_path: Path) -> None:
    everything = CheckpointManager(tmp_path / "a", save_strategy="all")
    run(everything, [0.1] * 9)
    assert len(epochs(everything)) == 9
    some = CheckpointManager(tmp_path / "b", save_strategy="all", max_checkpoints=2)
    run(some, [0.9, 0.8, 0.1])
    assert epochs(some) == [1, 2, 3]


@given(
    scores=st.lists(st.sampled_from([0.1, 0.5, 0.5, 0.9, math.nan]), min_size=1, max_size=8), count=st.integers(1, 3)
)
@settings(max_examples=25, deadline=None)
def test_whatever_the_scores_best_and_latest_are_there(
    tmp_path_factory: pytest.TempPathFactory, scores: list[float], count: int
) -> None:
    manager = CheckpointManager(tmp_path_factory.mktemp("run"), save_strategy="epoch", max_checkpoints=count)
    run(manager, scores)
    kept = epochs(manager)
    assert len(scores) in kept
    assert len(kept) <= count + 1
    numbers = [score for score in scores if not math.isnan(score)]
    if numbers:
        best = max(epoch for epoch, score in enumerate(scores, 1) if score == max(numbers))
        assert best in kept
    else:
        assert manager.best_checkpoint is None


@pytest.mark.parametrize("metrics", [{"val_dice": math.nan}, {}, {"other": 1.0}])
def test_a_metric_that_is_nan_or_missing_is_never_best(tmp_path: Path, metrics: dict[str, float]) -> None:
    manager = CheckpointManager(tmp_path)
    assert manager.save_checkpoint(MODEL, epoch=1, metrics=metrics) is None
    assert "val_dice is no number" in manager.should_save(1, metrics).reason
    assert run(manager, [0.1], first=2) == [2]


def test_weights_that_are_nan_are_not_saved(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = nn.Linear(2, 1)
    nn.init.constant_(broken.weight, math.nan)
    manager = CheckpointManager(tmp_path)
    assert manager.save_checkpoint(broken, epoch=1, metrics={"val_dice": 0.9}) is None
    assert "hold NaN or infinity" in caplog.text
    assert run(manager, [0.1], first=2) == [2]


def test_the_best_score_survives_a_restart(tmp_path: Path) -> None:
    run(CheckpointManager(tmp_path), [0.8])
    again = CheckpointManager(tmp_path)
    assert run(again, [0.7, 0.9], first=2) == [3]
    assert again.training_progress()["best_epoch"] == 3


def test_names_say_model_kind_epoch_and_time_and_are_never_reused(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path, "unet", save_strategy="all")
    paths = [manager.save_checkpoint(MODEL, epoch=7, metrics={"val_dice": 0.5}) for _ in range(3)]
    assert len(set(paths)) == 3
    name = paths[0].name if paths[0] else ""
    assert name.startswith("unet_all_epoch_007_20")
    assert len(name) == len("unet_all_epoch_007_20260101_120000")


def test_loading_by_best_latest_epoch_and_path(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path, save_strategy="epoch")
    paths = []
    for epoch, score in enumerate([0.2, 0.9, 0.4], start=1):
        model = nn.Linear(2, 1)
        nn.init.constant_(model.weight, epoch)
        paths.append(manager.save_checkpoint(model, epoch=epoch, metrics={"val_dice": score}))
    for which, expected in (("best", 2), ("latest", 3), (1, 1), (paths[0], 1)):
        model = nn.Linear(2, 1)
        record = manager.load_checkpoint(which, model)  # type: ignore[arg-type]  # a path may be None for mypy
        assert record.epoch == expected
        assert float(model.weight.detach()[0, 0]) == expected
    with pytest.raises(CheckpointNotFoundError, match=r"no checkpoint of epoch 9\. Hint: kept are epochs 1, 2, 3"):
        manager.load_checkpoint(9)
    with pytest.raises(CheckpointNotFoundError, match="has anything been saved yet"):
        CheckpointManager(tmp_path / "new").load_checkpoint("best")


def damage(path: Path) -> None:
    content = bytearray((path / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (path / "model.safetensors").write_bytes(content)


@pytest.mark.parametrize("reopen", [True, False])
def test_a_damaged_best_is_set_aside_and_the_next_one_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, reopen: bool
) -> None:
    manager = CheckpointManager(tmp_path)
    run(manager, [0.2, 0.5, 0.9])
    best = manager.best_checkpoint
    assert best is not None
    damage(best.path)
    with caplog.at_level(logging.WARNING):
        record = (CheckpointManager(tmp_path) if reopen else manager).load_checkpoint("best", nn.Linear(2, 1))
    assert record.epoch == 2
    assert "set aside a damaged checkpoint" in caplog.text
    assert (tmp_path / f".damaged-{best.path.name}").is_dir()


def test_a_damaged_checkpoint_asked_for_by_path_is_an_error(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path)
    run(manager, [0.2])
    best = manager.best_checkpoint
    assert best is not None
    damage(best.path)
    with pytest.raises(CheckpointDamagedError, match="SHA-256"):
        manager.load_checkpoint(best.path, nn.Linear(2, 1))


def test_progress_counts_epochs_bytes_and_the_best(tmp_path: Path) -> None:
    now = iter(range(1000))
    manager = CheckpointManager(tmp_path, clock=lambda: float(next(now)))
    run(manager, [0.2, 0.6, 0.4, 0.3])
    progress = manager.training_progress()
    assert (progress["epochs"], progress["best_epoch"], progress["epochs_since_best"]) == (4, 2, 2)
    assert progress["best_metric"] == 0.6
    assert progress["bytes_written"] == sum(record.bytes for record in manager.list_checkpoints())
    assert progress["seconds"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"save_strategy": "bst"}, "use one of best, epoch, interval, all, adaptive"),
        ({"mode": "maximum"}, "use 'min' or 'max'"),
        ({"max_checkpoints": 0}, "must be at least 1"),
        ({"model_name": "a/b"}, "plain file name"),
        ({"save_strategy": "interval", "interval_epochs": 0}, "positive"),
        ({"save_strategy": "interval", "interval_epochs": 1, "interval_minutes": 1.0}, "epochs or minutes"),
    ],
)
def test_bad_arguments_are_refused_at_once(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        CheckpointManager(tmp_path, **options)


def test_the_interval_in_minutes_follows_the_clock(tmp_path: Path) -> None:
    now = [0.0]
    manager = CheckpointManager(tmp_path, save_strategy="interval", interval_minutes=1, clock=lambda: now[0])
    assert run(manager, [0.5]) == []
    now[0] = 61
    assert run(manager, [0.5], first=2) == [2]
    assert run(manager, [0.5], first=3) == []


def test_a_loaded_random_state_repeats_what_followed(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path)
    run(manager, [0.5])
    followed = torch.rand(3)
    manager.load_checkpoint("best", MODEL, rng=True)
    assert torch.equal(torch.rand(3), followed)
