"""A file operation fails, whichever it is."""

import errno
import shutil
from pathlib import Path

import pytest
from torch import nn

from components.checkpoints import CheckpointManager, LocalStore, verify_checkpoint
from components.errors import CheckpointError, DiskFullError
from tests.faults.failing_io import failing

MODEL = nn.Linear(2, 1)
_LEFTOVERS = (".tmp-", ".trash-", ".damaged-")
_SCORES = {1: 0.9, 2: 0.2, 3: 0.5, 4: 0.1, 5: 0.1}
CODES = [pytest.param(errno.EIO, id="EIO"), pytest.param(errno.ENOSPC, id="ENOSPC")]
TIMES = [pytest.param(1, id="once"), pytest.param(10**6, id="from then on")]
WAYS = [pytest.param(False, id="in the loop"), pytest.param(True, id="in the background")]
_FAULT = "EIO or ENOSPC, once or from then on, at a file operation of a save with its prune, in the loop or background"
_OUTCOME = "a valid checkpoint or a CheckpointError; what was durable is there and verifies; the next save works"
_STEP = 7  # the sample of `make test`: each seventh operation, another seventh for each combination


def opened(folder: Path) -> CheckpointManager:
    return CheckpointManager(folder, save_strategy="epoch", max_checkpoints=1)


def offer(manager: CheckpointManager, epoch: int, *, background: bool = False) -> Path | None:
    nn.init.constant_(MODEL.weight, epoch)
    metrics = {"val_dice": _SCORES[epoch]}
    if not background:
        return manager.save_checkpoint(MODEL, epoch=epoch, metrics=metrics)
    handle = manager.save_checkpoint(MODEL, epoch=epoch, metrics=metrics, asynchronous=True)
    return None if handle is None else handle.result()


def reopened(manager: CheckpointManager, folder: Path) -> CheckpointManager:
    """Another one after the first has gone, so that what it left is nobody's."""
    manager._store.close()
    return opened(folder)


def before_the_fault(folder: Path) -> CheckpointManager:
    """Epoch 1 is the best, 2 the latest; the next save prunes 2."""
    manager = opened(folder)
    offer(manager, 1)
    offer(manager, 2)
    return manager


def valid_epochs(folder: Path) -> set[int]:
    """Epochs of what stands in the folder, each verified and with the weights of its epoch."""
    assert not [path for path in folder.iterdir() if path.name.startswith(_LEFTOVERS)]
    found = set()
    for path in folder.glob("model_*"):
        model = nn.Linear(2, 1)
        record = CheckpointManager(folder).load_checkpoint(path, model)
        assert float(model.weight.detach()[0, 0]) == record.epoch
        found.add(record.epoch)
    return found


def fail_each_operation_of_a_save(
    tmp_path: Path, code: int, times: int, step: int, begin: int, *, background: bool
) -> None:
    manager = before_the_fault(tmp_path / "count")
    with failing(tmp_path) as counted:
        offer(manager, 3, background=background)
    assert counted.count >= 50  # four files written, forced, hashed; folders forced; a rename; the index; a prune
    raised, struck = 0, set()
    for first in range(1 + begin % step, counted.count + 1, step):
        folder = tmp_path / str(first)
        manager = before_the_fault(folder)
        with failing(folder, code, first=first, times=times) as planted:
            try:
                saved = offer(manager, 3, background=background)
            except CheckpointError:
                saved, raised = None, raised + 1
        struck.update(planted.failed[:1])
        if first % 2:  # goes on with the manager that met the fault, or after a restart
            manager = reopened(manager, folder)
        assert ({1, 3} if saved else {1, 2}) <= {record.epoch for record in manager.list_checkpoints()}
        assert offer(manager, 4) is not None
        manager = reopened(manager, folder)
        assert {1, 4} <= valid_epochs(folder) == {record.epoch for record in manager.list_checkpoints()}
        assert manager.load_checkpoint("best").epoch == 1
        offer(manager, 5)
        assert valid_epochs(folder) == {1, 5}  # what the fault left over was cleared, or pruned
    assert raised or code == errno.ENOSPC  # a full disk in the loop is logged, and training goes on
    if step == 1:
        assert {"open", "write", "close", "fsync", "mkdir", "rename", "replace", "listdir", "statvfs"} <= struck


@pytest.mark.fault(
    fault=_FAULT,
    outcome=_OUTCOME,
    cases="each seventh operation",
)
@pytest.mark.parametrize("background", WAYS)
@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("code", CODES)
def test_an_operation_of_a_save_that_fails_costs_nothing_durable_and_training_can_go_on(
    tmp_path: Path, code: int, times: int, *, background: bool
) -> None:
    fail_each_operation_of_a_save(tmp_path, code, times, _STEP, code + times + background, background=background)


@pytest.mark.faults
@pytest.mark.fault(
    fault=_FAULT,
    outcome=_OUTCOME,
    cases="every operation",
)
@pytest.mark.parametrize("background", WAYS)
@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("code", CODES)
def test_whichever_operation_of_a_save_fails_nothing_durable_is_lost_and_training_can_go_on(
    tmp_path: Path, code: int, times: int, *, background: bool
) -> None:
    fail_each_operation_of_a_save(tmp_path, code, times, 1, 0, background=background)


def several(folder: Path) -> LocalStore:
    manager = CheckpointManager(folder, save_strategy="all")
    for epoch in _SCORES:
        offer(manager, epoch)
    manager.close()
    return LocalStore(folder)


def remove_all_but_best_and_latest(store: LocalStore) -> None:
    for record in store.records()[1:-1]:
        store.remove(record)


@pytest.mark.fault(
    fault="EIO or ENOSPC, once or from then on, at a file operation of removing three checkpoints of five",
    outcome="what is not removed stays whole, with a warning; the next start clears the rest",
    cases="every operation",
)
@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("code", CODES)
def test_whichever_operation_of_a_prune_fails_what_stays_is_whole(tmp_path: Path, code: int, times: int) -> None:
    several(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "count")
    store = LocalStore(tmp_path / "count")
    with failing(tmp_path) as counted:
        remove_all_but_best_and_latest(store)
    assert counted.count >= 30  # each of three: a rename, the files of a folder, the index
    struck = set()
    for first in range(1, counted.count + 1):
        folder = tmp_path / str(first)
        shutil.copytree(tmp_path / "whole", folder)
        store = LocalStore(folder)
        with failing(folder, code, first=first, times=times) as planted:
            remove_all_but_best_and_latest(store)
        struck.update(planted.failed[:1])
        assert {1, 5} <= {verify_checkpoint(record.path).epoch for record in store.records()} <= set(_SCORES)
        store.close()
        remove_all_but_best_and_latest(LocalStore(folder))
        assert valid_epochs(folder) == {1, 5}
    assert {"rename", "unlink", "rmdir", "open", "scandir", "replace"} <= struck


@pytest.mark.fault(
    fault="EIO at a file operation of opening a directory and loading the best",
    outcome="the best or the next valid one is loaded, or an error says what cannot be read; no file is lost",
    cases="every operation",
)
def test_whichever_operation_of_a_load_fails_the_weights_are_right_or_it_is_an_error(tmp_path: Path) -> None:
    several(tmp_path / "whole")
    model = nn.Linear(2, 1)
    with failing(tmp_path) as counted:
        opened(tmp_path / "whole").load_checkpoint("best")
    loaded = []
    for first in range(1, counted.count + 1):
        folder = tmp_path / str(first)
        shutil.copytree(tmp_path / "whole", folder)
        with failing(folder, errno.EIO, first=first):
            try:
                record = opened(folder).load_checkpoint("best", model)
            except OSError as error:
                assert "Input/output error" in str(error)  # noqa: PT017 - most operations raise nothing
                continue
        assert float(model.weight.detach()[0, 0]) == record.epoch
        assert len(list(folder.glob("*model_*/model.safetensors"))) == len(_SCORES)
        loaded.append(record.epoch)
    assert set(loaded) == {1, 3}


def test_a_full_disk_is_tried_once_more_after_clearing_up(tmp_path: Path) -> None:
    manager = opened(tmp_path)
    with failing(tmp_path, errno.ENOSPC, first=8, times=1) as planted:
        assert offer(manager, 1) is not None
    assert len(planted.failed) == 1
    with failing(tmp_path, errno.ENOSPC, first=1, times=1000):
        assert offer(manager, 2) is None  # training goes on
    assert manager.load_checkpoint("best", nn.Linear(2, 1)).epoch == 1
    with pytest.raises(DiskFullError, match="free some space"):
        manager.close()


@pytest.mark.fault(
    fault="leftovers of a kill, a torn index",
    outcome="cleared, and rebuilt from the manifests, at the next start",
)
def test_what_a_kill_left_half_done_is_cleared_at_the_next_start(tmp_path: Path) -> None:
    manager = opened(tmp_path)
    path, _ = offer(manager, 1), offer(manager, 2)
    assert path is not None
    (tmp_path / ".tmp-model_best_epoch_003").mkdir()
    path.rename(tmp_path / f".trash-{path.name}")
    (tmp_path / "index.json").write_text("{torn")
    assert [record.epoch for record in opened(tmp_path).list_checkpoints()] == [2]
    assert not list(tmp_path.glob(".t*"))
    assert '"epoch": 2' in (tmp_path / "index.json").read_text()
