"""Two processes save into one directory at the same time; forked, so that torch is imported once.

python saving_together.py, then on its input a line for each pair of processes:
`FOLDER NAME NAME all|KEPT`: each saves 30 epochs under its name, and both begin each epoch at the same time;
`FOLDER NAME NAME opening`: the second opens the directory and saves while a save of the first is half written.

It answers with a line of JSON: for each process, the epochs that it saved and its errors.
"""

import json
import os
import select
import socket
import sys
from pathlib import Path
from typing import Any

from torch import nn

from components.checkpoints import CheckpointManager, CheckpointRecord, LocalStore, TrainingState, take_snapshot
from components.errors import CheckpointError

EPOCHS = 30
_PATIENCE_S = 1.0  # the second may have to wait until the first has ended


def score(process: int, epoch: int) -> float:
    """No two epochs have the same."""
    return (epoch * 7919 % 1000 + process / 2) / 1000


def weight(process: int, epoch: int) -> float:
    """No two epochs have the same."""
    return 1000.0 * process + epoch


def save_epochs(folder: Path, name: str, process: int, kept: str, go: int) -> dict[str, Any]:
    """Save epoch after epoch, each when the other is there too."""
    count = None if kept == "all" else int(kept)
    manager = CheckpointManager(folder, name, save_strategy="all", max_checkpoints=count)
    model = nn.Linear(8, 8)
    saved, errors = [], []
    for epoch in range(1, EPOCHS + 1):
        nn.init.constant_(model.weight, weight(process, epoch))
        meet(go)
        try:
            manager.save_checkpoint(model, epoch=epoch, metrics={"val_dice": score(process, epoch), "process": process})
            saved.append(epoch)
        except CheckpointError as error:
            errors.append(str(error))
    return {"saved": saved, "errors": errors}


def save_slowly(folder: Path, name: str, go: int) -> dict[str, Any]:
    """Save one epoch; half of it is written when the other may begin."""
    store = LocalStore(folder)
    metrics = {"val_dice": 0.5, "process": 0}
    snapshot = take_snapshot(TrainingState(nn.Linear(8, 8)), epoch=1, metrics=metrics, kind="best")

    def write(directory: Path) -> CheckpointRecord:
        record = snapshot.write(directory)
        (directory / "manifest.json").rename(directory / "manifest")
        meet(go)  # the other begins
        select.select([go], [], [], _PATIENCE_S)  # and has ended, or waits
        (directory / "manifest").rename(directory / "manifest.json")
        return record

    try:
        store.save(f"{name}_best_epoch_001", write)
    except CheckpointError as error:
        return {"saved": [], "errors": [str(error)]}
    return {"saved": [1], "errors": []}


def open_and_save(folder: Path, name: str, go: int) -> dict[str, Any]:
    """Open the directory while the other is saving, and save one epoch."""
    meet(go)
    manager = CheckpointManager(folder, name)
    saved = manager.save_checkpoint(nn.Linear(8, 8), epoch=2, metrics={"val_dice": 0.6, "process": 1})
    os.write(go, b".")
    return {"saved": [2] if saved else [], "errors": []}


def meet(go: int) -> None:
    """Wait until the other process is here too."""
    os.write(go, b".")
    os.read(go, 1)


def run(folder: Path, names: tuple[str, str], process: int, way: str, go: int) -> dict[str, Any]:
    """What one of the processes does."""
    if way != "opening":
        return save_epochs(folder, names[process], process, way, go)
    part = open_and_save if process else save_slowly
    return part(folder, names[process], go)


def run_both(folder: Path, names: tuple[str, str], way: str) -> list[dict[str, Any]]:
    """Fork the two processes and wait for what they say."""
    ends = socket.socketpair()
    answers = []
    for process, end in enumerate(ends):
        heard, said = os.pipe()
        if os.fork() == 0:
            try:
                ends[1 - process].close()
                os.write(said, json.dumps(run(folder, names, process, way, end.fileno())).encode())
            finally:
                os._exit(0)
        os.close(said)
        answers.append(os.fdopen(heard))
    for end in ends:
        end.close()
    return [json.loads(answer.read()) for answer in answers]


if __name__ == "__main__":
    for line in sys.stdin:
        place, first, second, way = line.split()
        print(json.dumps(run_both(Path(place), (first, second), way)), flush=True)  # noqa: T201 - read by the test
