"""A manager that carries out what `adaptive` decides: what is due is saved, what is not clear is held."""

from pathlib import Path
from typing import Any

import pytest
from torch import nn

from components.checkpoints import (
    AutoCheckpointManager,
    CheckpointManager,
    CheckpointRecord,
    Decision,
    LocalStore,
    Trace,
    read_decisions,
    replay,
)
from components.checkpoints.adaptive import AdaptivePolicy
from components.checkpoints.store import Write

MODEL = nn.Linear(2, 1)


class Slow(LocalStore):
    """A store whose every save takes a second of a clock that it moves."""

    now = 0.0

    def save(self, name: str, write: Write) -> CheckpointRecord:
        self.now += 1
        return super().save(name, write)


def run(manager: CheckpointManager, store: Slow, scores: list[float], seconds: float = 10.0, **options: Any) -> None:
    for epoch, score in enumerate(scores, start=1):
        store.now += seconds
        manager.save_checkpoint(MODEL, epoch=epoch, metrics={"val_dice": score, "val_dice_se": 0.05}, **options)


def adaptive(folder: Path, **options: Any) -> tuple[AutoCheckpointManager, Slow]:
    store = Slow(folder)
    return AutoCheckpointManager(folder, store=store, clock=lambda: store.now, max_checkpoints=9, **options), store


def epochs(manager: CheckpointManager) -> list[int]:
    return [record.epoch for record in manager.list_checkpoints()]


def test_the_manager_saves_for_recovery_within_its_budget(tmp_path: Path) -> None:
    told: list[Decision] = []
    manager, store = adaptive(tmp_path, overhead=0.02, mean_time_to_failure=1, patience=100, decisions=told.append)
    run(manager, store, [0.5] + [0.4] * 30)
    # A save takes 1 s, so τ is 50 s; an epoch takes 10 s, so a save is due when the sixth has ended.
    assert [decision.epoch for decision in told if decision.save] == [1, 7, 13, 19, 25, 31]
    assert {decision.seconds for decision in told if decision.save} == {1.0}
    assert [decision.epoch for decision in told] == list(range(1, 32))
    assert all(decision.epoch_seconds == 10.0 for decision in told)


def test_what_is_held_is_written_when_the_training_ends_and_is_the_best(tmp_path: Path) -> None:
    manager, store = adaptive(tmp_path)
    with manager:
        run(manager, store, [0.5, 0.53, 0.52, 0.51])  # gains within one standard error of 0.05
        assert epochs(manager) == [1]
        nn.init.constant_(MODEL.weight, 9.0)
    assert epochs(manager) == [1, 2]
    loaded = nn.Linear(2, 1)
    assert manager.load_checkpoint("best", loaded).metrics["val_dice"] == 0.53
    assert not (loaded.weight == 9.0).any()  # a copy was held, not the model


def test_what_is_held_is_written_with_the_next_save_unless_that_is_better(tmp_path: Path) -> None:
    manager, store = adaptive(tmp_path / "worse")
    run(manager, store, [0.5, 0.53, 0.52])
    manager.save_checkpoint(MODEL, epoch=4, metrics={"val_dice": 0.1}, forced="rung")
    assert epochs(manager) == [1, 2, 4]
    manager, store = adaptive(tmp_path / "better")
    run(manager, store, [0.5, 0.53, 0.7])
    assert epochs(manager) == [1, 3]


def test_a_manager_that_may_not_hold_saves_instead(tmp_path: Path) -> None:
    manager, store = adaptive(tmp_path, may_hold=False)
    run(manager, store, [0.5, 0.53, 0.52])
    assert epochs(manager) == [1, 2]


def test_the_best_cases_are_remembered_by_the_checkpoint(tmp_path: Path) -> None:
    options: dict[str, Any] = {"decisions": None}
    for epoch, (score, cases) in enumerate([(0.5, {"a": 0.4, "b": 0.6}), (0.52, {"a": 0.5, "b": 0.54})], start=1):
        manager = AutoCheckpointManager(tmp_path, **options)
        manager.save_checkpoint(MODEL, epoch=epoch, metrics={"val_dice": score}, cases=cases)
        manager.close()
    decided = read_decisions(tmp_path / "decisions.jsonl")
    # The cases differ by 0.1 and by 0.06 less.
    assert decided[1].inputs["standard_error"] == pytest.approx(0.08)


def test_what_was_logged_replays_as_it_was_decided(tmp_path: Path) -> None:
    told: list[Decision] = []
    manager, store = adaptive(tmp_path, decisions=told.append)
    with manager:
        run(manager, store, [0.5, 0.53, 0.52, 0.7, 0.69, 0.74] + [0.6] * 20)
    made = tuple(decision.epoch for decision in told if decision.path)
    again = replay(Trace.from_decisions(told), AdaptivePolicy("val_dice"))
    assert again.epochs == made
    assert again.bytes_written == sum(decision.bytes for decision in told)
