"""Two real processes on one directory."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from components.checkpoints import LocalStore, TrainingState, restore_checkpoint
from tests.faults import saving_together

Script = subprocess.Popen[str]
_SCRIPT = Path(saving_together.__file__)
_EPOCHS = range(1, saving_together.EPOCHS + 1)


@pytest.fixture(scope="module")
def script() -> Iterator[Script]:
    environment = os.environ | {"PYTHONPATH": str(_SCRIPT.parent.parent.parent)}
    with subprocess.Popen(
        [sys.executable, str(_SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=30) == 0


def together(script: Script, folder: Path, names: str, way: str) -> list[dict[str, Any]]:
    assert script.stdin is not None
    assert script.stdout is not None
    script.stdin.write(f"{folder} {names} {way}\n")
    script.stdin.flush()
    results: list[dict[str, Any]] = json.loads(script.stdout.readline())
    return results


def found(folder: Path) -> set[tuple[int, int]]:
    """Process and epoch of each checkpoint, whose weights are its own; nothing else may stand there."""
    store = LocalStore(folder)
    assert not [path.name for path in folder.iterdir() if path.name.startswith((".tmp-", ".trash-", ".damaged-"))]
    all_found = []
    for record in store.records():
        model = nn.Linear(8, 8)
        restore_checkpoint(record.path, TrainingState(model))
        process = int(record.metrics["process"])
        assert bool((model.weight == saving_together.weight(process, record.epoch)).all())
        all_found.append((process, record.epoch))
    assert len(all_found) == len(set(all_found))
    return set(all_found)


def check_saving(script: Script, folder: Path, names: str) -> None:
    results = together(script, folder, names, "all")
    assert [result["errors"] for result in results] == [[], []]
    assert found(folder) == {(process, epoch) for process in (0, 1) for epoch in _EPOCHS}


def check_pruning(script: Script, folder: Path, names: str) -> None:
    results = together(script, folder, names, "2")
    assert [result["errors"] for result in results] == [[], []]
    kept = found(folder)
    everything = [(process, epoch) for process in (0, 1) for epoch in _EPOCHS]
    assert max(everything, key=lambda pair: saving_together.score(*pair)) in kept
    assert max(_EPOCHS) in {epoch for _, epoch in kept}


_KEPT = "the best and the latest of both are there; what is there verifies"
_ALL = "every checkpoint of both is there and verifies"
_BOTH = 2 * saving_together.EPOCHS


@pytest.mark.fault(
    fault="two processes save into one directory at once, under names of their own", outcome=_ALL, cases=_BOTH
)
def test_two_processes_with_names_of_their_own_lose_nothing(script: Script, tmp_path: Path) -> None:
    check_saving(script, tmp_path / "run", "first second")


@pytest.mark.fault(
    fault="two processes save into one directory at once, under the same name", outcome=_ALL, cases=_BOTH
)
def test_two_processes_with_the_same_name_lose_nothing(script: Script, tmp_path: Path) -> None:
    check_saving(script, tmp_path / "run", "model model")


@pytest.mark.fault(fault="two processes save and prune at once, under names of their own", outcome=_KEPT, cases=_BOTH)
def test_two_processes_that_prune_keep_the_best_and_the_latest(script: Script, tmp_path: Path) -> None:
    check_pruning(script, tmp_path / "run", "first second")


@pytest.mark.fault(fault="two processes save and prune at once, under the same name", outcome=_KEPT, cases=_BOTH)
def test_two_processes_with_the_same_name_that_prune_keep_the_best_and_the_latest(
    script: Script, tmp_path: Path
) -> None:
    check_pruning(script, tmp_path / "run", "model model")


@pytest.mark.fault(fault="a second process opens the directory while a save of the first is half written", outcome=_ALL)
def test_opening_a_directory_leaves_the_save_of_another_process_alone(script: Script, tmp_path: Path) -> None:
    results = together(script, tmp_path / "run", "first second", "opening")
    assert results == [{"saved": [1], "errors": []}, {"saved": [2], "errors": []}]
    assert [record.epoch for record in LocalStore(tmp_path / "run").records()] == [1, 2]
