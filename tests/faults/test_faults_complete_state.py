"""A training that is killed again and again ends, bit for bit, as one that never was."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.checkpoints import CheckpointManager

_SCRIPT = Path(__file__).parent / "complete_training.py"
_ROOT = _SCRIPT.parent.parent.parent


def train(folder: Path, kill_after: int | None = None) -> None:
    """Run the training; `kill_after` so many lines it is killed."""
    environment = os.environ | {"PYTHONPATH": str(_ROOT)}
    with subprocess.Popen(
        [sys.executable, str(_SCRIPT), str(folder)], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        if kill_after is None:
            process.stdout.read()
        else:
            for _ in range(kill_after):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
    assert process.returncode == (0 if kill_after is None else -signal.SIGKILL)


def ending(folder: Path) -> tuple[bytes, bytes, dict[str, Any]]:
    """Weights, tensors and the rest of the last checkpoint, with the counters of its manager but for the clocks."""
    latest = CheckpointManager(folder, "whole").latest_checkpoint
    assert latest is not None
    rest: dict[str, Any] = json.loads((latest.path / "state.json").read_bytes())
    clocks = ("seconds", "seconds_since_save", "save_seconds", "persist_seconds", "bytes_written")
    counters = latest.metadata["checkpoint_manager"].items()
    rest["counters"] = {name: value for name, value in counters if name not in clocks}
    return (latest.path / "model.safetensors").read_bytes(), (latest.path / "state.safetensors").read_bytes(), rest


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("whole")
    train(folder)
    weights, tensors, rest = ending(folder)
    assert {name for name, part in rest.items() if part} == {
        "optimizer",
        "scheduler",
        "scaler",
        "ema",
        "loss_schedule",
        "sampler",
        "early_stopping",
        "rng",
        "extra",
        "counters",
    }
    assert rest["extra"]["step"] == 24
    return weights, tensors, rest


def check(folder: Path, uninterrupted: tuple[bytes, bytes, dict[str, Any]], kills: list[int]) -> None:
    for lines in kills:
        train(folder, kill_after=lines)
    train(folder)
    assert ending(folder) == uninterrupted


_FAULT = "kill -9 of a training with optimiser, scheduler, scaler, EMA, loss schedule, sampler and RNGs, then going on"
_OUTCOME = "the weights and the whole state at the end are those of an uninterrupted training, bit for bit"


@pytest.mark.fault(fault=_FAULT, outcome=_OUTCOME, cases=2)
def test_a_killed_training_ends_as_the_uninterrupted_one(
    tmp_path: Path, uninterrupted: tuple[bytes, bytes, dict[str, Any]]
) -> None:
    check(tmp_path, uninterrupted, kills=[3, 4])


@pytest.mark.faults
@pytest.mark.fault(fault=_FAULT, outcome=_OUTCOME)
@pytest.mark.parametrize("kills", [[1, 1, 1], [2, 5], [7], [11], [1, 2, 3, 4], [0, 6]], ids=str)
def test_a_training_killed_at_any_moment_ends_as_the_uninterrupted_one(
    tmp_path: Path, uninterrupted: tuple[bytes, bytes, dict[str, Any]], kills: list[int]
) -> None:
    check(tmp_path, uninterrupted, kills)
