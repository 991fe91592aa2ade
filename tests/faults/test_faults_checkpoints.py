"""kill -9 while checkpoints are saved: what had returned is there, and at least one valid checkpoint always is."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from torch import nn

from components.checkpoints import CheckpointManager

_SCRIPT = Path(__file__).parent / "saving_loop.py"
_ROOT = _SCRIPT.parent.parent.parent


def kill_while_saving(folder: Path, moment: int, *options: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(_ROOT)}
    command = [sys.executable, str(_SCRIPT), str(folder), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        time.sleep(random.Random(moment).uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        said = ["1", *process.stdout.read().split()]
    returned = int(said[-1])

    manager = CheckpointManager(folder, save_strategy="epoch", max_checkpoints=2)
    latest = manager.latest_checkpoint
    assert latest is not None
    assert latest.epoch in (returned, returned + 1)
    model = nn.Linear(64, 64)
    assert manager.load_checkpoint("latest", model).epoch == latest.epoch
    assert float(model.weight.detach()[0, 0]) == latest.epoch
    best = max(range(1, latest.epoch + 1), key=lambda epoch: (epoch * 7919 % 1000, epoch))
    found = manager.best_checkpoint
    assert found is not None
    assert found.epoch == best
    assert manager.save_checkpoint(model, epoch=latest.epoch + 1, metrics={"val_dice": 0.5}) is not None


WAYS = [pytest.param((), id="in the loop"), pytest.param(("asynchronous",), id="in the background")]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("moment", range(3))
def test_a_kill_while_saving_loses_nothing_that_was_durable(tmp_path: Path, moment: int, way: tuple[str, ...]) -> None:
    kill_while_saving(tmp_path / "run", moment, *way)


@pytest.mark.faults
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("moment", range(3, 28))
def test_a_kill_at_many_moments_of_saving_loses_nothing_that_was_durable(
    tmp_path: Path, moment: int, way: tuple[str, ...]
) -> None:
    kill_while_saving(tmp_path / "run", moment, *way)
