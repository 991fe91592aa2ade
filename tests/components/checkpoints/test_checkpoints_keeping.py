"""What stays: ties, every n-th, pins, a budget of bytes, what is read; and several managers on one directory."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from components.checkpoints import CheckpointManager, LocalStore, lease_checkpoint, read_decisions
from components.errors import CheckpointNotFoundError, InvalidInputError

MODEL = nn.Linear(2, 1)


def offer(manager: CheckpointManager, epoch: int, score: float, **metrics: float) -> Path | None:
    return manager.save_checkpoint(MODEL, epoch=epoch, metrics={"val_dice": score, **metrics})


def epochs(manager: CheckpointManager) -> list[int]:
    return [record.epoch for record in manager.list_checkpoints()]


def saved(folder: Path, scores: list[float], **options: Any) -> CheckpointManager:
    manager = CheckpointManager(folder, save_strategy="all", **options)
    for epoch, score in enumerate(scores, start=1):
        offer(manager, epoch, score)
    return manager


def test_every_nth_stays_beside_the_best_and_the_latest(tmp_path: Path) -> None:
    manager = saved(tmp_path, [0.9, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6], max_checkpoints=1, keep_every=3)
    assert epochs(manager) == [1, 3, 6, 7]


def test_of_equal_ones_the_further_metric_decides_then_the_later_epoch(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path, save_strategy="all", ties={"val_loss": "min"})
    for epoch, loss in enumerate([0.4, 0.2, 0.2, 0.3], start=1):
        offer(manager, epoch, 0.5, val_loss=loss)
    best = manager.best_checkpoint
    assert best is not None
    assert best.epoch == 3
    offer(manager, 5, 0.5)  # without the further metric it is behind
    assert manager.best_checkpoint == best


def test_a_tie_is_saved_as_best_only_when_a_further_metric_is_better(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path, save_strategy="best", ties={"val_loss": "min"})
    assert offer(manager, 1, 0.5, val_loss=0.4) is not None
    assert offer(manager, 2, 0.5, val_loss=0.4) is None
    assert offer(manager, 3, 0.5, val_loss=0.3) is not None
    assert offer(manager, 4, 0.4, val_loss=0.1) is None


def test_a_budget_of_bytes_gives_up_the_least_good_and_never_the_best_or_the_latest(tmp_path: Path) -> None:
    size = saved(tmp_path / "one", [0.5]).list_checkpoints()[0].bytes
    room = 3 * size + size // 2
    assert epochs(saved(tmp_path / "three", [0.1, 0.9, 0.3, 0.5, 0.2], max_bytes=room)) == [2, 4, 5]
    assert epochs(saved(tmp_path / "none", [0.1, 0.9, 0.3, 0.5, 0.2], max_bytes=1)) == [2, 5]


def test_a_pinned_one_stays_until_it_is_no_longer_pinned_also_for_a_new_manager(tmp_path: Path) -> None:
    manager = saved(tmp_path, [0.1], max_checkpoints=1)
    manager.pin(1)
    again = CheckpointManager(tmp_path, save_strategy="all", max_checkpoints=1)
    for epoch in (2, 3, 4):
        offer(again, epoch, 0.1 * epoch)
    assert epochs(again) == [1, 4]
    again.pin(1, pinned=False)
    offer(again, 5, 0.5)
    assert epochs(again) == [5]
    with pytest.raises(CheckpointNotFoundError, match="no checkpoint of epoch 1"):
        again.pin(1)


def test_what_is_read_is_not_removed_until_it_has_been_read(tmp_path: Path) -> None:
    manager = saved(tmp_path, [0.1], max_checkpoints=1)
    path = manager.list_checkpoints()[0].path
    with lease_checkpoint(path):
        offer(manager, 2, 0.5)
        assert (path / "model.safetensors").exists()
        assert epochs(manager) == [1, 2]
    offer(manager, 3, 0.6)
    assert epochs(manager) == [3]
    with pytest.raises(CheckpointNotFoundError, match="pruned"), lease_checkpoint(path):
        pass


READER = """
import sys, time
from pathlib import Path
from components.checkpoints import lease_checkpoint
with lease_checkpoint(Path(sys.argv[1])):
    print("reading", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def reader() -> Iterator[Any]:
    started: list[subprocess.Popen[str]] = []

    def read(path: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, "-c", READER, str(path)], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
        return process

    yield read
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.fault(
    fault="another process reads a checkpoint that is to be pruned, then is killed",
    outcome="it stays while it is read, and goes after that",
)
def test_a_lease_of_another_process_counts_until_that_is_killed(tmp_path: Path, reader: Any) -> None:
    manager = saved(tmp_path, [0.1], max_checkpoints=1)
    process = reader(manager.list_checkpoints()[0].path)
    offer(manager, 2, 0.5)
    assert epochs(manager) == [1, 2]
    process.kill()
    process.wait()
    offer(manager, 3, 0.6)
    assert epochs(manager) == [3]


def test_two_managers_see_each_others_checkpoints_of_the_same_model(tmp_path: Path) -> None:
    one, two = (CheckpointManager(tmp_path, "unet", "all", max_checkpoints=2) for _ in range(2))
    offer(one, 1, 0.5)
    offer(two, 2, 0.6)
    assert epochs(one) == epochs(two) == [1, 2]
    offer(one, 3, 0.7)
    assert epochs(two) == [2, 3]


def test_a_manager_leaves_another_models_checkpoints_alone_and_says_whose_there_are(tmp_path: Path) -> None:
    one = CheckpointManager(tmp_path, "unet", "all", max_checkpoints=1)
    two = CheckpointManager(tmp_path, "segresnet", "all", max_checkpoints=1)
    for epoch in (1, 2):
        offer(one, epoch, 0.1 * epoch)
        offer(two, epoch, 0.1 * epoch)
    assert epochs(one) == epochs(two) == [2]
    with pytest.raises(CheckpointNotFoundError, match="model_name segresnet, unet"):
        CheckpointManager(tmp_path, "other").load_checkpoint("best", MODEL)


def test_opening_a_directory_leaves_what_another_manager_is_writing(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    seen: list[bool] = []

    def interrupted_by_another(folder: Path) -> Any:
        folder.mkdir()
        (folder / "half").touch()
        LocalStore(tmp_path)
        seen.append((folder / "half").exists())
        raise OSError("enough")

    with pytest.raises(OSError, match="enough"):
        store.save("one", interrupted_by_another)
    assert seen == [True]


def test_the_same_name_in_the_same_second_is_given_once(tmp_path: Path) -> None:
    paths = [offer(CheckpointManager(tmp_path, save_strategy="all"), 1, 0.5) for _ in range(4)]
    assert len(set(paths)) == 4


def test_forced_saves_whatever_the_strategy_says_and_names_the_kind(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path, save_strategy="best")
    offer(manager, 1, 0.5)
    path = manager.save_checkpoint(MODEL, epoch=2, metrics={"val_dice": 0.1}, forced="rung")
    assert path is not None
    assert "_rung_epoch_002_" in path.name
    with pytest.raises(InvalidInputError, match=r"forced: found '\.\./end'"):
        manager.save_checkpoint(MODEL, epoch=3, metrics={"val_dice": 0.1}, forced="../end")
    with pytest.raises(InvalidInputError, match="there is no froced"):
        manager.save_checkpoint(MODEL, epoch=3, froced="end")  # type: ignore[call-overload]


def test_a_checkpoint_says_how_it_came_about(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path, seed=7, config={"lr": 0.1})
    manager.save_checkpoint(MODEL, epoch=2, metrics={"val_dice": 0.5, "epoch": 2}, step=40)
    record = CheckpointManager(tmp_path).load_checkpoint("best", MODEL)
    assert (record.epoch, record.step, record.metadata["seed"], record.metadata["config"]) == (2, 40, 7, {"lr": 0.1})
    assert record.metadata["torch"] == torch.__version__
    assert {"python", "numpy", "host", "system", "cpus", "gpus", "command", "strategy"} <= record.metadata.keys()


def test_every_decision_is_logged_with_what_it_cost(tmp_path: Path) -> None:
    ticks = iter(range(1000))
    manager = CheckpointManager(tmp_path, save_strategy="best", clock=lambda: float(next(ticks)))
    offer(manager, 1, 0.5)
    offer(manager, 2, 0.4)
    manager.save_checkpoint(MODEL, epoch=3, metrics={"val_dice": 0.6}, asynchronous=True)
    manager.save_checkpoint(nn.Linear(1, 1).requires_grad_(requires_grad=False).to(torch.float32), epoch=4, metrics={})
    manager.close()
    decisions = read_decisions(tmp_path / "decisions.jsonl")
    assert [(d.epoch, d.save, d.metric) for d in decisions] == [
        (1, True, 0.5),
        (2, False, 0.4),
        (3, True, 0.6),
        (4, False, None),
    ]
    assert [d.bytes for d in decisions][1::2] == [0, 0]
    for decision in decisions[::2]:
        assert (tmp_path / decision.path / "manifest.json").exists()
        assert decision.bytes is not None
        assert decision.bytes > 0
        assert decision.seconds is not None
        assert decision.seconds > 0
    assert "is no number" in decisions[3].reason


SIGNALLED = """
import os, signal, sys
from torch import nn
from components.checkpoints import CheckpointManager
manager = CheckpointManager(sys.argv[1], save_strategy="best", save_at_signals=[signal.SIGTERM, signal.SIGUSR1])
signal.signal(signal.SIGUSR2, signal.SIG_DFL)
for epoch in range(1, 1000):
    manager.save_checkpoint(nn.Linear(2, 1), epoch=epoch, metrics={"val_dice": 0.5})
    if epoch == 3:
        os.kill(os.getpid(), signal.SIGTERM)
print("not reached")
"""


@pytest.mark.fault(
    fault="SIGTERM, with `save_at_signals`", outcome="the epoch is saved whatever the strategy, then the process ends"
)
def test_a_signal_is_answered_with_a_checkpoint_and_then_ends_the_process(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SIGNALLED, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, ""), done.stderr
    manager = CheckpointManager(tmp_path)
    assert [(record.epoch, record.kind) for record in manager.list_checkpoints()] == [(1, "best"), (4, "sigterm")]


def test_a_signal_that_somebody_handles_is_handed_on_after_the_save(tmp_path: Path) -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: seen.append(number))
    try:
        with CheckpointManager(tmp_path, save_at_signals=[signal.SIGUSR1]) as manager:
            offer(manager, 1, 0.5)
            for epoch in (2, 3):
                signal.raise_signal(signal.SIGUSR1)
                assert len(seen) == epoch - 2
                offer(manager, epoch, 0.1)
                assert len(seen) == epoch - 1
            assert offer(manager, 4, 0.1) is None
        signal.raise_signal(signal.SIGUSR1)
        assert len(seen) == 3
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_only_the_main_thread_watches_signals(tmp_path: Path) -> None:
    raised: list[BaseException] = []

    def make() -> None:
        try:
            CheckpointManager(tmp_path, save_at_signals=[signal.SIGTERM])
        except InvalidInputError as error:
            raised.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    assert "only the main thread" in str(raised[0])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_is_only_read_can_still_be_loaded(tmp_path: Path) -> None:
    saved(tmp_path, [0.5])
    tmp_path.chmod(0o555)
    try:
        assert CheckpointManager(tmp_path).load_checkpoint("best", MODEL).epoch == 1
    finally:
        tmp_path.chmod(0o755)
