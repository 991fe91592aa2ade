"""Checkpoints behind a URL: object stores and other file systems, with operations that fail."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from pyarrow import fs as arrow
from torch import nn

from components.checkpoints import CheckpointManager, RemoteStore
from components.errors import CheckpointDamagedError, CheckpointError, CheckpointNotFoundError, InvalidInputError

Open = Callable[[], RemoteStore]
SCORES = {1: 0.2, 2: 0.9, 3: 0.5, 4: 0.1, 5: 0.3}
_OPERATIONS = ("ls", "info", "put_file", "pipe_file", "get_file", "rm_file")


@pytest.fixture(params=["memory", "file", "arrow"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens a store at one place of its own, again and again."""
    name = uuid.uuid4().hex
    if request.param == "memory":
        return lambda: RemoteStore(f"memory://{name}/run", pause_s=0)
    if request.param == "file":
        return lambda: RemoteStore(f"file://{tmp_path}/run", pause_s=0)
    return lambda: RemoteStore(str(tmp_path / "run"), arrow.LocalFileSystem(), pause_s=0)


def manager_of(store: RemoteStore, **options: Any) -> CheckpointManager:
    return CheckpointManager(store=store, save_strategy="epoch", **options)


def offer(manager: CheckpointManager, epoch: int) -> Path | None:
    model = nn.Linear(2, 1)
    nn.init.constant_(model.weight, epoch)
    return manager.save_checkpoint(model, epoch=epoch, metrics={"val_dice": SCORES[epoch]})


def loaded(manager: CheckpointManager, which: str | int | Path) -> int:
    """Epoch of what was loaded, whose weights are its own."""
    model = nn.Linear(2, 1)
    record = manager.load_checkpoint(which, model)
    assert float(model.weight.detach()[0, 0]) == record.epoch
    return record.epoch


def test_what_was_saved_is_found_loaded_and_pruned_by_another_process_too(remote: Open) -> None:
    manager = manager_of(remote(), max_checkpoints=1)
    paths = {epoch: offer(manager, epoch) for epoch in SCORES}
    for one in (manager, manager_of(remote())):
        assert [record.epoch for record in one.list_checkpoints()] == [2, 5]
        assert (loaded(one, "best"), loaded(one, "latest"), loaded(one, 2)) == (2, 5, 2)
    assert paths[5] is not None
    assert loaded(manager, paths[5]) == 5
    with pytest.raises(CheckpointNotFoundError, match="kept are epochs 2, 5"):
        manager.load_checkpoint(3)


def test_a_removed_checkpoint_leaves_no_objects(remote: Open) -> None:
    store = remote()
    manager = manager_of(store, max_checkpoints=1)
    for epoch in SCORES:
        offer(manager, epoch)
    kept = {record.path.name for record in manager.list_checkpoints()}
    assert store._files.folders() == kept
    assert all(len(store._files.names(name)) == 4 for name in kept)


def test_a_pin_holds_for_other_processes_until_it_is_taken_away(remote: Open) -> None:
    offer(manager_of(remote()), 1)
    manager_of(remote()).pin(1)
    manager = manager_of(remote(), max_checkpoints=1)
    for epoch in (2, 3, 4):
        offer(manager, epoch)
    assert [record.epoch for record in manager.list_checkpoints()] == [1, 2, 4]
    manager.pin(1, pinned=False)
    offer(manager, 5)
    assert [record.epoch for record in manager.list_checkpoints()] == [2, 5]


def test_copies_go_when_the_manager_closes_and_come_again(remote: Open) -> None:
    manager = manager_of(remote())
    path = offer(manager, 1)
    assert path is not None
    assert not (path / "model.safetensors").exists()
    assert loaded(manager, "best") == 1
    assert (path / "model.safetensors").exists()
    manager.close()
    assert not (path / "model.safetensors").exists()
    assert loaded(manager, "best") == 1


def damage(store: RemoteStore, name: str, file: str, content: bytes | None) -> None:
    store._files.remove(name, file) if content is None else store._files.put(content, name, file)


@pytest.mark.fault(
    fault="an object of a checkpoint behind a URL is missing or changed",
    outcome="noticed, marked as damaged, kept for inspection; the next older one is loaded",
)
@pytest.mark.parametrize("content", [None, b"changed"], ids=["missing", "changed"])
@pytest.mark.parametrize("file", ["model.safetensors", "state.safetensors", "state.json"])
def test_a_damaged_object_is_noticed_and_survived(remote: Open, file: str, content: bytes | None) -> None:
    store = remote()
    manager = manager_of(store)
    for epoch in (1, 2):
        path = offer(manager, epoch)
    assert path is not None
    damage(store, path.name, file, content)
    with pytest.raises(CheckpointDamagedError, match=file):
        manager.load_checkpoint(path)
    for one in (manager, manager_of(remote())):
        assert loaded(one, "best") == 1
    assert file in json.loads(store._files._fs.cat_file(store._files._path(path.name, ".damaged")))["error"]


@pytest.mark.fault(
    fault="a manifest behind a URL is missing or changed",
    outcome="what has none does not count; a changed one is marked as damaged",
)
@pytest.mark.parametrize("content", [None, b"{}", b"\x80\x05."], ids=["missing", "empty", "pickle"])
def test_a_damaged_manifest_does_not_count(remote: Open, content: bytes | None) -> None:
    store = remote()
    manager = manager_of(store)
    for epoch in (1, 2):
        path = offer(manager, epoch)
    assert path is not None
    damage(store, path.name, "manifest.json", content)
    reopened = manager_of(remote())
    assert [record.epoch for record in reopened.list_checkpoints()] == [1]
    assert loaded(reopened, "best") == 1


def test_a_checkpoint_removed_by_another_process_is_passed_over(remote: Open) -> None:
    manager, store = manager_of(remote()), remote()
    for epoch in (1, 2):
        offer(manager, epoch)
    store._look()
    store.remove(store.records()[1])
    assert loaded(manager, "best") == 1


def test_what_others_save_is_seen_once_the_listing_is_no_longer_fresh(tmp_path: Path) -> None:
    now = [0.0]
    store = RemoteStore(f"file://{tmp_path}/run", clock=lambda: now[0], fresh_s=5)
    offer(manager_of(RemoteStore(f"file://{tmp_path}/run")), 1)
    now[0] = 4.0
    assert store.records() == []
    now[0] = 6.0
    assert [record.epoch for record in store.records()] == [1]


def test_what_a_killed_upload_left_goes_after_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RemoteStore(f"file://{tmp_path}/run")
    store._files.put(b"half", "model_best_epoch_001_x", "model.safetensors")
    store._files.put(b"a user's", "notes", "notes.txt")
    RemoteStore(f"file://{tmp_path}/run")
    assert len(list((tmp_path / "run").iterdir())) == 2
    monkeypatch.setattr("components.checkpoints.remote_store._LEFT_OVER_S", -1.0)
    RemoteStore(f"file://{tmp_path}/run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["notes"]


class FailingFiles(MemoryFileSystem):
    """Counts its operations, and lets those from `first` on fail, so many times."""

    cachable = False

    def __init__(self, first: int = 10**9, times: int = 1) -> None:
        super().__init__()
        self.first, self.times, self.count = first, times, 0

    def __getattribute__(self, name: str) -> Any:
        whole = super().__getattribute__(name)
        return self.counted(name, whole) if name in _OPERATIONS else whole

    def counted(self, name: str, whole: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            if self.first <= self.count < self.first + self.times:
                if name == "put_file":  # half of it has arrived
                    MemoryFileSystem.pipe_file(self, arguments[1], Path(arguments[0]).read_bytes()[:10])
                raise ConnectionError("the network is down")
            return whole(*arguments, **options)

        return call


def manager_behind(files: FailingFiles, place: str) -> CheckpointManager:
    return manager_of(RemoteStore(place, files, attempts=3, pause_s=0, fresh_s=0), max_checkpoints=1)


@pytest.mark.fault(
    fault="an operation of a save with its prune fails on an object store, once or from then on",
    outcome="once is tried again; else an error or a warning; what was there is there and verifies",
    cases="every operation",
)
@pytest.mark.parametrize("times", [1, 10**6], ids=["once", "from then on"])
def test_whichever_operation_fails_nothing_durable_is_lost(times: int) -> None:
    def begun() -> tuple[FailingFiles, CheckpointManager, str]:
        files, place = FailingFiles(), f"/{uuid.uuid4().hex}"
        manager = manager_behind(files, place)
        for epoch in (2, 3):  # the best, and the latest, which the next save prunes
            offer(manager, epoch)
        return files, manager, place

    files, manager, _ = begun()
    before = files.count
    offer(manager, 4)
    operations, raised = files.count - before, 0
    assert operations > 15
    for number in range(1, operations + 1):
        files, manager, place = begun()
        files.first, files.times = files.count + number, times
        saved: Path | None = None
        try:
            saved = offer(manager, 4)
        except CheckpointError as error:
            raised += "the network is down" in str(error)
        files.first = 10**9
        after = manager_behind(files, place)
        epochs = {record.epoch for record in after.list_checkpoints()}
        assert ({2, 4} if saved else {2, 3}) <= epochs <= {2, 3, 4}
        assert loaded(after, "best") == 2
        assert loaded(after, "latest") == max(epochs)
        offer(after, 5)
        assert [record.epoch for record in after.list_checkpoints()] == [2, 5]
    assert bool(raised) == (times > 1)


def test_what_will_last_is_not_tried_again() -> None:
    class Refusing(MemoryFileSystem):
        cachable, count = False, 0

        def put_file(self, *arguments: Any, **options: Any) -> None:
            self.count += 1
            raise PermissionError("not yours")

    files = Refusing()
    with pytest.raises(CheckpointError, match="not yours"):
        offer(manager_of(RemoteStore("/mine", files, pause_s=0)), 1)
    assert files.count == 1


def test_a_url_is_enough(tmp_path: Path) -> None:
    manager = CheckpointManager(f"file://{tmp_path}/run", "unet")
    path = manager.save_checkpoint(nn.Linear(2, 1), epoch=1, metrics={"val_dice": 0.5})
    assert path is not None
    assert path.name.startswith("unet_best_epoch_001_")
    assert manager.load_checkpoint(f"file://{tmp_path}/run/{path.name}", nn.Linear(2, 1)).epoch == 1
    assert isinstance(fsspec.url_to_fs(f"file://{tmp_path}")[0], LocalFileSystem)


def test_a_url_that_cannot_be_one_is_refused_before_training() -> None:
    with pytest.raises(InvalidInputError, match=r"Protocol not known: nowhere.*Hint: S3 needs s3fs"):
        CheckpointManager("nowhere://bucket/run")
    with pytest.raises(InvalidInputError, match="give it as a string"):
        CheckpointManager(Path("s3://bucket/run"))
