"""A fault at every single file operation: at every instant at least one valid checkpoint exists."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from components.checkpoints import CheckpointManager
from components.errors import CheckpointError, DiskFullError

MODEL = nn.Linear(2, 1)
_CALLS = ("fsync", "rename", "replace", "mkdir")


class Faults:
    """Counts the file operations and lets the chosen one, and those after it, fail."""

    def __init__(self, code: int, first: int, times: int) -> None:
        self.code, self.first, self.times, self.count = code, first, times, 0

    def wrap(self, whole: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            if self.first <= self.count < self.first + self.times:
                raise OSError(self.code, os.strerror(self.code))
            return whole(*arguments, **options)

        return call


@contextmanager
def faults(code: int, first: int, times: int = 1) -> Iterator[Faults]:
    planted = Faults(code, first, times)
    with pytest.MonkeyPatch.context() as patch:
        for name in _CALLS:
            patch.setattr(os, name, planted.wrap(getattr(os, name)))
        patch.setattr(Path, "open", opening(planted, Path.open))
        yield planted


def opening(planted: Faults, whole: Callable[..., Any]) -> Callable[..., Any]:
    """Opens files whose writes are counted; one that fails has written half by then."""

    def opened(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        stream = whole(path, mode, *arguments, **options)
        return Writing(stream, planted) if mode == "xb" else stream

    return opened


class Writing:
    def __init__(self, stream: Any, planted: Faults) -> None:
        self.stream, self.whole = stream, planted.wrap(stream.write)

    def write(self, content: bytes) -> None:
        try:
            self.whole(content)
        except OSError:
            self.stream.write(content[: len(content) // 2])
            raise

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def shown(folder: Path) -> list[str]:
    """What stands in a folder, but for the mark of a manager that is still there."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith(".user-"))


def offer(manager: CheckpointManager, epoch: int) -> Path | None:
    return manager.save_checkpoint(MODEL, epoch=epoch, metrics={"val_dice": 0.1 * epoch})


def operations(folder: Path) -> int:
    manager = CheckpointManager(folder, max_checkpoints=1)
    offer(manager, 1)
    with faults(errno.EIO, first=10**9) as planted:
        offer(manager, 2)
    return planted.count


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("times", [1, 1000])
def test_whichever_operation_fails_a_valid_checkpoint_remains_and_training_can_go_on(
    tmp_path: Path, code: int, times: int
) -> None:
    total = operations(tmp_path / "count")
    assert total >= 12  # four files are written and synced, three folders synced, and a rename makes it count
    failed = 0
    for first in range(1, total + 1):
        folder = tmp_path / str(first)
        manager = CheckpointManager(folder, max_checkpoints=1)
        offer(manager, 1)
        with faults(code, first, times):
            try:
                saved = offer(manager, 2)
            except CheckpointError:
                saved = None
        failed += saved is None
        opened = CheckpointManager(folder, max_checkpoints=1)
        record = opened.load_checkpoint("best", nn.Linear(2, 1))
        assert record.epoch == 2 if saved else record.epoch in (1, 2)
        assert not [path for path in folder.iterdir() if path.name.startswith((".tmp-", ".trash-"))]
        assert offer(opened, 3) is not None
    assert failed or (code, times) == (errno.ENOSPC, 1)  # then the second attempt succeeds


def test_a_full_disk_is_tried_once_more_after_clearing_up(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path)
    with faults(errno.ENOSPC, first=1, times=1):
        assert offer(manager, 1) is not None
    with faults(errno.ENOSPC, first=1, times=1000):
        assert offer(manager, 2) is None  # training goes on
    assert manager.load_checkpoint("best", nn.Linear(2, 1)).epoch == 1
    with pytest.raises(DiskFullError, match="free some space"):
        manager.close()


def test_what_a_kill_left_half_done_is_cleared_at_the_next_start(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path)
    path = offer(manager, 1)
    assert path is not None
    (tmp_path / ".tmp-model_best_epoch_002").mkdir()
    path.rename(tmp_path / f".trash-{path.name}")
    (tmp_path / "index.json").write_text("{torn")
    assert CheckpointManager(tmp_path).list_checkpoints() == []
    assert shown(tmp_path) == ["decisions.jsonl", "index.json"]
