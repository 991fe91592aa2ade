"""Real file systems that are full, or can no longer be written: a small tmpfs, mounted for the test."""

import re
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from components.checkpoints import CheckpointManager
from components.errors import CheckpointError, DiskFullError

_KIB = 1024
Mount = Callable[..., Path]


def command(*words: str) -> str:
    """Run it; returns what it said when it failed."""
    if shutil.which(words[0]) is None:
        return f"there is no {words[0]}"
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr.strip() or f"{words[0]} failed"


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mounts a file system of 2 MiB with the given options; skips where that is not permitted."""
    mounted: list[Path] = []

    def make(options: str = "size=2m") -> Path:
        place = tmp_path / f"disk-{uuid.uuid4().hex}"
        place.mkdir()
        if problem := command("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)):
            pytest.skip(f"no small file system could be mounted: {problem}")
        mounted.append(place)
        return place

    yield make
    for place in mounted:
        assert command("umount", str(place)) == ""


class Network(nn.Module):
    """Weights of so many KiB, all of one value."""

    def __init__(self, kib: int, value: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((kib * _KIB // 4,), float(value)))


def offer(manager: CheckpointManager, epoch: int, kib: int = 300) -> Path | None:
    return manager.save_checkpoint(Network(kib, epoch), epoch=epoch, metrics={"val_dice": 0.1 * epoch})


def fill(disk: Path, leave: int = 0) -> Path:
    """A file that takes all the space but so many bytes."""
    filler = disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(disk).free - leave))
    return filler


def assert_best(manager: CheckpointManager, epoch: int, kib: int = 300) -> None:
    model = Network(kib)
    assert manager.load_checkpoint("best", model).epoch == epoch
    assert bool((model.weight == epoch).all())


def train_on(manager: CheckpointManager, epochs: range) -> list[int]:
    """Epochs that could not be saved."""
    return [epoch for epoch in epochs if offer(manager, epoch) is None]


def assert_told(manager: CheckpointManager, log: str) -> None:
    """Why nothing was saved and what to do is logged when it happens, and raised at the end."""
    message = r"No space left on device.*Hint: free some space; the earlier checkpoints are untouched"
    assert re.search(message, log)
    with pytest.raises(DiskFullError, match=message):
        manager.close()


FULL = "training goes on: each save is logged as not done, close raises; the good ones stay; with space, saving works"


@pytest.mark.fault(fault="a real file system without space, in the midst of a training", outcome=FULL)
@pytest.mark.parametrize("leave_kib", [0, 8, 150])
def test_training_goes_on_while_the_disk_is_full_and_saves_when_space_is_freed(
    mount: Mount, leave_kib: int, caplog: pytest.LogCaptureFixture
) -> None:
    disk = mount()
    manager = CheckpointManager(disk / "run", max_checkpoints=2)
    assert train_on(manager, range(1, 4)) == []
    filler = fill(disk, leave_kib * _KIB)
    assert train_on(manager, range(4, 9)) == [4, 5, 6, 7, 8]
    assert_best(manager, 3)
    assert [record.epoch for record in manager.list_checkpoints()] == [2, 3]
    assert_told(manager, caplog.text)
    filler.unlink()
    assert train_on(manager, range(9, 12)) == []
    assert_best(manager, 11)
    manager.close()


@pytest.mark.fault(
    fault="a real file system too small for a second checkpoint", outcome="the only good one is never given up for it"
)
@pytest.mark.parametrize("kib", [1100, 1900])
def test_the_only_good_checkpoint_is_never_given_up_for_space(
    mount: Mount, kib: int, caplog: pytest.LogCaptureFixture
) -> None:
    disk = mount()
    manager = CheckpointManager(disk / "run", max_checkpoints=1)
    offer(manager, 1, kib)
    for epoch in (2, 3):
        assert offer(manager, epoch, kib) is None
        assert_best(manager, 1, kib)
    assert_told(manager, caplog.text)
    with CheckpointManager(disk / "run") as reopened:
        assert_best(reopened, 1, kib)


@pytest.mark.fault(
    fault="a real file system too small for any checkpoint",
    outcome="each save is logged as not done, close raises; nothing is left behind",
)
def test_a_checkpoint_that_does_not_fit_leaves_nothing(mount: Mount, caplog: pytest.LogCaptureFixture) -> None:
    disk = mount()
    manager = CheckpointManager(disk / "run")
    for epoch in (1, 2):
        assert offer(manager, epoch, 3000) is None
    assert_told(manager, caplog.text)
    assert {path.name for path in (disk / "run").iterdir()} <= {"index.json", "decisions.jsonl"}
    assert offer(manager, 3) is not None
    manager.close()


@pytest.mark.fault(
    fault="a start while the real file system has no space", outcome="it opens with a warning; the best is loaded"
)
def test_a_directory_on_a_full_disk_can_be_opened_and_loaded(mount: Mount, caplog: pytest.LogCaptureFixture) -> None:
    disk = mount()
    with CheckpointManager(disk / "run") as manager:
        offer(manager, 1)
    fill(disk)
    with CheckpointManager(disk / "run") as manager:
        assert "could not be written" in caplog.text
        assert_best(manager, 1)


@pytest.mark.fault(fault="a real file system that has no room for one more file", outcome=FULL)
def test_training_goes_on_while_no_file_can_be_made(mount: Mount, caplog: pytest.LogCaptureFixture) -> None:
    disk = mount("size=2m,nr_inodes=20")
    manager = CheckpointManager(disk / "run", max_checkpoints=1)
    assert train_on(manager, range(1, 3)) == []
    for count in range(20):
        try:
            (disk / f"file-{count}").touch()
        except OSError:
            break
    assert train_on(manager, range(3, 6)) == [3, 4, 5]
    assert_best(manager, 2)
    assert_told(manager, caplog.text)
    for path in disk.glob("file-*"):
        path.unlink()
    assert train_on(manager, range(6, 7)) == []
    manager.close()


@pytest.mark.fault(
    fault="a real file system that the system made read-only",
    outcome="each save raises an error that says so; the best loads, also after a restart",
)
def test_what_was_saved_can_be_loaded_from_a_disk_that_became_read_only(mount: Mount) -> None:
    disk = mount()
    manager = CheckpointManager(disk / "run")
    offer(manager, 1)
    manager.close()
    assert command("mount", "-o", "remount,ro", str(disk)) == ""
    with pytest.raises(CheckpointError, match="Read-only file system"):
        offer(manager, 2)
    assert_best(manager, 1)
    with CheckpointManager(disk / "run") as reopened:
        assert_best(reopened, 1)
    assert command("mount", "-o", "remount,rw", str(disk)) == ""
    assert offer(manager, 3) is not None
    assert_best(manager, 3)
    manager.close()
