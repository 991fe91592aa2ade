"""Forks processes that save and prune checkpoints, and kills each with SIGKILL; so torch is imported once.

python killed_saves.py, then on its input a line `FOLDER in_the_loop|in_the_background|through_a_url SAVES SECONDS` for
each kill, which comes so many seconds after so many saves. It answers with the epochs that the killed process had said
were saved. A process goes on where the folder's latest checkpoint is.
"""

import os
import signal
import sys
import time
from pathlib import Path

from torch import nn

from components.checkpoints import CheckpointManager

KEPT = 2


def score(epoch: int) -> float:
    """Goes up and down, so that best and latest are different ones."""
    return (epoch * 7919 % 1000) / 1000


def open_manager(folder: Path, way: str) -> CheckpointManager:
    """A manager that saves each epoch and prunes at almost each save."""
    place = f"file://{folder}" if way == "through_a_url" else folder
    return CheckpointManager(place, save_strategy="epoch", max_checkpoints=KEPT)


def save_until_killed(folder: Path, way: str, said: int) -> None:
    """Save epoch after epoch, and write to the pipe `said` that an epoch is saved once it is durable."""
    os.write(said, b"begun\n")
    manager = open_manager(folder, way)
    latest = manager.latest_checkpoint
    model = nn.Linear(64, 64)
    epoch = latest.epoch if latest else 0
    while True:
        epoch += 1
        nn.init.constant_(model.weight, epoch)
        metrics = {"val_dice": score(epoch)}
        if way == "in_the_background":
            handle = manager.save_checkpoint(model, epoch=epoch, metrics=metrics, asynchronous=True)
            nn.init.constant_(model.weight, -epoch)  # training goes on while it is written
            if handle is not None:
                handle.result()
        else:
            manager.save_checkpoint(model, epoch=epoch, metrics=metrics)
        os.write(said, f"{epoch}\n".encode())


def kill_one(folder: Path, way: str, saves: int, seconds: float) -> list[int]:
    """Fork a process that saves, kill it so many seconds after so many saves; returns the epochs it had said."""
    heard, said = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            save_until_killed(folder, way, said)
        finally:
            os._exit(1)
    os.close(said)
    with os.fdopen(heard) as lines:
        first = [lines.readline() for _ in range(1 + saves)]
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            raise SystemExit("the process ended before it was killed")
        return [int(line) for line in [*first, *lines][1:]]


if __name__ == "__main__":
    for line in sys.stdin:
        place, way, saves, seconds = line.split()
        print(*kill_one(Path(place), way, int(saves), float(seconds)), flush=True)  # noqa: T201 - read by the test
